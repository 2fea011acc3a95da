//! Opaque records under opaque keys, in atomic durable batches.
//!
//! The hard problem: sled alone loses acknowledged data on a power cut and hides damage (docs/storage.md
//! has the figures). The answer: an own journal is the truth, sled only its index.
//!
//! Knows no org, no token, no key that opens anything.

pub mod device;
pub mod embedded;
pub mod index;
pub mod journal;
#[cfg(test)]
mod memory;
pub mod snapshot;

mod cache;

use crate::chain::Mark;
pub use embedded::Standing;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// Length of a store key in bytes: one for the table, 32 for the place in it.
pub const KEY_LENGTH: usize = 33;

/// Where a record stands: a table byte and 32 blind bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub [u8; KEY_LENGTH]);

/// A record as it was last written.
#[derive(Debug, Clone)]
pub struct Record {
    /// The journal sequence that wrote it; what a [`Precondition`] compares.
    pub revision: u64,
    /// The opaque value; cheap to clone.
    pub value: Arc<[u8]>,
}

/// What must hold for a batch to be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precondition {
    /// There is no record under the key.
    Absent(Key),
    /// The record under the key is still the one with this revision.
    Unchanged(Key, u64),
}

/// One change of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Removes the record, if there is one.
    Delete(Key),
    /// Writes the record, over the one there was.
    Put(Key, Vec<u8>),
}

/// Changes that happen together or not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// All must hold.
    pub preconditions: Vec<Precondition>,
    /// Applied in order; a later one of the same key wins.
    pub changes: Vec<Change>,
    /// Opaque to the store: who did what, sealed, so that a change which the crash cut off from its audit
    /// entry can still be named (see [`Unwitnessed`]).
    pub note: Vec<u8>,
}

/// A batch that is in the journal, and durable there, while the audit log says nothing of it: the crash came
/// between the two. Reported once, at open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unwitnessed {
    /// Where it stands in the journal.
    pub mark: Mark,
    /// The note of the batch.
    pub note: Vec<u8>,
}

/// Why a batch was not applied. Nothing of it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitError {
    /// A precondition does not hold.
    Conflict,
    /// A write or a sync failed; the store takes nothing more in this life. What of the batch is durable is
    /// known after the next start.
    Failed(String),
    /// No room: refused before anything was written; reads go on.
    Full,
    /// The batch is larger than a journal record may be.
    TooLarge,
}

impl fmt::Display for CommitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict => f.write_str("a precondition does not hold"),
            Self::Failed(why) => write!(f, "the store has failed: {why}"),
            Self::Full => f.write_str("no room left in the state directory"),
            Self::TooLarge => f.write_str("the batch is larger than a journal record may be"),
        }
    }
}

impl std::error::Error for CommitError {}

/// Why a record could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadError(pub String);

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the index cannot be read: {}", self.0)
    }
}

impl std::error::Error for ReadError {}

/// How the store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Whether and what it takes.
    pub state: State,
    /// Records there are.
    pub records: u64,
    /// The last record of the journal.
    pub head: Mark,
    /// `sled` or `memory`.
    pub index: &'static str,
}

/// Whether the store takes changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// A write or a sync failed, and why: no more changes in this life; the process should exit.
    Failed(String),
    /// No room: changes are refused, reads go on; tried again by itself.
    Full,
    /// Takes changes.
    Ok,
}

/// What a commit gives, once it is durable.
pub type Commit = Pin<Box<dyn Future<Output = Result<Mark, CommitError>> + Send>>;

/// The one trait of all stores.
pub trait Store: Send + Sync + 'static {
    /// The record under the key.
    ///
    /// # Errors
    /// The index cannot be read; the truth is not lost.
    fn read(&self, key: &Key) -> Result<Option<Record>, ReadError>;

    /// A hint: these keys are read next. Changes nothing but how long that takes.
    fn prefetch(&self, _keys: &[Key]) {}

    /// Records whose key starts with `prefix`, in key order, after `after`, at most `most`.
    ///
    /// # Errors
    /// As [`Store::read`].
    fn scan(&self, prefix: &[u8], after: Option<&Key>, most: usize) -> Result<Vec<(Key, Record)>, ReadError>;

    /// Applies the batch. Ready once it is durable; gives its place in the journal. The batch is on its way
    /// when this returns: dropping the future changes nothing.
    fn commit(&self, batch: Batch) -> Commit;

    /// As [`Store::commit`], for what nobody can ask for again: where the disk is full it goes into the room that was
    /// set aside before, as long as there is any.
    fn commit_precious(&self, batch: Batch) -> Commit {
        self.commit(batch)
    }

    /// How it is now.
    fn health(&self) -> Health;

    /// How its files stand, where it has any.
    fn standing(&self) -> Standing {
        Standing::default()
    }

    /// Takes no more changes, makes the index durable, and waits for its threads.
    fn close(&self);
}

/// The other log, as seen by the journal: each journal record carries its durable head.
pub trait Witness: Send + Sync + 'static {
    /// The last entry that is known to be on disk.
    fn durable_head(&self) -> Mark;
}

#[cfg(test)]
mod tests;
