//! Sealed records in memory, in front of the index: a random read from sled costs five times as much
//! (docs/storage.md).
//!
//! The first hard problem: a reader that took a record from the index just before it changed must not put it here
//! just after. The answer: a reader notes how often its shard was renewed *before* it asks the index, and the committer,
//! *after* it has changed the index, writes here and counts that; who comes with an older count stores nothing.
//!
//! The second: among a hundred thousand records, each step to another place in memory is waited for. The answer: slots
//! so small that those of all records stay near the processor, and from there everything of a record in one step: its key
//! and all that is read of its value are asked for at once. What goes when it is full is found by a hand that goes round
//! the table and spares once what was read since it came by (CLOCK, Corbato 1968): what was read a single time goes first.
//!
//! Holds ciphertext only, and never an absence.

use std::hash::{BuildHasher, Hasher};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use hashbrown::HashTable;

use super::index::{Pointed, Pointer, Written};
use super::{KEY_LENGTH, Key, Record};

/// What an entry takes beside its value: its block, its slot and its share of the empty ones, and the head of the value's block.
const ENTRY_BYTES: u64 = 208;

/// Above this share of the whole a record is not kept: it would push everything else out.
const LARGEST_SHARE: u64 = 64;

/// What the processor fetches from memory at once, or a part of it.
const LINE_BYTES: usize = 64;

/// A record of usual size.
const FETCHED_LINES: usize = 16;

/// So many locks, so that threads seldom meet. Fewer than [`LARGEST_SHARE`]: the largest record fits into its shard.
const SHARDS: usize = 32;

/// Records by key, bounded by their bytes.
pub(crate) struct Cache {
    shards: Box<[RwLock<Shard>]>,
    largest: u64,
}

/// The records whose hashes fall here.
struct Shard {
    slots: HashTable<Slot>,
    /// Of the entries, in bytes.
    weight: u64,
    most: u64,
    /// The slot that is looked at next when room is needed.
    hand: usize,
    /// Counts what the committer has written here.
    renewals: u64,
}

/// What is looked at of records that are not the one that is looked for.
struct Slot {
    hash: u64,
    entry: Box<Entry>,
    value: Arc<[u8]>,
}

struct Entry {
    key: Key,
    /// Read since the hand came by.
    used: AtomicBool,
    pointer: Pointer,
}

impl Cache {
    /// Holds up to `capacity` bytes, its own included.
    pub(crate) fn new(capacity: u64) -> Self {
        let most = capacity / SHARDS as u64;
        let shards = (0..SHARDS).map(|_| RwLock::new(Shard::new(most)));
        Self { shards: shards.collect(), largest: capacity / LARGEST_SHARE }
    }

    /// The record under the key: from here, or from `load`, which asks the index.
    pub(crate) fn read<E>(
        &self,
        key: &Key,
        load: impl FnOnce() -> Result<Option<Pointed>, E>,
    ) -> Result<Option<Record>, E> {
        let hash = hash(key);
        let shard = self.shard(hash);
        let renewals = {
            let shard = looked_at(shard);
            if let Some(Slot { entry, value, .. }) = shard.find(hash, key) {
                // Before the handle is counted up: that waits for all that was asked for, and lets nothing pass.
                black_box(fetch(value));
                // Most often it is set already, and a line of memory that is only read stays with all who read it.
                if !entry.used.load(Ordering::Relaxed) {
                    entry.used.store(true, Ordering::Relaxed);
                }
                return Ok(Some(Record { revision: entry.pointer.revision, value: Arc::clone(value) }));
            }
            shard.renewals
        };
        let found = load()?;
        if let Some(pointed) = found.as_ref().filter(|pointed| weight(&pointed.record.value) <= self.largest)
        {
            let mut shard = changed(shard);
            // Otherwise the committer was here since, perhaps with a newer one of this key.
            if shard.renewals == renewals {
                shard.put(hash, *key, pointed.clone());
            }
        }
        Ok(found.map(|pointed| pointed.record))
    }

