//! The log, as a backup takes it: stretches of its files that are on the disk, and the way back from a copy of them.
//!
//! The hard problem: what is copied out must never be taken back by a crash, and a copy that is put back must not speak of
//! changes that are not put back with it. The answer: only durable lines are given out; a copy is cut off where it first
//! speaks of a later change.
//!
//! Never changes the log of a vault that is open.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use super::line;
use super::log::Log;
use super::segment::{self, Name};
use super::walk::{ReadError, Walk};
use crate::chain::Mark;
use crate::crypto::mac::MacKey;
use crate::os::durable;
use crate::store::Witness;

/// Bytes of a file of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// Its name.
    pub file: String,
    /// The first.
    pub from: u64,
    /// Behind the last.
    pub to: u64,
}

/// What of the log is on the disk after a position, and up to which entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Durable {
    /// In the order of the log; none is empty.
    pub stretches: Vec<Stretch>,
    /// The last entry in them, or the one before where there is none.
    pub head: Mark,
}

impl Log {
    /// What is on the disk from this byte of this file on; all there is where none is named.
    ///
    /// # Errors
    /// The files cannot be read.
    pub fn durable_after(&self, after: Option<(&str, u64)>) -> io::Result<Durable> {
        let head = self.durable_head();
        let mut stretches = Vec::new();
        for name in segment::list(self.directory())?.segments {
            let file = name.to_string();
            let from = match after {
                None => 0,
                Some((last, _)) if Name::parse(last).is_none_or(|last| name < last) => continue,
                Some((last, offset)) if last == file => offset,
                Some(_) => 0,
            };
            let to = end_of(self.directory(), name, from, head.sequence)?;
            if to > from {
                stretches.push(Stretch { file, from, to });
            }
        }
        Ok(Durable { stretches, head })
    }
}

/// Behind the last line that is not after this entry.
fn end_of(directory: &Path, name: Name, from: u64, last: u64) -> io::Result<u64> {
    let mut file = File::open(segment::path(directory, name))?;
    file.seek(SeekFrom::Start(from))?;
    let mut input = BufReader::with_capacity(256 * 1024, file);
    let (mut at, mut bytes) = (from, Vec::new());
    loop {
        bytes.clear();
        Read::take(&mut input, line::LINE_MOST as u64).read_until(b'\n', &mut bytes)?;
        let is_durable = bytes
            .strip_suffix(b"\n")
            .and_then(|text| line::frame(text).ok())
            .is_some_and(|frame| frame.sequence <= last);
        if !is_durable {
            return Ok(at);
        }
        at += bytes.len() as u64;
    }
}

/// Cuts a copy of the log off before the first entry that speaks of a change after this one in the journal.
///
/// # Errors
/// It is not what was written, or cannot be read or changed.
pub fn cut(directory: &Path, key: &MacKey, vault: [u8; 16], change: u64) -> Result<(), ReadError> {
    let place = || directory.to_string_lossy().into_owned();
    let io = |error| ReadError::Unreadable(place(), error);
    let names = segment::list(directory).map_err(io)?.segments;
    let mut at = names.len();
    // The first line of a file says what the files before it speak of.
    while at > 0 {
        at -= 1;
        let mut walk = Walk::open(directory, names[at], key, vault).map_err(|fault| fault.error)?;
        if at > 0 && walk.opening().journal.sequence > change {
            continue;
        }
        if let Some(end) = first_beyond(&mut walk, change)? {
            let path = segment::path(directory, names[at]);
            let file = OpenOptions::new().write(true).open(path).map_err(io)?;
            file.set_len(end).and_then(|()| durable::sync_data(&file)).map_err(io)?;
            names[at + 1..]
                .iter()
                .try_for_each(|name| std::fs::remove_file(segment::path(directory, *name)))
                .map_err(io)?;
        }
        return durable::sync_directory(directory).map_err(io);
    }
    Ok(())
}

/// Where the line begins that speaks of a later change, if one does.
fn first_beyond(walk: &mut Walk, change: u64) -> Result<Option<u64>, ReadError> {
    loop {
        let end = walk.end();
        match walk.advance() {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            // What a copy of the last bytes left unfinished is not there.
            Err(fault) if fault.torn_at.is_some() => return Ok(Some(end)),
            Err(fault) => return Err(fault.error),
        }
        let line = line::frame(walk.bytes()).ok().filter(line::Frame::carries_journal);
        let mark = line.and_then(|_| line::decode(walk.bytes()).ok()).and_then(|line| line.journal());
        if mark.is_some_and(|mark| mark.sequence > change) {
            return Ok(Some(end));
        }
    }
}
