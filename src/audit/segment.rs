//! The files of the log: their names, their keys, and how one begins.
//!
//! The hard problem: a crash while a segment is born must not look like damage. The answer: it is born under
//! another name, with its opening line already on disk, and renamed.
//!
//! Never removes a segment.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::line::LINE_MOST;
use super::stamp::Day;
use crate::crypto::mac::MacKey;
use crate::os::durable;

/// A segment on its way; left over only by a crash.
const UNBORN: &str = "segment.new";

/// `YYYY-MM-DD.NNNN.jsonl`: the day it was begun, and its number from 1, at least four digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    // First, since it is the order of the chain.
    pub(super) number: u64,
    pub(super) day: Day,
}

impl Name {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (day, rest) = text.split_once('.')?;
        let number = rest.strip_suffix(".jsonl")?.parse().ok()?;
        let name = Self { number, day: Day::parse(day)? };
        (number > 0 && name.to_string() == text).then_some(name)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:04}.jsonl", self.day, self.number)
    }
}

/// What is in the directory.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// In the order of the chain.
    pub(super) segments: Vec<Name>,
    /// Names that are none of ours.
    pub(super) foreign: Vec<String>,
}

/// Lists the directory.
pub(super) fn list(directory: &Path) -> io::Result<Listing> {
    let mut listing = Listing::default();
    for entry in fs::read_dir(directory)? {
        let file = entry?.file_name().to_string_lossy().into_owned();
        match Name::parse(&file) {
            Some(name) => listing.segments.push(name),
            None if file == UNBORN => {}
            None => listing.foreign.push(file),
        }
    }
    listing.segments.sort_unstable();
    listing.foreign.sort_unstable();
    Ok(listing)
}

/// The key of one segment.
pub(super) fn key(log: &MacKey, number: u64) -> io::Result<MacKey> {
    let mut label = *b"segment\0\0\0\0\0\0\0\0";
    label[7..].copy_from_slice(&number.to_be_bytes());
    Ok(log.derive(&label)?)
}

/// Makes the directory, for its owner only, and its name durable. One that is there stays as it is.
pub(super) fn make_directory(directory: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Ok(()) => durable::sync_directory(directory.parent().unwrap_or(directory)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Removes what a crash left of a segment that was never born.
pub(super) fn clear_unborn(directory: &Path) -> io::Result<()> {
    match fs::remove_file(directory.join(UNBORN)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Begins a segment with its opening line; all of it is durable when this returns.
///
/// Nothing is left behind where it fails before the rename, so that it may be tried again.
pub(super) fn create(directory: &Path, name: Name, opening: &[u8]) -> io::Result<File> {
    let path = path(directory, name);
    if path.try_exists()? {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    clear_unborn(directory)?;
    let unborn = directory.join(UNBORN);
    // A file of mode 0600 that can only grow: whoever else opened it could not be overwritten by us either.
    let mut file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(&unborn)?;
    let born =
        file.write_all(opening).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&unborn, &path));
    if let Err(error) = born {
        // The next attempt clears it away too.
        let _left = fs::remove_file(&unborn);
        return Err(error);
    }
    // It has its name and is part of the chain: from here on no error may look like one that passes.
    durable::sync_name(&file, &path).map_err(io::Error::other)?;
    Ok(file)
}

/// Where a segment is.
pub(super) fn path(directory: &Path, name: Name) -> PathBuf {
    directory.join(name.to_string())
}

/// Reads a segment line by line, none longer than [`LINE_MOST`].
#[derive(Debug)]
pub(super) struct Lines {
    input: BufReader<File>,
    bytes: Vec<u8>,
    offset: u64,
}

/// What was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece {
    /// Nothing: the end of the file.
    End,
    /// A line with its end.
    Whole,
    /// Bytes without an end: the file ends, or the line is longer than lines are.
    Unfinished,
}

impl Lines {
    pub(super) fn open(directory: &Path, name: Name) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).open(path(directory, name))?;
        Ok(Self {
            input: BufReader::with_capacity(256 * 1024, file),
            bytes: Vec::with_capacity(1024),
            offset: 0,
        })
    }

    /// Reads the next line.
    pub(super) fn advance(&mut self) -> io::Result<Piece> {
        self.offset += self.bytes.len() as u64;
        self.bytes.clear();
        let mut input = Read::take(&mut self.input, LINE_MOST as u64);
        input.read_until(b'\n', &mut self.bytes)?;
        Ok(match self.bytes.last() {
            None => Piece::End,
            Some(b'\n') => Piece::Whole,
            Some(_) => Piece::Unfinished,
        })
    }

    /// The line, without its end.
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.strip_suffix(b"\n").unwrap_or(&self.bytes)
    }

    /// Where the line begins in the file.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Where the line ends in the file.
    pub(super) fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }
}
