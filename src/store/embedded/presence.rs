//! Which keys there may be, so that the committer asks the index for no key that was never written.
//!
//! The hard problem: a new key is looked for like any other, and sled lets nobody look while it takes a batch: each commit of a new
//! key waited for the applier, in step with which it should not be. The answer: a blocked Bloom filter of all keys (Putze, Sanders,
//! Singler 2007). It forgets none, so it is made anew, beside the one in use, when as many have come as it was made for; until it is
//! there every key may be.
//!
//! Never says of a key that is there that it is not.

use std::hash::{BuildHasher, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::store::Key;
use crate::store::cache::KeyHashing;

/// Keys that a filter is made for, at least.
const LEAST: usize = 1 << 14;

/// Keys to a block of 512 bits. At 24 one absent key in two thousand is looked for in vain.
const TO_A_BLOCK: usize = 24;

/// Bits set for a key, all in one block: one line of the processor's cache.
const BITS: u32 = 8;

/// The filter, and the one that will take its place.
pub(crate) struct Presence(Mutex<Filters>);

struct Filters {
    /// Has every key.
    whole: Option<Filter>,
    /// Has every key that came since it was begun, and of the others those up to a key.
    underway: Option<(Filter, Option<Key>)>,
    least: usize,
}

struct Filter {
    blocks: Vec<[u64; 8]>,
    keys: usize,
    most: usize,
}

impl Presence {
    /// Knows of nothing yet.
    pub(crate) fn new() -> Self {
        Self::of(LEAST)
    }

    fn of(least: usize) -> Self {
        Self(Mutex::new(Filters { whole: None, underway: None, least }))
    }

    /// Whether the key may be there.
    pub(crate) fn may_have(&self, key: &Key) -> bool {
        self.filters().whole.as_ref().is_none_or(|filter| filter.has(key))
    }

    /// Takes keys in. By the committer alone, after they are where [`Self::wants`] has them found: a filter that is begun in between
    /// has them from there.
    pub(crate) fn note<'a>(&self, keys: impl Iterator<Item = &'a Key>) {
        let filters = &mut *self.filters();
        for key in keys {
            let underway = filters.underway.as_mut().map(|(filter, _)| filter);
            filters.whole.iter_mut().chain(underway).for_each(|filter| filter.add(key));
        }
    }

    /// After which key to read on, where keys are to be read: then all that are there now must be found in index and journal.
    /// `records` is about how many there are.
    pub(crate) fn wants(&self, records: u64) -> Option<Option<Key>> {
        let filters = &mut *self.filters();
        let is_due = filters.whole.as_ref().is_none_or(Filter::is_full);
        if is_due && filters.underway.is_none() {
            let most = usize::try_from(records).unwrap_or(usize::MAX).saturating_mul(2).max(filters.least);
            filters.underway = Some((Filter::new(most), None));
        }
        filters.underway.as_ref().map(|(_, after)| *after)
    }

    /// Takes in what was read: in order, none left out in between. Nothing is the end.
    pub(crate) fn learn(&self, keys: &[Key]) {
        let filters = &mut *self.filters();
        let Some((mut filter, _)) = filters.underway.take() else { return };
        keys.iter().for_each(|key| filter.add(key));
        match keys.last() {
            Some(last) => filters.underway = Some((filter, Some(*last))),
            None => filters.whole = Some(filter),
        }
    }

    fn filters(&self) -> MutexGuard<'_, Filters> {
        // Each step leaves filters that have what they had.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Filter {
    fn new(most: usize) -> Self {
        Self { blocks: vec![[0; 8]; most.div_ceil(TO_A_BLOCK).max(1)], keys: 0, most }
    }

    fn is_full(&self) -> bool {
        self.keys >= self.most
    }

    fn add(&mut self, key: &Key) {
        let (block, bits) = self.place(key);
        let mut is_new = false;
        for bit in bits {
            let (word, bit) = (&mut self.blocks[block][bit / 64], 1 << (bit % 64));
            is_new |= *word & bit == 0;
            *word |= bit;
        }
        self.keys += usize::from(is_new);
    }

    fn has(&self, key: &Key) -> bool {
        let (block, mut bits) = self.place(key);
        bits.all(|bit| self.blocks[block][bit / 64] & (1 << (bit % 64)) != 0)
    }

    /// The block of the key, and which of its bits are the key's.
    fn place(&self, key: &Key) -> (usize, impl Iterator<Item = usize> + use<>) {
        let mut hasher = KeyHashing.build_hasher();
        hasher.write(&key.0);
        let hash = hasher.finish();
        let block = (u128::from(hash) * self.blocks.len() as u128) >> 64;
        // Other bits than those that chose the block: nine for each, of another product of the same hash.
        let mut rest = u128::from(hash).wrapping_mul(0xd6e8_feb8_6659_fd93_a5a3_5625_6b3b_0b2d);
        rest ^= rest >> 64;
        let bits = (0..BITS).map(move |turn| (rest >> (9 * turn)) as usize & 511);
        (block as usize, bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u64) -> Key {
        let mut key = [3; 33];
        key[1..9].copy_from_slice(&number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
        Key(key)
    }

    #[test]
    fn until_all_were_read_every_key_may_be_there() {
        let presence = Presence::new();
        assert_eq!(presence.wants(0), Some(None));
        presence.learn(&[key(1)]);
        assert!(presence.may_have(&key(2)));
        assert_eq!(presence.wants(0), Some(Some(key(1))));
        presence.learn(&[]);
        assert!(presence.may_have(&key(1)) && !presence.may_have(&key(2)));
        assert_eq!(presence.wants(0), None);
    }

    #[test]
    fn no_key_is_forgotten_while_the_filter_is_made_anew_and_few_others_are_taken_for_one() {
        let presence = Presence::of(1000);
        presence.wants(0);
        presence.learn(&[]);
        let mut made = 0;
        for number in 0..100_000 {
            presence.note([key(number)].iter());
            if let Some(after) = presence.wants(number) {
                // Out of order, as far as this filter knows: it is told all of them in one part.
                let all: Vec<Key> = (0..=number).map(key).collect();
                presence.learn(if after.is_none() { &all } else { &[] });
                made += usize::from(after.is_none());
            }
            assert!(presence.may_have(&key(number)));
        }
        assert!(made > 3, "{made}");
        assert!((0..100_000).all(|number| presence.may_have(&key(number))));
        let wrong = (100_000..200_000).filter(|number| presence.may_have(&key(*number))).count();
        assert!(wrong < 500, "{wrong} of 100,000");
    }
}
