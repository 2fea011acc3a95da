//! Waiting for a source that is away: exponential backoff with full jitter, to a limit.
//!
//! Full jitter (a delay anywhere between nothing and the step) because after a power cut all hosts of a rack
//! ask the same secret manager at once (aws.amazon.com/builders-library, "Timeouts, retries and backoff with
//! jitter").
//!
//! Never sleeps and never rolls dice itself: both are handed in.

use std::time::Duration;

use zeroize::Zeroizing;

use super::{RootKeySource, SourceError};

/// How long to wait for a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Readings in all; at least one is made.
    pub attempts: u32,
    /// The step before the second reading; each further one is twice as long.
    pub first: Duration,
    /// The longest step.
    pub longest: Duration,
}

impl Patience {
    /// At boot: as many readings as may be made in `wait`, half of it on average. Then the service manager
    /// decides.
    #[must_use]
    pub fn within(wait: Duration) -> Self {
        let mut patience =
            Self { attempts: 1, first: Duration::from_millis(200), longest: Duration::from_secs(30) };
        let mut waited = patience.step(1);
        while waited <= wait {
            patience.attempts += 1;
            waited += patience.step(patience.attempts);
        }
        patience
    }

    /// A single reading: for a reload, where an admin waits for the answer.
    pub const NONE: Self = Self { attempts: 1, first: Duration::ZERO, longest: Duration::ZERO };

    /// The longest wait after so many failed readings.
    fn step(&self, failed: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(failed.saturating_sub(1));
        self.first.saturating_mul(doubled).min(self.longest)
    }
}

/// Reads the source until it gives the text, refuses, or patience ends. `sleep` waits; `random` gives 64 even
/// bits.
///
/// # Errors
/// The last one of the source.
pub fn fetch(
    source: &dyn RootKeySource,
    patience: &Patience,
    sleep: &dyn Fn(Duration),
    random: &dyn Fn() -> u64,
) -> Result<Zeroizing<Vec<u8>>, SourceError> {
    let mut failed = 0;
    loop {
        match source.read() {
            Ok(text) => return Ok(text),
            Err(error) => {
                failed += 1;
                if !error.is_retryable() || failed >= patience.attempts {
                    return Err(error);
                }
                sleep(share_of(patience.step(failed), random()));
            }
        }
    }
}

/// `dice / 2^64` of the step.
fn share_of(step: Duration, dice: u64) -> Duration {
    let nanoseconds = (step.as_nanos().min(u128::from(u64::MAX)) * u128::from(dice)) >> 64;
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
}
