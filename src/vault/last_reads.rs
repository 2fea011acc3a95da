//! When a connection's token was last read, since the daemon started.
//!
//! The hard problem: it stands on the hottest path of all, where a map of everything that was read costs as much
//! as the decryption. The answer: one slot by hash, found at once; a connection that shares a slot with one that was
//! read later is forgotten.
//!
//! Not durable: a durable write for each read would cost more than the read.

use std::sync::atomic::{AtomicU64, Ordering};

use tokenkeep_client::moment::Moment;

use crate::store::Key;

/// 8 bytes each: 2 MiB.
const SLOTS: usize = 1 << 18;

/// The last reads: 32 bits of the blind key, and seconds since 1970 up to the year 2106.
#[derive(Debug)]
pub(super) struct LastReads(Box<[AtomicU64]>);

impl LastReads {
    pub(super) fn new() -> Self {
        Self((0..SLOTS).map(|_| AtomicU64::new(0)).collect())
    }

    pub(super) fn note(&self, key: &Key, now: Moment) {
        let (slot, tag) = self.slot(key);
        let seconds = u32::try_from(now.unix()).unwrap_or(u32::MAX);
        slot.store(u64::from(tag) << 32 | u64::from(seconds), Ordering::Relaxed);
    }

    pub(super) fn at(&self, key: &Key) -> Option<Moment> {
        let (slot, tag) = self.slot(key);
        let found = slot.load(Ordering::Relaxed);
        let (found_tag, seconds) = (found >> 32, found & u64::from(u32::MAX));
        if found_tag == u64::from(tag) && seconds > 0 { Moment::from_unix(seconds) } else { None }
    }

    /// When this connection was last read, or one that shares its slot: not later than that, in any case.
    pub(super) fn latest(&self, key: &Key) -> Option<Moment> {
        let seconds = self.slot(key).0.load(Ordering::Relaxed) & u64::from(u32::MAX);
        Moment::from_unix(seconds).filter(|_| seconds > 0)
    }

    /// Blind keys are MACs: any of their bits are as good as random.
    fn slot(&self, key: &Key) -> (&AtomicU64, u32) {
        let word = |from: usize| {
            let mut bytes = [0; 4];
            bytes.copy_from_slice(&key.0[from..from + 4]);
            u32::from_be_bytes(bytes)
        };
        (&self.0[word(25) as usize % SLOTS], word(29))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_is_remembered_until_another_takes_its_slot() {
        let reads = LastReads::new();
        let key = Key([7; 33]);
        assert_eq!(reads.at(&key), None);
        let at = Moment::from_unix(1_800_000_000).expect("in range");
        reads.note(&key, at);
        assert_eq!(reads.at(&key), Some(at));
        let mut neighbour = key;
        neighbour.0[32] ^= 1;
        assert_eq!(reads.at(&neighbour), None);
        reads.note(&neighbour, at);
        assert_eq!(reads.at(&key), None);
        assert_eq!(reads.latest(&key), Some(at), "it may have been this one");
    }
}
