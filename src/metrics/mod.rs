//! What is counted, and the page that shows it (docs/metrics.md).
//!
//! The hard problem: every request is counted, so counting must cost next to nothing, and what is published must
//! not drift from what is documented. The answer: atomics in arrays, indexed by action and outcome; one table
//! ([`table`]) that the page is written from and that the tests hold against the page and the document.
//!
//! Never holds the name of an org, a connection or a secret: labels are words of this program.

mod alerting;
mod backup;
mod page;
pub mod table;

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use tokenkeep_client::problem::Code;

use crate::domain::action::Action;

pub use alerting::{Delivery, Refreshed};
pub use backup::{BackupMeters, Drilled};
pub use page::{Readings, StoreFiles, render};

/// Upper bounds in microseconds, from a read out of the cache to a commit on a slow disk; beyond the last is
/// infinity.
const BOUNDS: [u64; 15] = [
    25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000,
    10_000_000,
];

/// Outcomes that are no code of a problem document.
const OWN_OUTCOMES: [&str; 3] = ["ok", "abandoned", "recovered"];

/// Which door a connection came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// The admin socket.
    Admin,
    /// The TLS listener, for callers with certificates.
    Mtls,
    /// The application socket.
    Unix,
}

impl Door {
    const ALL: [Self; 3] = [Self::Admin, Self::Mtls, Self::Unix];

    fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Mtls => "mtls",
            Self::Unix => "unix",
        }
    }
}

/// Everything that is counted while the daemon runs.
#[derive(Debug)]
pub struct Meters {
    /// By action, then outcome.
    requests: Vec<AtomicU64>,
    /// By action.
    durations: Vec<Histogram>,
    doors: [DoorMeter; Door::ALL.len()],
    alerting: alerting::Alerting,
    backup: BackupMeters,
}

#[derive(Debug, Default)]
struct DoorMeter {
    open: AtomicI64,
    turned_away: AtomicU64,
}

#[derive(Debug, Default)]
struct Histogram {
    /// One for each bound, and one beyond them.
    counts: [AtomicU64; BOUNDS.len() + 1],
    nanoseconds: AtomicU64,
}

impl Default for Meters {
    fn default() -> Self {
        let mut requests = Vec::new();
        requests.resize_with(Action::ALL.len() * outcomes().count(), AtomicU64::default);
        let mut durations = Vec::new();
        durations.resize_with(Action::ALL.len(), Histogram::default);
        let (doors, alerting, backup) = Default::default();
        Self { requests, durations, doors, alerting, backup }
    }
}

impl Meters {
    /// Counts what became of a request, or of one item of a batch.
    pub fn count(&self, action: Action, outcome: &str) {
        let place = outcomes().position(|known| known == outcome);
        let at = place.and_then(|place| self.requests.get(action as usize * outcomes().count() + place));
        if let Some(counter) = at {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Notes how long an admitted operation took, until its outcome was known.
    pub fn took(&self, action: Action, span: Duration) {
        if let Some(histogram) = self.durations.get(action as usize) {
            histogram.observe(span);
        }
    }

    /// Of backups.
    #[must_use]
    pub fn backup(&self) -> &BackupMeters {
        &self.backup
    }

    /// A connection is open from now until what this gives goes.
    pub fn opened(self: &std::sync::Arc<Self>, door: Door) -> OpenConnection {
        self.doors[door as usize].open.fetch_add(1, Ordering::Relaxed);
        OpenConnection { meters: std::sync::Arc::clone(self), door }
    }

    /// A connection found no place.
    pub fn turned_away(&self, door: Door) {
        self.doors[door as usize].turned_away.fetch_add(1, Ordering::Relaxed);
    }
}

/// A connection that is counted as open, until this goes.
#[derive(Debug)]
pub struct OpenConnection {
    meters: std::sync::Arc<Meters>,
    door: Door,
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.meters.doors[self.door as usize].open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Histogram {
    fn observe(&self, span: Duration) {
        let microseconds = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        // A bound is inclusive, so a span counts with its full microsecond begun.
        let rounded_up = microseconds.saturating_add(u64::from(!span.subsec_nanos().is_multiple_of(1_000)));
        let place = BOUNDS.iter().position(|bound| rounded_up <= *bound).unwrap_or(BOUNDS.len());
        self.counts[place].fetch_add(1, Ordering::Relaxed);
        self.nanoseconds.fetch_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// Every word that an outcome can be, `ok` first.
fn outcomes() -> impl Iterator<Item = &'static str> {
    OWN_OUTCOMES.into_iter().chain(Code::ALL.iter().map(|code| code.as_str()))
}

#[cfg(test)]
mod tests;
