//! A walk along one segment, each line checked against the one before.
//!
//! The hard problem: a chain only says that it is broken, and the one who mends it must know how. The answer: where
//! a line does not follow, the lines after it are read for what they still tell: their numbers.
//!
//! Never goes on after a break.

use std::fmt;
use std::io;
use std::path::Path;

use super::line::{self, Body, Opening};
use super::segment::{self, Lines, Name, Piece};
use crate::chain::Mark;
use crate::crypto::mac::MacKey;

/// Where the chain breaks first, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Break {
    /// Name of the file in the audit directory.
    pub file: String,
    /// Counts from 1.
    pub line: u64,
    /// What happened to it, as well as can be told.
    pub kind: BreakKind,
    /// In words.
    pub detail: String,
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} line {}: {}", self.file, self.line, self.detail)
    }
}

/// How the chain breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakKind {
    /// A line or a file is not what was written.
    Changed,
    /// The end is gone.
    CutOff,
    /// Lines, or a whole file, are gone from the middle.
    Missing,
    /// The line is genuine by its number, but elsewhere.
    Reordered,
}

impl BreakKind {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::CutOff => "cut_off",
            Self::Missing => "missing",
            Self::Reordered => "reordered",
        }
    }
}

/// Why the log could not be read.
#[derive(Debug)]
pub enum ReadError {
    /// It is not what was written.
    Damaged(Break),
    /// The kernel would not let us, and in which file.
    Unreadable(String, io::Error),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(found) => write!(f, "the audit log is damaged: {found}"),
            Self::Unreadable(file, error) => write!(f, "the audit log cannot be read: {file}: {error}"),
        }
    }
}

impl std::error::Error for ReadError {}

/// Why a walk ends early.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) error: ReadError,
    /// Where the file is still whole up to, if a power cut may have left the rest: bytes without an end, or
    /// blocks that were never written and read as zeros. No line has a zero byte: they are escaped.
    pub(super) torn_at: Option<u64>,
}

/// A walk along one segment.
pub(super) struct Walk {
    name: Name,
    key: MacKey,
    lines: Lines,
    opening: Opening,
    mark: Mark,
    line: u64,
}

impl Walk {
    /// Opens a segment and checks its opening line by what that says of the segment before.
    pub(super) fn open(directory: &Path, name: Name, log: &MacKey, vault: [u8; 16]) -> Result<Self, Fault> {
        let unreadable =
            |error| Fault { error: ReadError::Unreadable(name.to_string(), error), torn_at: None };
        let mut lines = Lines::open(directory, name).map_err(unreadable)?;
        let key = segment::key(log, name.number).map_err(unreadable)?;
        match lines.advance().map_err(unreadable)? {
            Piece::Whole => {}
            Piece::End => return Err(first(name, BreakKind::CutOff, "the file is empty")),
            Piece::Unfinished => return Err(first(name, BreakKind::CutOff, "the opening line is cut off")),
        }
        let (opening, mark) = check_opening(name, lines.bytes(), &key, log, vault)?;
        Ok(Self { name, key, lines, opening, mark, line: 1 })
    }

    /// What the opening line says.
    pub(super) fn opening(&self) -> &Opening {
        &self.opening
    }

    /// The present line: at first, the opening.
    pub(super) fn mark(&self) -> Mark {
        self.mark
    }

    /// Its number in the file.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// Its bytes, without its end.
    pub(super) fn bytes(&self) -> &[u8] {
        self.lines.bytes()
    }

    /// Where it ends in the file.
    pub(super) fn end(&self) -> u64 {
        self.lines.end()
    }

    /// Goes to the next line and checks it; false at the end of the file.
    pub(super) fn advance(&mut self) -> Result<bool, Fault> {
        let piece = self.lines.advance().map_err(|error| self.unreadable(error))?;
        if piece == Piece::End {
            return Ok(false);
        }
        self.line += 1;
        let expected = self.mark.sequence + 1;
        let line = self.lines.bytes();
        let follows = match line::frame(line) {
            Ok(frame) if piece == Piece::Whole && frame.sequence == expected => {
                self.key.verifies(&[&self.mark.chain, frame.signed], &frame.mac).then_some(frame.mac)
            }
            _ => None,
        };
        match follows {
            Some(chain) => {
                self.mark = Mark { sequence: expected, chain };
                Ok(true)
            }
            None => Err(self.explain(piece, expected)),
        }
    }

