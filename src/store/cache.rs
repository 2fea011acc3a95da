//! Sealed records in memory, in front of the index: a random read from sled costs five times as much
//! (docs/storage.md).
//!
//! The hard problem: a reader that took a record from the index just before it changed must not put it here
//! just after. The answer: a reader claims the key *before* it asks the index, and the committer, *after* it has
//! changed the index, writes here and thereby voids every claim; a voided claim stores nothing.
//!
//! Holds ciphertext only, and never an absence.

use std::hash::{BuildHasher, Hasher};

use quick_cache::sync::{Cache as Entries, DefaultLifecycle, GuardResult};
use quick_cache::{OptionsBuilder, Weighter};

use super::index::{Pointed, Pointer, Written};
use super::{KEY_LENGTH, Key, Record};

/// What an entry takes beside its value: key, revision, pointer, the value's handle, the slots and links of the cache.
const ENTRY_BYTES: u64 = 208;

/// An entry of usual size, to guess how many there will be.
const USUAL_BYTES: u64 = 768;

/// Above this share of the whole a record is not kept: it would push everything else out.
const LARGEST_SHARE: u64 = 64;

/// Records by key, bounded by their bytes.
pub(crate) struct Cache {
    entries: Entries<Key, Pointed, Bytes, KeyHashing>,
    largest: u64,
}

impl Cache {
    /// Holds up to `capacity` bytes, its own included.
    #[expect(clippy::expect_used, reason = "the builder only refuses options that were not set")]
    pub(crate) fn new(capacity: u64) -> Self {
        let items = usize::try_from(capacity / USUAL_BYTES).unwrap_or(usize::MAX).max(1);
        let options = OptionsBuilder::new()
            .estimated_items_capacity(items)
            .weight_capacity(capacity)
            .build()
            .expect("both required options are set");
        let entries = Entries::with_options(options, Bytes, KeyHashing, DefaultLifecycle::default());
        Self { entries, largest: capacity / LARGEST_SHARE }
    }

    /// The record under the key: from here, or from `load`, which asks the index.
    pub(crate) fn read<E>(
        &self,
        key: &Key,
        load: impl FnOnce() -> Result<Option<Pointed>, E>,
    ) -> Result<Option<Record>, E> {
        let claim = match self.entries.get_value_or_guard(key, None) {
            GuardResult::Value(pointed) => return Ok(Some(pointed.record)),
            GuardResult::Guard(claim) => claim,
            // Cannot be: we set no limit. The index knows anyway.
            GuardResult::Timeout => return Ok(load()?.map(|pointed| pointed.record)),
        };
        let found = load()?;
        if let Some(pointed) = found.as_ref().filter(|pointed| weight(pointed) <= self.largest) {
            // Refused where the committer was here since: what it wrote is newer.
            drop(claim.insert(pointed.clone()));
        }
        Ok(found.map(|pointed| pointed.record))
    }

    /// What points to the record, if it is here; does not count as a use.
    pub(crate) fn peek(&self, key: &Key) -> Option<Pointer> {
        self.entries.peek(key).map(|pointed| pointed.pointer)
    }

    /// Takes over what the index has just taken. By the one committer only, and only after the index.
    pub(crate) fn renew(&self, updates: Vec<Written>) {
        for (key, pointed) in updates {
            match pointed.filter(|pointed| weight(pointed) <= self.largest) {
                Some(pointed) => self.entries.insert(key, pointed),
                None => drop(self.entries.remove(&key)),
            }
        }
    }
}

fn weight(pointed: &Pointed) -> u64 {
    ENTRY_BYTES + pointed.record.value.len() as u64
}

#[derive(Clone)]
struct Bytes;

impl Weighter<Key, Pointed> for Bytes {
    fn weight(&self, _: &Key, pointed: &Pointed) -> u64 {
        weight(pointed)
    }
}

/// Folds a key that is already as good as random (blind keys are MACs). A fixed hash is safe for the same
/// reason: without the key of the MAC nobody can aim at a slot.
#[derive(Clone, Copy)]
pub(crate) struct KeyHashing;

pub(crate) struct KeyHasher(u64);

impl BuildHasher for KeyHashing {
    type Hasher = KeyHasher;

    fn build_hasher(&self) -> KeyHasher {
        KeyHasher(0)
    }
}

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.write_u64(u64::from_le_bytes(*word));
        }
        for byte in rest {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, word: u64) {
        // Multiply and fold, as in wyhash; the constant is 2^64 over the golden ratio.
        let product = u128::from(self.0 ^ word).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = self.0.rotate_left(23) ^ (product as u64) ^ ((product >> 64) as u64);
    }

    fn write_usize(&mut self, _: usize) {
        // The length of the array, always the same.
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

const _: () = assert!(KEY_LENGTH == 33, "the hasher reads four words and a byte");

#[cfg(test)]
mod tests;
