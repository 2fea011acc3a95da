//! Chance that can be had again: SplitMix64 (Steele, Lea, Flood, 2014) from a seed that the test prints.
//!
//! Never asks the system for randomness.

use std::time::Duration;

/// A sequence of numbers.
#[derive(Debug, Clone)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Another sequence, for somebody else.
    pub(crate) fn split(&mut self) -> Self {
        Self(self.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// True once in `times`.
    pub(crate) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// Shorter than `most`, and often much shorter.
    pub(crate) fn span(&mut self, most: Duration) -> Duration {
        let whole = u64::try_from(most.as_micros()).unwrap_or(u64::MAX).max(1);
        let most = if self.once_in(2) { whole } else { whole / 10 + 1 };
        Duration::from_micros(self.below(most))
    }
}