    /// Brings what it holds of these keys from memory into the processor, which waits for many of them at once: no lock
    /// is taken and nothing is counted between one and the next, as both must wait for all that was asked for before.
    pub(crate) fn prefetch(&self, keys: &[Key]) {
        let shards: Vec<_> = self.shards.iter().map(looked_at).collect();
        let slots: Vec<_> = keys
            .iter()
            .filter_map(|key| {
                let hash = hash(key);
                shards[shard_of(hash)].slots.find(hash, |slot| slot.hash == hash)
            })
            .collect();
        black_box(slots.iter().fold(0, |all, slot| all ^ slot.entry.key.0[0] ^ fetch(&slot.value)));
    }

    /// What points to the record, if it is here; does not count as a use.
    pub(crate) fn peek(&self, key: &Key) -> Option<Pointer> {
        let hash = hash(key);
        looked_at(self.shard(hash)).find(hash, key).map(|slot| slot.entry.pointer)
    }

    /// Takes over what the index has just taken. By the one committer only, and only after the index.
    pub(crate) fn renew(&self, updates: Vec<Written>) {
        for (key, pointed) in updates {
            let hash = hash(&key);
            let mut shard = changed(self.shard(hash));
            shard.renewals += 1;
            match pointed.filter(|pointed| weight(&pointed.record.value) <= self.largest) {
                Some(pointed) => shard.put(hash, key, pointed),
                None => shard.remove(hash, &key),
            }
        }
    }

    fn shard(&self, hash: u64) -> &RwLock<Shard> {
        &self.shards[shard_of(hash)]
    }
}

/// Nothing panics while it holds a shard, but in want of memory.
fn looked_at(shard: &RwLock<Shard>) -> RwLockReadGuard<'_, Shard> {
    shard.read().unwrap_or_else(PoisonError::into_inner)
}

fn changed(shard: &RwLock<Shard>) -> RwLockWriteGuard<'_, Shard> {
    shard.write().unwrap_or_else(PoisonError::into_inner)
}

impl Shard {
    fn new(most: u64) -> Self {
        Self { slots: HashTable::new(), weight: 0, most, hand: 0, renewals: 0 }
    }

    fn find(&self, hash: u64, key: &Key) -> Option<&Slot> {
        self.slots.find(hash, |slot| slot.is_of(hash, key))
    }

    fn put(&mut self, hash: u64, key: Key, Pointed { record, pointer }: Pointed) {
        self.remove(hash, &key);
        let entry = Box::new(Entry { key, used: AtomicBool::new(false), pointer });
        let added = weight(&record.value);
        self.make_room(added);
        self.weight += added;
        let slot = Slot { hash, entry, value: record.value };
        self.slots.insert_unique(hash, slot, |slot| slot.hash);
    }

    fn remove(&mut self, hash: u64, key: &Key) {
        if let Ok(found) = self.slots.find_entry(hash, |slot| slot.is_of(hash, key)) {
            self.weight -= weight(&found.remove().0.value);
        }
    }

    /// Lets go of what was not used of late, until so many bytes fit in.
    fn make_room(&mut self, added: u64) {
        while self.weight + added > self.most && !self.slots.is_empty() {
            self.hand = (self.hand + 1) % self.slots.num_buckets();
            let Ok(mut found) = self.slots.get_bucket_entry(self.hand) else { continue };
            if !std::mem::take(found.get_mut().entry.used.get_mut()) {
                self.weight -= weight(&found.remove().0.value);
            }
        }
    }
}

impl Slot {
    fn is_of(&self, hash: u64, key: &Key) -> bool {
        self.hash == hash && self.entry.key == *key
    }
}

/// Asks for all of a value that is read at once; what it gives is of no use but to have been waited for.
fn fetch(value: &[u8]) -> u8 {
    value.iter().step_by(LINE_BYTES).take(FETCHED_LINES).fold(0, |all, byte| all ^ byte)
}

/// The table takes the lowest bits of the hash and the highest ones: these are others.
fn shard_of(hash: u64) -> usize {
    (hash >> 32) as usize % SHARDS
}

fn hash(key: &Key) -> u64 {
    KeyHashing.hash_one(key)
}

fn weight(value: &[u8]) -> u64 {
    ENTRY_BYTES + value.len() as u64
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
