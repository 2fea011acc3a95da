//! Pointers of neighbouring keys, as one entry of sled.
//!
//! The hard problem: sled takes as long for an entry of a hundred bytes as for one of four thousand, and leaves as much behind that it has to
//! clear away. The answer: the pointers of up to [`MOST`] keys in a row are one entry, and many changes at a time, in key order, rewrite each
//! such leaf once.
//!
//! ```text
//! for each pointer, in key order:  33 key, 8 revision, 4 offset, 4 length, 16 digest
//! at the end:                      4 CRC32C over the leaf's own key and all of those
//! ```
//!
//! Never gives out a pointer of a leaf whose checksum does not hold.

use std::cmp::Ordering;

use super::entry::{POINTER, decode, encode, misshapen};
use super::{Pointer, Update};
use crate::store::{KEY_LENGTH, Key};

/// Pointers in a leaf at most.
pub(crate) const MOST: usize = 64;

/// Pointers in each of those that a full one is split into, at most: room for some that come in between.
const SPLIT: usize = MOST * 3 / 4;

/// Pointers below which a leaf is joined to the one before.
pub(crate) const LEAST: usize = MOST / 8;

const ENTRY: usize = KEY_LENGTH + POINTER;

/// The pointers of a leaf, as they stand in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leaf<B>(B);

impl<'a> Leaf<&'a [u8]> {
    /// No pointers.
    pub(crate) fn none() -> Self {
        Self(&[])
    }

    /// What was stored under this key of sled.
    pub(crate) fn stored(lowest: &Key, stored: &'a [u8]) -> sled::Result<Self> {
        let (entries, sum) = stored.split_last_chunk().ok_or_else(misshapen)?;
        if !entries.len().is_multiple_of(ENTRY) || u32::from_le_bytes(*sum) != checksum(lowest, entries) {
            return Err(misshapen());
        }
        Ok(Self(entries))
    }
}

impl<B: AsRef<[u8]>> Leaf<B> {
    /// How many pointers.
    pub(crate) fn len(&self) -> usize {
        self.entries().len()
    }

    /// To the record under the key.
    pub(crate) fn find(&self, key: &Key) -> Option<Pointer> {
        let entries = self.entries();
        let at = entries.binary_search_by(|entry| compare(entry, key)).ok()?;
        entries.get(at).map(pointer)
    }

    /// All of them, in key order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key, Pointer)> + '_ {
        self.entries().iter().map(|entry| (key(entry), pointer(entry)))
    }

    /// With those updates, which are in key order.
    pub(crate) fn with(&self, updates: &[Update]) -> Leaf<Vec<u8>> {
        let mut left = self.entries();
        let mut changed = Vec::with_capacity((left.len() + updates.len()) * ENTRY);
        for (updated, pointer) in updates {
            let before = left.partition_point(|entry| compare(entry, updated) == Ordering::Less);
            changed.extend_from_slice(left[..before].as_flattened());
            left = &left[before..];
            if left.first().is_some_and(|entry| compare(entry, updated) == Ordering::Equal) {
                left = &left[1..];
            }
            if let Some(pointer) = pointer {
                changed.extend_from_slice(&updated.0);
                changed.extend_from_slice(&encode(pointer));
            }
        }
        changed.extend_from_slice(left.as_flattened());
        Leaf(changed)
    }

    /// As it is stored under this key of sled.
    pub(crate) fn to_stored(&self, lowest: &Key) -> Vec<u8> {
        let entries = self.0.as_ref();
        let mut stored = Vec::with_capacity(entries.len() + 4);
        stored.extend_from_slice(entries);
        stored.extend_from_slice(&checksum(lowest, entries).to_le_bytes());
        stored
    }

    /// As leaves that are not too long, each with its lowest key; that of the first is the given one.
    pub(crate) fn split(&self, lowest: &Key) -> Vec<(Key, Leaf<&[u8]>)> {
        let entries = self.entries();
        let parts = if entries.len() <= MOST { 1 } else { entries.len().div_ceil(SPLIT) };
        let mut leaves: Vec<_> = entries
            .chunks(entries.len().div_ceil(parts).max(1))
            .map(|part| (key(&part[0]), Leaf(part.as_flattened())))
            .collect();
        if let Some((first, _)) = leaves.first_mut() {
            *first = *lowest;
        }
        leaves
    }

    fn entries(&self) -> &[[u8; ENTRY]] {
        self.0.as_ref().as_chunks().0
    }
}

impl Leaf<Vec<u8>> {
    /// Those of another one, whose keys are above all of these, after these.
    pub(crate) fn join(&mut self, above: &Self) {
        self.0.extend_from_slice(&above.0);
    }
}

/// The sum of the digests says nothing of the other fields, and nothing of the keys: the checksum does.
fn checksum(lowest: &Key, entries: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&lowest.0), entries)
}

fn key(entry: &[u8; ENTRY]) -> Key {
    let mut key = [0; KEY_LENGTH];
    key.copy_from_slice(&entry[..KEY_LENGTH]);
    Key(key)
}

fn compare(entry: &[u8; ENTRY], key: &Key) -> Ordering {
    entry[..KEY_LENGTH].cmp(&key.0[..])
}

fn pointer(entry: &[u8; ENTRY]) -> Pointer {
    entry.last_chunk().map_or(Pointer { revision: 0, offset: 0, length: 0, digest: 0 }, decode)
}
