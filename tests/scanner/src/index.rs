//! Finds many patterns in one pass: windows of eight bytes, a filter of bits before a table of hashes.
//!
//! The hard problem: fragments of a thousand secrets in a dozen forms, at every byte of a gigabyte. The answer: of each
//! pattern only as many windows are kept as any run that counts must cross; whatever the filter lets through is compared
//! to both sides, and what is long enough is a hit.

use crate::needle::Pattern;

const WINDOW: usize = 8;
const NONE: u32 = u32::MAX;

/// A run of bytes that are a pattern's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Found {
    pub(crate) pattern: u32,
    pub(crate) address: u64,
    pub(crate) length: usize,
}

#[derive(Clone, Copy)]
struct Entry {
    window: u64,
    pattern: u32,
    offset: u32,
}

struct Kept {
    bytes: Vec<u8>,
    least: usize,
}

pub(crate) struct Index {
    patterns: Vec<Kept>,
    filter: Vec<u64>,
    filter_shift: u32,
    table: Vec<Entry>,
    longest: usize,
}

impl Index {
    pub(crate) fn new(patterns: &[Pattern]) -> Self {
        let mut entries = Vec::new();
        for (number, pattern) in patterns.iter().enumerate() {
            let stride = pattern.least.max(WINDOW) - WINDOW + 1;
            for (offset, window) in pattern.bytes.windows(WINDOW).enumerate().step_by(stride) {
                let window = read(window);
                // One byte eight times over stands everywhere.
                if window != window.rotate_left(8) {
                    entries.push(Entry { window, pattern: number as u32, offset: offset as u32 });
                }
            }
        }
        let bits = (entries.len() * 32).next_power_of_two().max(1 << 12);
        let slots = (entries.len() * 2).next_power_of_two().max(2);
        let mut index = Self {
            patterns: patterns
                .iter()
                .map(|pattern| Kept { bytes: pattern.bytes.clone(), least: pattern.least })
                .collect(),
            filter: vec![0; bits / 64],
            filter_shift: 64 - bits.trailing_zeros(),
            table: vec![Entry { window: 0, pattern: NONE, offset: 0 }; slots],
            longest: patterns.iter().map(|pattern| pattern.bytes.len()).max().unwrap_or(WINDOW),
        };
        entries.into_iter().for_each(|entry| index.insert(entry));
        index
    }

    /// Bytes that two pieces must share so that nothing between them is missed.
    pub(crate) fn overlap(&self) -> usize {
        2 * self.longest
    }

    fn insert(&mut self, entry: Entry) {
        let hash = hash(entry.window);
        let bit = (hash >> self.filter_shift) as usize;
        self.filter[bit / 64] |= 1 << (bit % 64);
        let mask = self.table.len() - 1;
        let mut slot = hash as usize & mask;
        while self.table[slot].pattern != NONE {
            slot = (slot + 1) & mask;
        }
        self.table[slot] = entry;
    }

    /// Adds every run in `bytes`, which stand at `base`.
    pub(crate) fn search(&self, bytes: &[u8], base: u64, found: &mut Vec<Found>) {
        let begun = found.len();
        let filter = self.filter.as_slice();
        for (at, window) in bytes.windows(WINDOW).enumerate() {
            let window = read(window);
            let hash = hash(window);
            let bit = (hash >> self.filter_shift) as usize;
            if filter[bit / 64] >> (bit % 64) & 1 == 1 {
                self.look_up(window, hash, bytes, at, base, found);
            }
        }
        // Each window of a run has found it again.
        found[begun..].sort_unstable();
        let fresh = found.split_off(begun);
        for run in fresh {
            if found.last() != Some(&run) {
                found.push(run);
            }
        }
    }

    fn look_up(&self, window: u64, hash: u64, bytes: &[u8], at: usize, base: u64, found: &mut Vec<Found>) {
        let mask = self.table.len() - 1;
        let mut slot = hash as usize & mask;
        loop {
            let entry = self.table[slot];
            if entry.pattern == NONE {
                return;
            }
            if entry.window == window {
                let kept = &self.patterns[entry.pattern as usize];
                let (start, length) = run(&kept.bytes, entry.offset as usize, bytes, at);
                if length >= kept.least {
                    found.push(Found { pattern: entry.pattern, address: base + start as u64, length });
                }
            }
            slot = (slot + 1) & mask;
        }
    }
}

/// How far both agree to both sides of a window in which they do: where it starts in `bytes`, and its length.
fn run(pattern: &[u8], offset: usize, bytes: &[u8], at: usize) -> (usize, usize) {
    let before = pattern[..offset].iter().rev().zip(bytes[..at].iter().rev());
    let before = before.take_while(|(a, b)| a == b).count();
    let after = pattern[offset + WINDOW..].iter().zip(&bytes[at + WINDOW..]);
    let after = after.take_while(|(a, b)| a == b).count();
    (at - before, before + WINDOW + after)
}

fn read(window: &[u8]) -> u64 {
    let mut bytes = [0; WINDOW];
    bytes.copy_from_slice(window);
    u64::from_le_bytes(bytes)
}

/// Fibonacci hashing (Knuth, TAOCP 6.4); the high half is mixed in for the slot, which takes low bits.
fn hash(window: u64) -> u64 {
    let product = window.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    product ^ product >> 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Needles, fresh_text};

    /// Every fragment of eight bytes, at every place, at the edges too.
    #[test]
    fn every_fragment_is_found_wherever_it_stands() {
        let secret = fresh_text().unwrap_or_default();
        let mut needles = Needles::default();
        needles.canary("it", secret.as_bytes());
        let index = Index::new(needles.patterns());
        for start in 0..=secret.len() - WINDOW {
            for place in [0, 1, 7, 50, 56] {
                let mut hay = vec![b'.'; 64];
                hay[place..place + WINDOW].copy_from_slice(&secret.as_bytes()[start..start + WINDOW]);
                let mut found = Vec::new();
                index.search(&hay, 1000, &mut found);
                assert_eq!(found.len(), 1, "{start} {place}");
                assert_eq!((found[0].address, found[0].length), (1000 + place as u64, WINDOW));
            }
        }
    }

    /// Of each form a run of its least length, cut anywhere.
    #[test]
    fn every_least_run_of_every_form_is_found() {
        let secret = fresh_text().unwrap_or_default();
        let mut needles = Needles::default();
        needles.canary("it", secret.as_bytes());
        assert!(needles.fernet_key("key", "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4="));
        let index = Index::new(needles.patterns());
        for (number, pattern) in needles.patterns().iter().enumerate() {
            for part in pattern.bytes.windows(pattern.least) {
                let mut found = Vec::new();
                index.search(part, 0, &mut found);
                let is_it = |run: &&Found| run.pattern as usize == number && run.length == pattern.least;
                assert!(found.iter().any(|run| is_it(&run)), "{}", pattern.form);
            }
        }
    }

    #[test]
    fn less_than_a_fragment_is_nothing() {
        let secret = fresh_text().unwrap_or_default();
        let mut needles = Needles::default();
        needles.canary("it", secret.as_bytes());
        let (index, mut found) = (Index::new(needles.patterns()), Vec::new());
        index.search(&secret.as_bytes()[..WINDOW - 1], 0, &mut found);
        index.search(b"", 0, &mut found);
        index.search(&[0; 4096], 0, &mut found);
        assert_eq!(found, []);
    }
}
