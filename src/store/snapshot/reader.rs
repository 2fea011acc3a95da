//! Reading a snapshot from front to back, a block at a time, believing nothing.
//!
//! Never holds more than a block, and never gives a record of a block before the whole block was verified.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Snapshot;
use super::format::{self, HEAD, LEAST, MOST};
use crate::crypto::mac::MAC_LENGTH;
use crate::store::journal::segment::{Identity, Refusal};
use crate::store::journal::walk::Trouble;
use crate::store::{Key, Record};

/// Bytes asked of the kernel at once.
const AT_ONCE: usize = 1 << 20;

/// What is asked of a block before its records are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    /// Its MAC: nobody has changed it.
    Mac,
    /// Its checksum: no disk has.
    Sum,
}

/// A snapshot that is being read.
pub struct Reader {
    identity: Identity,
    proof: Proof,
    snapshot: Snapshot,
    file: BufReader<File>,
    /// Where the block starts, and the next one.
    offset: u64,
    next: u64,
    mac: [u8; MAC_LENGTH],
    block: Vec<u8>,
    /// Where in the block the next record is, and how many are left in it.
    at: usize,
    left: u32,
    last: Option<Key>,
    ended: bool,
}

impl Reader {
    /// Opens the file and verifies its head.
    ///
    /// # Errors
    /// It is no snapshot of this vault, or not the one that its name says, or it cannot be read.
    pub fn open(path: &Path, identity: &Identity) -> Result<Self, Trouble> {
        let io = |error| Trouble::Io { file: path.to_owned(), error };
        let file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        let mut file = BufReader::with_capacity(AT_ONCE, file);
        let mut head = Vec::with_capacity(HEAD);
        file.by_ref().take(HEAD as u64).read_to_end(&mut head).map_err(io)?;
        let damaged = |what: &str| Trouble::Damaged { file: path.to_owned(), offset: 0, what: what.into() };
        let (head, mac) = format::decode_head(identity, &head).map_err(|refusal| match refusal {
            Refusal::Damaged(what) => damaged(what),
            Refusal::NewerFormat(format) => Trouble::NewerFormat { file: path.to_owned(), format },
        })?;
        let named = path.file_name().and_then(|name| name.to_str()).and_then(super::sequence_in_name);
        if named.is_some_and(|sequence| sequence != head.at.sequence) {
            return Err(damaged("the snapshot has the name of another"));
        }
        Ok(Self {
            identity: identity.clone(),
            proof: Proof::Mac,
            snapshot: Snapshot::new(path.to_owned(), head, length),
            file,
            offset: 0,
            next: HEAD as u64,
            mac,
            block: Vec::new(),
            at: 0,
            left: 0,
            last: None,
            ended: false,
        })
    }

    /// As [`Reader::open`], for one that this process has just written, or has read whole a moment ago: that its disk has not changed it
    /// is what is asked, and of a block its checksum says that.
    pub(crate) fn open_own(path: &Path, identity: &Identity) -> Result<Self, Trouble> {
        Ok(Self { proof: Proof::Sum, ..Self::open(path, identity)? })
    }

    /// What its head says.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Bytes that were read and verified.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.next
    }

    /// The MAC of the last block that was read, which covers all those before.
    pub(crate) fn mac(&self) -> &[u8; MAC_LENGTH] {
        &self.mac
    }

    /// The next record in key order; none where the snapshot ends, whole.
    ///
    /// # Errors
    /// It is not what was written, and where; or it cannot be read.
    #[expect(clippy::should_implement_trait, reason = "an iterator of results would go on after an error")]
    pub fn next(&mut self) -> Result<Option<(Key, Record)>, Trouble> {
        while self.left == 0 {
            if self.ended {
                return Ok(None);
            }
            self.load()?;
        }
        let end = self.block.len() - format::trailer();
        let mut rest = self.block.get(self.at..end).unwrap_or_default();
        let taken = format::take(&mut rest).map(|(key, revision, value)| {
            let record = Record { revision, value: Arc::from(value) };
            (key, record, end - rest.len())
        });
        let Some((key, record, at)) = taken else {
            return Err(self.damaged("a record is longer than its block"));
        };
        if self.last.is_some_and(|last| last >= key) {
            return Err(self.damaged("its records are not in the order of their keys"));
        }
        (self.at, self.left, self.last) = (at, self.left - 1, Some(key));
        if self.left == 0 && at != end {
            return Err(self.damaged("a block holds more than its records"));
        }
        Ok(Some((key, record)))
    }

    /// Reads the blocks that are left, and counts their records without looking at them.
    pub(crate) fn skip_all(&mut self) -> Result<u64, Trouble> {
        let mut records = 0;
        while !self.ended {
            self.load()?;
            records += u64::from(std::mem::take(&mut self.left));
        }
        Ok(records)
    }

    fn load(&mut self) -> Result<(), Trouble> {
        self.offset = self.next;
        let mut length = [0; 4];
        self.fill(&mut length)?;
        let whole = u32::from_le_bytes(length) as usize;
        if !(LEAST..=MOST).contains(&whole) {
            return Err(self.damaged("the block has an impossible length"));
        }
        let mut block = std::mem::take(&mut self.block);
        block.clear();
        block.resize(whole, 0);
        block[..4].copy_from_slice(&length);
        self.fill(&mut block[4..])?;
        let checked = match self.proof {
            Proof::Mac => format::check(&self.identity, &self.mac, &block),
            Proof::Sum => format::check_sum(&block),
        };
        let (records, mac) = checked.map_err(|what| self.damaged(what))?;
        (self.block, self.at, self.left, self.mac) = (block, 8, records, mac);
        self.next += whole as u64;
        self.ended = records == 0;
        if self.ended && (self.next != self.snapshot.bytes || whole != LEAST) {
            return Err(self.damaged("something stands behind the end of the snapshot"));
        }
        Ok(())
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Trouble> {
        match self.file.read_exact(bytes) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                Err(self.damaged("the snapshot is cut off"))
            }
            Err(error) => Err(Trouble::Io { file: self.path(), error }),
        }
    }

    /// Damage in the block that is being read.
    pub(crate) fn damaged(&self, what: &str) -> Trouble {
        Trouble::Damaged { file: self.path(), offset: self.offset, what: what.to_owned() }
    }

    fn path(&self) -> PathBuf {
        self.snapshot.path.clone()
    }
}
