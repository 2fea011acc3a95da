//! Where the records are found: of each its revision, where its value stands, and the digest that it must have there.
//!
//! The hard problem: an index that holds the values holds them a third time, beside journal and snapshots, and sled takes three
//! times their room. The answer: it points (as in Bitcask and WiscKey). The place of a record never changes: it is where the journal has
//! put it, and once a snapshot covers that, the snapshot has it under the same key and revision. So nothing is ever pointed anew.
//!
//! The journal is the truth; an index may be lost, late or wrong, and is then made again.
//!
//! What it has may be newer than what it says of itself, after a crash in between: a replay makes those changes once more, and in the end it
//! must add up to what the journal says.
//!
//! Never ahead of what is durable in the journal, and never believed about a value: what is read there must have its digest.

pub mod tally;

mod entry;
mod leaf;
pub(crate) mod memory;
pub(crate) mod pending;
pub(crate) mod tree;

use std::fmt;

use crate::chain::Mark;
use crate::store::{Key, Record};
use tally::{Digester, Tally};

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

/// What an index holds of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pointer {
    /// The journal record that wrote it.
    pub(crate) revision: u64,
    /// Where its value starts in the segment that holds that record; 0 where only a snapshot is known to have it.
    pub(crate) offset: u32,
    /// Of the value, in bytes.
    pub(crate) length: u32,
    /// Of key, revision and value, under a key ([`Digester`]).
    pub(crate) digest: u128,
}

impl Pointer {
    /// To a value.
    pub(crate) fn to(digester: &Digester, key: &Key, revision: u64, offset: u32, value: &[u8]) -> Self {
        let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
        Self { revision, offset, length, digest: digester.digest(key, revision, value) }
    }
}

/// A record, and what points to it.
#[derive(Debug, Clone)]
pub(crate) struct Pointed {
    pub(crate) record: Record,
    pub(crate) pointer: Pointer,
}

/// The new state of a record, or that there is none.
pub(crate) type Written = (Key, Option<Pointed>);

/// What an index is told of it.
pub(crate) type Update = (Key, Option<Pointer>);

/// Pointers by key.
pub(crate) trait Index: Send + Sync {
    /// To the record under the key.
    fn read(&self, key: &Key) -> Result<Option<Pointer>, Broken>;

    /// As [`crate::store::Store::scan`].
    fn scan(&self, prefix: &[u8], after: Option<&Key>, most: usize) -> Result<Vec<(Key, Pointer)>, Broken>;

    /// Applies all updates, which are in key order and of a key no more than one, and then notes how far it has come. If it does not come
    /// that far, it may have some of them.
    fn apply(&self, updates: &[Update], applied: &Applied) -> Result<(), Broken>;

    /// Writes out what it holds; a convenience for the next start, never a promise.
    fn flush(&self) -> Result<(), Broken>;
}
