//! Reading a journal from front to back, believing nothing.
//!
//! The hard problem: a crash leaves any part of the last, unacknowledged group behind, and that must not stop a
//! start; damage to what was acknowledged must. The answer: the walk ends at the first record that is not whole
//! and says where and why; only whoever knows what was acknowledged can tell a torn tail from damage. What no
//! crash can do (a wrong MAC under a right checksum, a gap between segments) is damage at once.
//!
//! Never writes.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::record::{self, Entry, Unreadable};
use super::segment::{self, Identity, RECORDS_AT, Refusal};
use crate::chain::Mark;

/// Why a journal or a snapshot cannot be read on.
#[derive(Debug)]
pub enum Trouble {
    /// It is not what was written.
    Damaged {
        /// Which file.
        file: PathBuf,
        /// Where in it, in bytes.
        offset: u64,
        /// In which way.
        what: String,
    },
    /// The kernel refused.
    Io {
        /// Which file.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A later program wrote it.
    NewerFormat {
        /// Which file.
        file: PathBuf,
        /// Its format.
        format: u32,
    },
}

/// One file of the journal.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub(crate) path: PathBuf,
    /// It goes on after this.
    pub(crate) before: Mark,
}

impl Segment {
    /// Bytes of the file; none where it has gone.
    pub(crate) fn length(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |metadata| metadata.len())
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged { file, offset, what } => write!(f, "{} at byte {offset}: {what}", file.display()),
            Self::Io { file, error } => write!(f, "{}: {error}", file.display()),
            Self::NewerFormat { file, format } => write!(f, "{} has format {format}", file.display()),
        }
    }
}

/// The segments of a journal, in order, their heads verified. Those that a snapshot covers may be gone.
pub(crate) fn segments(directory: &Path, identity: &Identity) -> Result<Vec<Segment>, Trouble> {
    let io = |error| Trouble::Io { file: directory.to_owned(), error };
    let mut firsts = Vec::new();
    for entry in fs::read_dir(directory).map_err(io)? {
        let name = entry.map_err(io)?.file_name();
        firsts.extend(name.to_str().and_then(segment::first_in_name));
    }
    firsts.sort_unstable();
    firsts.iter().map(|first| head(directory, *first, identity)).collect()
}

/// The segment that holds the record, if there is one; the first where it is before all.
pub(crate) fn containing(segments: &[Segment], sequence: u64) -> usize {
    segments.iter().rposition(|segment| segment.before.sequence < sequence).unwrap_or(0)
}

fn head(directory: &Path, first: u64, identity: &Identity) -> Result<Segment, Trouble> {
    let path = segment::path(directory, first);
    let mut bytes = Vec::with_capacity(RECORDS_AT);
    let read = File::open(&path).and_then(|file| file.take(RECORDS_AT as u64).read_to_end(&mut bytes));
    read.map_err(|error| Trouble::Io { file: path.clone(), error })?;
    let damaged = |what: &str| Trouble::Damaged { file: path.clone(), offset: 0, what: what.into() };
    match segment::decode(identity, &bytes) {
        Ok(before) if before.sequence.checked_add(1) == Some(first) => Ok(Segment { path, before }),
        Ok(_) => Err(damaged("the segment has the name of another")),
        Err(Refusal::Damaged(what)) => Err(damaged(what)),
        Err(Refusal::NewerFormat(format)) => Err(Trouble::NewerFormat { file: path, format }),
    }
}

/// A record and where it was found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) entry: Entry,
    pub(crate) mark: Mark,
    /// Where it starts in its segment.
    pub(crate) offset: usize,
}

/// Where and why a walk has ended.
#[derive(Debug, Clone)]
pub(crate) struct End {
    pub(crate) file: PathBuf,
    pub(crate) offset: usize,
    /// [`Unreadable::End`], or why what follows is no whole record.
    pub(crate) why: Unreadable,
    /// Whether anything but zeros follows.
    pub(crate) untidy: bool,
    /// The last record.
    pub(crate) mark: Mark,
}

