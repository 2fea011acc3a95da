//! How often a client may ask: a token bucket in integers.
//!
//! It is kept as one moment, that when the bucket will be full again (the generic cell rate algorithm, ITU-T
//! I.371), so there is nothing to refill and nothing to round.
//!
//! Never reads the clock.

use std::time::Duration;

/// So many a second, and so many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    per_second: u32,
    burst: u32,
}

impl Rate {
    /// Most a second: beyond it the spacing is below what a clock tells apart.
    pub const MOST: u32 = 1_000_000;

    /// As fast as a rate can say.
    pub const HIGHEST: Self = Self::of(Self::MOST, Self::MOST);

    /// A rate that stands in the source: both numbers are from 1 to [`Rate::MOST`].
    #[must_use]
    pub const fn of(per_second: u32, burst: u32) -> Self {
        assert!(per_second >= 1 && per_second <= Self::MOST && burst >= 1 && burst <= Self::MOST);
        Self { per_second, burst }
    }

    /// A rate. `None` unless both are from 1 to [`Rate::MOST`].
    #[must_use]
    pub fn new(per_second: u32, burst: u32) -> Option<Self> {
        let valid = 1..=Self::MOST;
        (valid.contains(&per_second) && valid.contains(&burst)).then_some(Self { per_second, burst })
    }

    /// Requests a second, in the long run.
    #[must_use]
    pub fn per_second(self) -> u32 {
        self.per_second
    }

    /// Requests at once, after a rest.
    #[must_use]
    pub fn burst(self) -> u32 {
        self.burst
    }

    fn spacing(self) -> Duration {
        Duration::from_secs(1) / self.per_second
    }
}

/// What is left of a rate.
#[derive(Debug, Clone)]
pub struct Bucket {
    rate: Rate,
    /// Of the rate, divided once and not for each request.
    spacing: Duration,
    /// From empty to full.
    depth: Duration,
    full_at: Duration,
}

impl Bucket {
    /// A full one.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        let spacing = rate.spacing();
        Self { rate, spacing, depth: spacing * rate.burst, full_at: Duration::ZERO }
    }

    /// Of which rate it is.
    #[must_use]
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// Takes one, `now` being the time since any fixed moment. A clock that goes back takes nothing away and
    /// adds nothing.
    ///
    /// # Errors
    /// How long until there is one again. Nothing was taken.
    pub fn take(&mut self, now: Duration) -> Result<(), Duration> {
        let full_at = self.full_at.max(now) + self.spacing;
        let over = full_at.saturating_sub(now).saturating_sub(self.depth);
        if over > Duration::ZERO {
            return Err(over);
        }
        self.full_at = full_at;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn bucket(per_second: u32, burst: u32) -> Bucket {
        Bucket::new(Rate::new(per_second, burst).unwrap())
    }

    #[test]
    fn a_burst_then_the_rate() {
        let mut bucket = bucket(10, 3);
        for _ in 0..3 {
            assert_eq!(bucket.take(ms(5000)), Ok(()));
        }
        assert_eq!(bucket.take(ms(5000)), Err(ms(100)));
        assert_eq!(bucket.take(ms(5099)), Err(ms(1)));
        assert_eq!(bucket.take(ms(5100)), Ok(()));
        assert_eq!(bucket.take(ms(5100)), Err(ms(100)));
    }

    #[test]
    fn a_rest_fills_it_and_no_more_than_that() {
        let mut bucket = bucket(10, 3);
        for now in [ms(0), ms(1_000_000)] {
            for _ in 0..3 {
                assert_eq!(bucket.take(now), Ok(()));
            }
            assert!(bucket.take(now).is_err());
        }
    }

    #[test]
    fn asking_in_vain_costs_nothing() {
        let mut bucket = bucket(1, 1);
        assert_eq!(bucket.take(ms(0)), Ok(()));
        for _ in 0..1000 {
            assert_eq!(bucket.take(ms(1)), Err(ms(999)));
        }
        assert_eq!(bucket.take(ms(1000)), Ok(()));
    }

    #[test]
    fn in_the_long_run_it_is_the_rate() {
        let mut bucket = bucket(2000, 4000);
        let taken = (0..100_000).filter(|&i| bucket.take(Duration::from_micros(i * 100)).is_ok()).count();
        assert_eq!(taken, 4000 + 2000 * 10 - 1); // 10 s, the last instant not included
    }

    #[test]
    fn a_clock_that_goes_back_adds_nothing() {
        let mut bucket = bucket(10, 1);
        assert_eq!(bucket.take(ms(1000)), Ok(()));
        assert_eq!(bucket.take(ms(500)), Err(ms(600)));
        assert_eq!(bucket.take(ms(1100)), Ok(()));
    }

    #[test]
    fn rates_of_nothing_are_none() {
        assert_eq!(Rate::new(0, 1), None);
        assert_eq!(Rate::new(1, 0), None);
        assert_eq!(Rate::new(Rate::MOST + 1, 1), None);
        assert!(bucket(Rate::MOST, Rate::MOST).take(ms(0)).is_ok());
    }
}
