//! What is counted of backups.
//!
//! Moments are in Unix seconds, 0 where there was none.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};

use super::page::{family, gauge};
use super::table;

/// The pieces of work that are counted.
const PIECES: [&str; 5] = ["create", "drill", "retain", "ship", "verify"];

/// What is counted of backups.
#[derive(Debug, Default)]
pub struct BackupMeters {
    is_configured: AtomicBool,
    is_behind: AtomicBool,
    shipped_up_to: AtomicU64,
    bytes: AtomicU64,
    /// Those that succeeded, and those that failed.
    ran: [[AtomicU64; 2]; PIECES.len()],
    drilled_at: AtomicU64,
    drill_milliseconds: AtomicU64,
    drill_age: AtomicU64,
}

/// A drill that succeeded.
#[derive(Debug, Clone, Copy)]
pub struct Drilled {
    /// When.
    pub at: u64,
    /// How long it took until all was back.
    pub took: Duration,
    /// How old the last change in it was, in seconds.
    pub age: u64,
}

impl BackupMeters {
    /// There are to be backups.
    pub fn configured(&self) {
        self.is_configured.store(true, Ordering::Relaxed);
    }

    /// A piece of work ended.
    pub fn ran(&self, what: &str, is_well: bool) {
        if let Some(piece) = PIECES.iter().position(|piece| *piece == what) {
            self.ran[piece][usize::from(!is_well)].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// All that was acknowledged before is shipped.
    pub fn shipped(&self, up_to: u64, bytes: u64) {
        self.shipped_up_to.store(up_to, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.is_behind.store(false, Ordering::Relaxed);
    }

    /// Something has changed since.
    pub fn falls_behind(&self) {
        self.is_behind.store(true, Ordering::Relaxed);
    }

    /// A drill succeeded.
    pub fn drilled(&self, drilled: Drilled) {
        self.drilled_at.store(drilled.at, Ordering::Relaxed);
        let took = u64::try_from(drilled.took.as_millis()).unwrap_or(u64::MAX);
        self.drill_milliseconds.store(took, Ordering::Relaxed);
        self.drill_age.store(drilled.age, Ordering::Relaxed);
    }

    pub(super) fn encode(&self, out: &mut DescriptorEncoder<'_>, now: u64) -> fmt::Result {
        let of = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        let up_to = of(&self.shipped_up_to);
        let behind = if self.is_behind.load(Ordering::Relaxed) { now.saturating_sub(up_to) } else { 0 };
        gauge(out, &table::BACKUP_CONFIGURED, u64::from(self.is_configured.load(Ordering::Relaxed)))?;
        gauge(out, &table::BACKUP_SHIPPED, up_to)?;
        gauge(out, &table::BACKUP_BEHIND, behind)?;
        let mut runs = family(out, &table::BACKUP_RUNS)?;
        for (what, [well, failed]) in PIECES.iter().zip(&self.ran) {
            for (outcome, counter) in [("ok", well), ("failed", failed)] {
                let labels = [("task", *what), ("outcome", outcome)];
                runs.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&of(counter), None)?;
            }
        }
        let mut bytes = family(out, &table::BACKUP_BYTES)?;
        bytes.encode_counter::<NoLabelSet, _, u64>(&of(&self.bytes), None)?;
        gauge(out, &table::DRILL_AT, of(&self.drilled_at))?;
        gauge(out, &table::DRILL_TOOK, of(&self.drill_milliseconds))?;
        gauge(out, &table::DRILL_AGE, of(&self.drill_age))
    }
}
