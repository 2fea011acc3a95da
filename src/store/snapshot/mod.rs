//! Snapshots: everything that the store held after one record of the journal, in a file of its own
//! (docs/snapshot-format.md).
//!
//! The hard problem: a journal that is never shortened fills the disk, and one that is shortened too early is a loss. The
//! answer: a file that says of itself after which record the journal goes on, authenticated block by block like the
//! journal, synced, read back from the disk and counted before anything relies on it; two of them are kept.
//!
//! Never believed by its name or its head alone.

pub mod format;

mod base;
mod reader;
mod writer;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub(crate) use self::base::{Base, Held};
use self::format::Head;
pub use self::reader::Reader;
pub(crate) use self::writer::Writer;
use super::index::tally::{Digester, Tally};
use super::journal::segment::Identity;
use super::journal::walk::Trouble;
use crate::chain::Mark;

/// How many are kept: the newest, and the one before for the day on which the newest is damaged. While another is made, only the newest.
pub const KEPT: usize = 2;

/// The one that is being written, under a name that no reader takes for one.
pub(crate) const UNDERWAY: &str = "next.tmp";

/// What one is made from where there is none before it.
pub(crate) const DRAFT: &str = "draft.tmp";

/// Told of bytes that were read or written; an error of its own ends the work.
pub(crate) type Told<'a> = dyn FnMut(u64) -> Result<(), Trouble> + 'a;

/// What is put behind the name of one that turned out to be damaged.
const DAMAGED: &str = ".damaged";

/// A snapshot, as its head says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The file.
    pub path: PathBuf,
    /// The last journal record that is in it: the journal goes on after this.
    pub at: Mark,
    /// The newest audit mark of those records: the audit log must reach it.
    pub witness: Mark,
    /// When that record was written, in microseconds since 1970.
    pub written_at: u64,
    /// What it holds.
    pub tally: Tally,
    /// Length of the file.
    pub bytes: u64,
}

impl Snapshot {
    pub(crate) fn new(path: PathBuf, head: Head, bytes: u64) -> Self {
        let Head { at, witness, written_at, tally } = head;
        Self { path, at, witness, written_at, tally, bytes }
    }
}

/// The file of the snapshot after the record `sequence`.
#[must_use]
pub fn path(directory: &Path, sequence: u64) -> PathBuf {
    directory.join(format!("{sequence:020}.snapshot"))
}

/// The sequence that a file name speaks of, if it names a snapshot.
#[must_use]
pub fn sequence_in_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".snapshot")?;
    let whole = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    whole.then(|| digits.parse().ok()).flatten()
}

/// Those there are, oldest first, by their heads: what is behind a head has not been looked at. And those whose head is
/// none, each with what is wrong with it.
///
/// # Errors
/// The directory cannot be read. None is no error.
pub fn list(directory: &Path, identity: &Identity) -> Result<(Vec<Snapshot>, Vec<Trouble>), Trouble> {
    let io = |error| Trouble::Io { file: directory.to_owned(), error };
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), Vec::new())),
        entries => entries.map_err(io)?,
    };
    let mut sequences = Vec::new();
    for entry in entries {
        sequences.extend(entry.map_err(io)?.file_name().to_str().and_then(sequence_in_name));
    }
    sequences.sort_unstable();
    let (mut found, mut bad) = (Vec::new(), Vec::new());
    for sequence in sequences {
        match Reader::open(&path(directory, sequence), identity) {
            Ok(reader) => found.push(reader.snapshot().clone()),
            Err(trouble) => bad.push(trouble),
        }
    }
    Ok((found, bad))
}

/// Reads it whole: every block, the order of the records, their count and digest.
///
/// # Errors
/// It is not what was written, and where; or it cannot be read.
pub fn verify(path: &Path, identity: &Identity, digester: &Digester) -> Result<Snapshot, Trouble> {
    let mut reader = Reader::open(path, identity)?;
    count(&mut reader, digester, &mut |_| Ok(()))?;
    Ok(reader.snapshot().clone())
}

/// Reads all that is left of it: the order of the records, their count and digest. `read` is told how many bytes each has.
fn count(reader: &mut Reader, digester: &Digester, read: &mut Told<'_>) -> Result<(), Trouble> {
    let mut tally = Tally::default();
    while let Some((key, record)) = reader.next()? {
        digester.add(&mut tally, &key, record.revision, &record.value);
        read(record.value.len() as u64)?;
    }
    if tally == reader.snapshot().tally {
        Ok(())
    } else {
        Err(reader.damaged("its records do not add up to what its head says"))
    }
}

/// Reads one whole that was verified a moment ago, in a fraction of the time: the checksum of every block, and the number of the records.
///
/// # Errors
/// As [`verify`]. A forgery passes: who relies on the records holds them against their MACs.
pub(crate) fn skim(path: &Path, identity: &Identity) -> Result<Snapshot, Trouble> {
    let mut reader = Reader::open_own(path, identity)?;
    let records = reader.skip_all()?;
    if records == reader.snapshot().tally.records {
        Ok(reader.snapshot().clone())
    } else {
        Err(reader.damaged("it has not as many records as its head says"))
    }
}

/// Takes one that is damaged out of the way, and keeps it for whoever wants to know why.
pub(crate) fn set_aside(path: &Path) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(DAMAGED);
    fs::rename(path, name)
}

/// Removes their files, in that order.
pub(crate) fn remove(snapshots: &[Snapshot]) -> io::Result<()> {
    snapshots.iter().try_for_each(|snapshot| fs::remove_file(&snapshot.path))
}

#[cfg(test)]
mod tests;
