//! The whole log, from its first line to a head.
//!
//! The hard problem: what is cut off leaves no trace. The answer: the walk must reach the head that is known from
//! elsewhere, the live log or the journal.
//!
//! Never changes a file.

use std::fmt;
use std::io;
use std::path::Path;

use super::segment::{self, Name};
use super::walk::{Break, BreakKind, Fault, ReadError, Walk};
use crate::chain::Mark;
use crate::crypto::mac::MacKey;

/// A log that is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// Lines, openings among them: the sequence of the last one.
    pub entries: u64,
    /// Files read.
    pub files: u64,
    /// The last line.
    pub head: Mark,
}

/// A log that is not whole, or could not be read.
#[derive(Debug)]
pub struct VerifyError {
    /// What is wrong.
    pub error: ReadError,
    /// Lines found intact before it.
    pub entries: u64,
    /// Files read.
    pub files: u64,
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (after {} intact entries)", self.error, self.entries)
    }
}

impl std::error::Error for VerifyError {}

/// Checks every line up to `head`, or to the end of the files where there is none; finds the first break.
///
/// The log may be appended to meanwhile, if `head` is given.
///
/// # Errors
/// The first break, or a file that cannot be read.
pub fn verify(
    directory: &Path,
    key: &MacKey,
    vault: [u8; 16],
    head: Option<Mark>,
) -> Result<Verified, VerifyError> {
    let mut round = Round { directory, key, vault, head, mark: Mark::START, last: None, lines: 0, files: 0 };
    match round.run() {
        Ok(()) => Ok(Verified { entries: round.mark.sequence, files: round.files, head: round.mark }),
        Err(error) => Err(VerifyError { error, entries: round.mark.sequence, files: round.files }),
    }
}

struct Round<'a> {
    directory: &'a Path,
    key: &'a MacKey,
    vault: [u8; 16],
    head: Option<Mark>,
    mark: Mark,
    last: Option<Name>,
    /// Of the last file.
    lines: u64,
    files: u64,
}

impl Round<'_> {
    fn run(&mut self) -> Result<(), ReadError> {
        let directory = self.directory.to_string_lossy().into_owned();
        let listing = segment::list(self.directory)
            .map_err(|error: io::Error| ReadError::Unreadable(directory, error))?;
        for &name in &listing.segments {
            if self.reached() {
                break;
            }
            self.follow(name).map_err(|fault| fault.error)?;
        }
        if let Some(head) = self.head {
            if self.mark.sequence < head.sequence {
                let (file, line) = self.end();
                let detail =
                    format!("the log ends at entry {}, it went on to {}", self.mark.sequence, head.sequence);
                return Err(damaged(file, line, BreakKind::CutOff, detail));
            }
            if self.mark != head {
                let (file, line) = self.end();
                let detail = format!("entry {} is not the one that was witnessed", head.sequence);
                return Err(damaged(file, line, BreakKind::Changed, detail));
            }
        }
        match listing.foreign.into_iter().next() {
            Some(file) => Err(damaged(file, 1, BreakKind::Changed, "not a file of the audit log".into())),
            None => Ok(()),
        }
    }

    fn reached(&self) -> bool {
        self.head.is_some_and(|head| self.mark.sequence >= head.sequence)
    }

    /// Just after the last line seen.
    fn end(&self) -> (String, u64) {
        (self.last.map_or_else(String::new, |name| name.to_string()), self.lines + 1)
    }

    fn follow(&mut self, name: Name) -> Result<(), Fault> {
        let number = self.last.map_or(1, |last| last.number + 1);
        if name.number < number {
            return Err(fault(
                name.to_string(),
                1,
                BreakKind::Reordered,
                format!("a second segment {}", name.number),
            ));
        }
        self.files += 1;
        let mut walk = Walk::open(self.directory, name, self.key, self.vault)?;
        let previous = walk.opening().previous.as_ref();
        if name.number > number {
            let file = match previous {
                Some(previous) if name.number == number + 1 => previous.file.clone(),
                _ => name.to_string(),
            };
            let detail = format!("segments {number} to {} are missing", name.number - 1);
            return Err(fault(file, 1, BreakKind::Missing, detail));
        }
        if walk.mark().sequence > self.mark.sequence + 1 {
            let (file, line) = self.end();
            let missing = walk.mark().sequence - 1;
            let detail =
                format!("the file ends at entry {}, the next one follows {missing}", self.mark.sequence);
            return Err(fault(file, line, BreakKind::CutOff, detail));
        }
        let before = previous.map_or([0; 32], |previous| previous.mac);
        let file = previous.map(|previous| previous.file.clone());
        if walk.mark().sequence != self.mark.sequence + 1
            || before != self.mark.chain
            || file != self.last.map(|last| last.to_string())
        {
            let detail = "the segment does not follow the one before it".into();
            return Err(fault(name.to_string(), 1, BreakKind::Changed, detail));
        }
        loop {
            (self.last, self.lines, self.mark) = (Some(name), walk.line(), walk.mark());
            if self.reached() || !walk.advance()? {
                return Ok(());
            }
        }
    }
}

fn damaged(file: String, line: u64, kind: BreakKind, detail: String) -> ReadError {
    ReadError::Damaged(Break { file, line, kind, detail })
}

fn fault(file: String, line: u64, kind: BreakKind, detail: String) -> Fault {
    Fault { error: damaged(file, line, kind, detail), torn_at: None }
}