/// Reads records in order, over the borders of segments.
pub(crate) struct Walk<'a> {
    identity: &'a Identity,
    segments: &'a [Segment],
    /// What must follow the last of them, if that is known.
    then: Option<Mark>,
    current: usize,
    bytes: Vec<u8>,
    at: usize,
    mark: Mark,
    read: u64,
}

impl<'a> Walk<'a> {
    /// From the start of the first of `segments`, of which there is at least one.
    pub(crate) fn new(
        identity: &'a Identity,
        segments: &'a [Segment],
        then: Option<Mark>,
    ) -> Result<Self, Trouble> {
        let mark = segments.first().map_or(Mark::START, |segment| segment.before);
        let mut walk =
            Self { identity, segments, then, current: 0, bytes: Vec::new(), at: RECORDS_AT, mark, read: 0 };
        walk.load()?;
        Ok(walk)
    }

    /// The last record that it has read, or where it starts.
    pub(crate) fn mark(&self) -> Mark {
        self.mark
    }

    /// Which segment it is in, counted from where it started.
    pub(crate) fn segment(&self) -> usize {
        self.current
    }

    /// Bytes of segments read so far.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.read
    }

    /// The next record; none where the journal ends.
    pub(crate) fn next(&mut self) -> Result<Option<Found>, Trouble> {
        loop {
            match self.here() {
                Ok((entry, length)) => {
                    let offset = self.at;
                    self.at += length;
                    return Ok(Some(Found { entry, mark: self.mark, offset }));
                }
                Err(why @ (Unreadable::Malformed | Unreadable::Unchained)) => {
                    return Err(self.damaged(why.to_string()));
                }
                Err(why) => match self.following() {
                    None => return Ok(None),
                    Some(mark) if mark == self.mark && self.current + 1 < self.segments.len() => {
                        self.current += 1;
                        self.load()?;
                    }
                    Some(mark) if mark == self.mark => return Ok(None),
                    Some(mark) => {
                        let (last, next) = (self.mark.sequence, mark.sequence);
                        let what =
                            format!("{why}: after record {last} the journal goes on after record {next}");
                        return Err(self.damaged(what));
                    }
                },
            }
        }
    }

    /// Where the walk stands; after `next` has given none, where it ended.
    pub(crate) fn end(&self) -> End {
        let why = record::decode(self.bytes.get(self.at..).unwrap_or_default()).err();
        End {
            file: self.path(),
            offset: self.at,
            why: why.unwrap_or(Unreadable::Torn("the record has another sequence")),
            untidy: self.bytes.iter().skip(self.at).any(|byte| *byte != 0),
            mark: self.mark,
        }
    }

    /// Damage where the walk stands.
    pub(crate) fn damaged(&self, what: String) -> Trouble {
        Trouble::Damaged { file: self.path(), offset: self.at as u64, what }
    }

    fn here(&mut self) -> Result<(Entry, usize), Unreadable> {
        let decoded = record::decode(self.bytes.get(self.at..).unwrap_or_default())?;
        if self.mark.sequence.checked_add(1) != Some(decoded.entry.sequence) {
            return Err(Unreadable::Torn("the record has another sequence"));
        }
        if !self.identity.chains(&self.mark.chain, decoded.covered, &decoded.mac) {
            return Err(Unreadable::Unchained);
        }
        self.mark = Mark { sequence: decoded.entry.sequence, chain: decoded.mac };
        Ok((decoded.entry, decoded.length))
    }

    fn following(&self) -> Option<Mark> {
        self.segments.get(self.current + 1).map(|segment| segment.before).or(self.then)
    }

    fn load(&mut self) -> Result<(), Trouble> {
        self.at = RECORDS_AT;
        self.bytes.clear();
        if let Some(segment) = self.segments.get(self.current) {
            let read = File::open(&segment.path).and_then(|mut file| file.read_to_end(&mut self.bytes));
            self.read += read.map_err(|error| Trouble::Io { file: segment.path.clone(), error })? as u64;
        }
        Ok(())
    }

    fn path(&self) -> PathBuf {
        self.segments.get(self.current).map(|segment| segment.path.clone()).unwrap_or_default()
    }
}
