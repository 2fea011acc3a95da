//! How the files of a store stand: what `status`, `doctor` and the metrics say of them.
//!
//! Never asked whether something is durable.

use std::sync::{Mutex, PoisonError};

use crate::store::snapshot::Snapshot;

/// How they stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Snapshots that were read whole in this life, oldest first.
    pub snapshots: Vec<Snapshot>,
    /// Journal segments that there are.
    pub segments: u64,
    /// What they take.
    pub journal_bytes: u64,
    /// The first record that is still in one.
    pub first: u64,
    /// Snapshots made in this life.
    pub made: u64,
    /// Segments removed in this life.
    pub retired: u64,
    /// Why the last snapshot could not be made or is damaged; none once one was made since.
    pub failure: Option<String>,
    /// A segment that is damaged, and that a snapshot stands for.
    pub damage: Option<String>,
}

/// That, for those who ask.
#[derive(Debug, Default)]
pub(crate) struct Shown(Mutex<Standing>);

impl Shown {
    pub(crate) fn note(&self, change: impl FnOnce(&mut Standing)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn now(&self) -> Standing {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
