//! When to try again what was not processed: growing spans with jitter, and never sooner than the provider asks.
//!
//! Randomness is an argument.

use std::time::Duration;

/// The first span.
const FIRST: Duration = Duration::from_secs(1);
/// The longest span that is not the provider's own wish.
const LONGEST: Duration = Duration::from_secs(300);
/// A wish beyond this is not heeded: a header must not put a connection to sleep for a year.
const LONGEST_WISH: Duration = Duration::from_secs(3600);

/// How long to wait after so many failures in a row (from 1). `chance` is from 0 to 1: up to half of the span comes on
/// top, so that those who failed together do not come back together.
#[must_use]
pub fn wait(failures: u32, wish: Option<Duration>, chance: f64) -> Duration {
    let doubled = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST);
    let base = doubled.max(wish.unwrap_or_default().min(LONGEST_WISH));
    base + base.mul_f64(chance.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_grow_to_an_end_and_are_never_shorter_than_the_wish() {
        let spans: Vec<u64> = (1..12).map(|failures| wait(failures, None, 0.0).as_secs()).collect();
        assert_eq!(spans, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        let wish = Some(Duration::from_secs(90));
        assert_eq!(wait(1, wish, 0.0), Duration::from_secs(90));
        assert_eq!(wait(1, wish, 1.0), Duration::from_secs(135));
        assert_eq!(wait(u32::MAX, Some(Duration::MAX), 1.0), Duration::from_secs(5400));
    }
}
