//! A snapshot as a place to read single records from.
//!
//! The hard problem: the index must not know where in a snapshot a record stands, or each new one would have it written anew.
//! The answer: the records are in the order of their keys, so it is enough to know with which key each block begins.
//!
//! Never says that what it found is right: whoever asks knows the digest.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use super::format::{self, HEAD, LEAST, MOST};
use super::{Reader, Snapshot};
use crate::store::journal::segment::Identity;
use crate::store::journal::walk::Trouble;
use crate::store::{KEY_LENGTH, Key};

/// What is read of each block: its length, its count, the key of its first record.
const OPENING: usize = 8 + KEY_LENGTH;

/// An open snapshot and where its blocks are.
pub(crate) struct Base {
    pub(crate) snapshot: Snapshot,
    file: File,
    /// In key order; a block ends where the next one, or [`Base::end`], begins.
    blocks: Vec<Block>,
    end: u64,
    doubted: AtomicBool,
}

struct Block {
    first: Key,
    offset: u64,
}

/// The block that was read last, for who reads many records in their order.
#[derive(Default)]
pub(crate) struct Held {
    /// Of which snapshot and where: none while nothing was read.
    from: Option<(u64, u64)>,
    bytes: Vec<u8>,
}

impl Held {
    /// Whether the checksum of the block holds.
    pub(crate) fn is_sound(&self) -> bool {
        let split = self.bytes.split_last_chunk();
        split.is_some_and(|(summed, checksum)| crc32c::crc32c(summed).to_le_bytes() == *checksum)
    }
}

impl Base {
    /// Opens it and finds its blocks. What is in them is not verified.
    pub(crate) fn open(snapshot: &Snapshot, identity: &Identity) -> Result<Self, Trouble> {
        let snapshot = Reader::open(&snapshot.path, identity)?.snapshot().clone();
        let io = |error| Trouble::Io { file: snapshot.path.clone(), error };
        let file = File::open(&snapshot.path).map_err(io)?;
        let damaged = |offset, what: &str| Trouble::Damaged {
            file: snapshot.path.clone(),
            offset,
            what: what.to_owned(),
        };
        let (mut blocks, mut offset): (Vec<Block>, _) = (Vec::new(), HEAD as u64);
        loop {
            let mut opening = [0; OPENING];
            match file.read_exact_at(&mut opening, offset) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(damaged(offset, "the snapshot is cut off"));
                }
                read => read.map_err(io)?,
            }
            let number = |at: usize| {
                opening.get(at..).and_then(|rest| rest.first_chunk()).copied().map_or(0, u32::from_le_bytes)
            };
            let (length, records) = (number(0), number(4));
            if !(LEAST..=MOST).contains(&(length as usize)) {
                return Err(damaged(offset, "the block has an impossible length"));
            }
            if records == 0 {
                return Ok(Self { snapshot, file, blocks, end: offset, doubted: AtomicBool::new(false) });
            }
            let first = Key(opening.last_chunk().copied().unwrap_or([0; KEY_LENGTH]));
            if blocks.last().is_some_and(|before| before.first >= first) {
                return Err(damaged(offset, "its records are not in the order of their keys"));
            }
            blocks.push(Block { first, offset });
            offset += u64::from(length);
        }
    }

    /// Revision and value of the record, if it is there and can be read.
    pub(crate) fn find<'a>(&self, key: &Key, held: &'a mut Held) -> io::Result<Option<(u64, &'a [u8])>> {
        let after = self.blocks.partition_point(|block| block.first <= *key);
        let Some(block) = after.checked_sub(1).and_then(|at| self.blocks.get(at)) else { return Ok(None) };
        let end = self.blocks.get(after).map_or(self.end, |next| next.offset);
        self.hold(block.offset, end, held)?;
        let records = held.bytes.len().saturating_sub(format::trailer());
        let mut rest = held.bytes.get(8..records).unwrap_or_default();
        while let Some((found, revision, value)) = format::take(&mut rest) {
            if found >= *key {
                return Ok((found == *key).then_some((revision, value)));
            }
        }
        Ok(None)
    }

    fn hold(&self, offset: u64, end: u64, held: &mut Held) -> io::Result<()> {
        let from = Some((self.snapshot.at.sequence, offset));
        if held.from != from {
            held.from = None;
            // Blocks are bounded by MOST, as was looked at.
            held.bytes.resize(usize::try_from(end - offset).unwrap_or(0), 0);
            self.file.read_exact_at(&mut held.bytes, offset)?;
            held.from = from;
        }
        Ok(())
    }

    /// A record in it is not what it must be. Whether this is the first to find that.
    pub(crate) fn doubt(&self) -> bool {
        !self.doubted.swap(true, Ordering::Relaxed)
    }

    /// Whether a record in it was not what it must be.
    pub(crate) fn is_doubted(&self) -> bool {
        self.doubted.load(Ordering::Relaxed)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &PathBuf {
        &self.snapshot.path
    }
}