    fn explain(&mut self, piece: Piece, expected: u64) -> Fault {
        let at = self.lines.offset();
        let line = self.lines.bytes();
        if line.contains(&0) {
            return self.broken(BreakKind::Changed, "bytes that were never written".into(), Some(at));
        }
        let found = line::frame(line).map(|frame| frame.sequence);
        if piece == Piece::Unfinished && line.len() < line::LINE_MOST {
            return self.broken(BreakKind::CutOff, format!("entry {expected} is cut off"), Some(at));
        }
        match found {
            Err(_) => {
                self.broken(BreakKind::Changed, format!("entry {expected} is not a line of the log"), None)
            }
            Ok(found) if found == expected => {
                self.broken(BreakKind::Changed, format!("entry {expected} is not what was written"), None)
            }
            Ok(found) if self.renumbered(expected) => self.broken(
                BreakKind::Changed,
                format!("entry {expected} says that it is entry {found}"),
                None,
            ),
            Ok(found) => match self.stands_later(expected) {
                Ok(true) => {
                    let detail = format!("entry {found} stands before entry {expected}");
                    self.broken(BreakKind::Reordered, detail, None)
                }
                Ok(false) if found > expected => {
                    let detail = format!("entries {expected} to {} are missing", found - 1);
                    self.broken(BreakKind::Missing, detail, None)
                }
                Ok(false) => {
                    let detail = format!("entry {found} stands where entry {expected} should");
                    self.broken(BreakKind::Reordered, detail, None)
                }
                Err(error) => self.unreadable(error),
            },
        }
    }

    /// Whether the present line is the expected one but for its number.
    fn renumbered(&self, expected: u64) -> bool {
        let Ok(frame) = line::frame(self.lines.bytes()) else { return false };
        let digits = frame.signed.iter().skip(7).take_while(|byte| byte.is_ascii_digit()).count();
        let number = format!("{{\"seq\":{expected}");
        let rest = frame.signed.get(7 + digits..).unwrap_or_default();
        self.key.verifies(&[&self.mark.chain, number.as_bytes(), rest], &frame.mac)
    }

    /// Whether the expected entry stands further down.
    fn stands_later(&mut self, expected: u64) -> io::Result<bool> {
        while self.lines.advance()? == Piece::Whole {
            if line::frame(self.lines.bytes()).is_ok_and(|frame| frame.sequence == expected) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn broken(&self, kind: BreakKind, detail: String, torn_at: Option<u64>) -> Fault {
        let found = Break { file: self.name.to_string(), line: self.line, kind, detail };
        Fault { error: ReadError::Damaged(found), torn_at }
    }

    fn unreadable(&self, error: io::Error) -> Fault {
        Fault { error: ReadError::Unreadable(self.name.to_string(), error), torn_at: None }
    }
}

fn first(name: Name, kind: BreakKind, detail: &str) -> Fault {
    let found = Break { file: name.to_string(), line: 1, kind, detail: detail.into() };
    Fault { error: ReadError::Damaged(found), torn_at: None }
}

fn check_opening(
    name: Name,
    bytes: &[u8],
    key: &MacKey,
    log: &MacKey,
    vault: [u8; 16],
) -> Result<(Opening, Mark), Fault> {
    let line =
        line::decode(bytes).map_err(|_| first(name, BreakKind::Changed, "no opening line of format 1"))?;
    let mark = Mark { sequence: line.sequence, chain: line.mac };
    let Body::Opening(opening) = line.body else {
        return Err(first(name, BreakKind::Missing, "the opening line is missing"));
    };
    let before = opening.previous.as_ref().map_or([0; 32], |previous| previous.mac);
    let genuine = |key: &MacKey| line::frame(bytes).is_ok_and(|f| key.verifies(&[&before, f.signed], &f.mac));
    let is_another = || segment::key(log, opening.segment).is_ok_and(|key| genuine(&key));
    if opening.segment != name.number && is_another() {
        let detail = format!("this is segment {}", opening.segment);
        return Err(first(name, BreakKind::Reordered, &detail));
    }
    if !genuine(key) {
        return Err(first(
            name,
            BreakKind::Changed,
            "the opening line is not what was written, or the key is another's",
        ));
    }
    if opening.vault != vault {
        return Err(first(name, BreakKind::Changed, "the log of another vault"));
    }
    Ok((opening, mark))
}
