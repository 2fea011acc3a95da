//! Where the records are found: what the journal adds up to.
//!
//! The journal is the truth; an index may be lost, late or wrong, and is then made again.
//!
//! Never ahead of what is durable in the journal.

pub mod tally;

pub(crate) mod memory;
pub(crate) mod pending;
pub(crate) mod tree;

use std::fmt;

use crate::chain::Mark;
use crate::store::{Key, Record};
use tally::Tally;

/// How far an index has come, and what it should then hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Applied {
    pub(crate) mark: Mark,
    pub(crate) tally: Tally,
}

impl Applied {
    pub(crate) const NOTHING: Self = Self { mark: Mark::START, tally: Tally { records: 0, digest: 0 } };
}

/// The index is of no more use, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken(pub(crate) String);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The new state of a record, or that there is none.
pub(crate) type Update = (Key, Option<Record>);

/// Records by key.
pub(crate) trait Index: Send + Sync {
    /// The record under the key.
    fn read(&self, key: &Key) -> Result<Option<Record>, Broken>;

    /// As [`crate::store::Store::scan`].
    fn scan(&self, prefix: &[u8], after: Option<&Key>, most: usize) -> Result<Vec<(Key, Record)>, Broken>;

    /// Applies all updates and notes how far it has come, or nothing of it.
    fn apply(&self, updates: Vec<Update>, applied: &Applied) -> Result<(), Broken>;

    /// Writes out what it holds; a convenience for the next start, never a promise.
    fn flush(&self) -> Result<(), Broken>;
}
