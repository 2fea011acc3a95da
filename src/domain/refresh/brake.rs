//! The brake of a client id: where a provider refuses *us*, every further request does harm and none can succeed.
//!
//! The hard problem: a wrong client secret looks, connection by connection, like a thousand revoked connections. The
//! answer: it is one fault, of ours; the first sign of it stops all exchanges of that client, marks nothing, and one
//! connection at a time is let through at growing spans until one succeeds.
//!
//! Never marks a connection.

use std::time::Duration;

/// The first span between two trials.
const FIRST: Duration = Duration::from_secs(60);
/// The longest.
const LONGEST: Duration = Duration::from_secs(900);

/// The brake of one client id. Times are spans since a moment of the caller's, on a clock that does not jump.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Brake {
    /// All may pass.
    #[default]
    Off,
    /// Nobody may, but one at `trial_at`.
    On {
        /// When the next may.
        trial_at: Duration,
        /// How long after that the one after it may.
        span: Duration,
    },
}

/// Whether an exchange may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Pass {
    /// It may.
    Go,
    /// It may not; nor may any other for so long.
    Stop(Duration),
    /// It may, alone: it is the trial.
    Trial,
}

impl Brake {
    /// Asks to begin an exchange. A trial that is let through is the only one until its span is over.
    pub fn ask(&mut self, now: Duration) -> Pass {
        match self {
            Self::Off => Pass::Go,
            Self::On { trial_at, .. } if now < *trial_at => Pass::Stop(*trial_at - now),
            Self::On { trial_at, span } => {
                *span = span.saturating_mul(2).min(LONGEST);
                *trial_at = now + *span;
                Pass::Trial
            }
        }
    }

    /// The provider has refused the client. True where that is news.
    pub fn refused(&mut self, now: Duration) -> bool {
        let news = *self == Self::Off;
        if news {
            *self = Self::On { trial_at: now + FIRST, span: FIRST };
        }
        news
    }

    /// The provider has taken the client. True where the brake was on.
    pub fn taken(&mut self) -> bool {
        std::mem::take(self) != Self::Off
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_connections_with_one_broken_secret_cost_few_calls() {
        let (mut brake, mut calls, mut alerts) = (Brake::Off, 0, 0);
        for second in 0..600 {
            let now = Duration::from_secs(second);
            for _ in 0..1000 {
                if !matches!(brake.ask(now), Pass::Stop(_)) {
                    calls += 1;
                    alerts += u32::from(brake.refused(now));
                }
            }
        }
        assert_eq!((calls, alerts), (4, 1), "at 0, 60, 180 and 420 seconds");
        assert!(brake.taken());
        assert_eq!(brake.ask(Duration::from_secs(600)), Pass::Go);
    }
}
