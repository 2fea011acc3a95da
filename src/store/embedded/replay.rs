//! The journal's changes, brought into an index record by record.
//!
//! Never believes an index that does not add up to what the journal says where the index stands.

use crate::chain::Mark;
use crate::store::index::pending::Pending;
use crate::store::index::tally::{Digester, Tally};
use crate::store::index::{Applied, Broken, Index};
use crate::store::journal::record;
use crate::store::journal::walk::{Found, Trouble};

/// Bytes of values gathered before they go into the index during a replay.
const CHUNK: usize = 16 << 20;

/// Why a reading came to nothing.
pub(crate) enum Failure {
    Journal(Trouble),
    /// The index is of no use, and why.
    Index(String),
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        Self::Journal(trouble)
    }
}

impl From<Broken> for Failure {
    fn from(broken: Broken) -> Self {
        Self::Index(broken.0)
    }
}

/// Brings an index forward, record by record.
pub(crate) struct Replay<'a> {
    index: &'a dyn Index,
    pending: Pending<'a>,
    applied: Applied,
    /// What the index said of itself at first, and what it held.
    from: Applied,
    held: Tally,
    /// What the last record says that the store holds.
    said: Applied,
}

impl<'a> Replay<'a> {
    /// Onto an index that says `from` of itself, and `holds` so much.
    pub(crate) fn new(digester: &'a Digester, index: &'a dyn Index, from: Applied, holds: Tally) -> Self {
        let applied = Applied { mark: from.mark, tally: holds };
        Self { index, pending: Pending::new(digester, holds), applied, from, held: holds, said: from }
    }

    pub(crate) fn take(&mut self, found: &Found) -> Result<(), Failure> {
        let says = Applied { mark: found.mark, tally: found.entry.tally };
        if found.mark.sequence < self.from.mark.sequence {
            return Ok(());
        }
        if found.mark.sequence == self.from.mark.sequence {
            let agrees = says == self.from;
            return if agrees {
                Ok(())
            } else {
                Err(Failure::Index("it is not what the journal says".into()))
            };
        }
        self.said = says;
        for (change, at) in found.entry.changes.iter().zip(record::values_at(&found.entry)) {
            let offset = u32::try_from(found.offset + at).unwrap_or(0);
            self.pending.take(change, found.mark.sequence, offset, &|key| self.index.read(key))?;
        }
        self.applied = Applied { mark: found.mark, tally: self.pending.tally };
        if self.pending.bytes() >= CHUNK {
            self.apply()?;
        }
        Ok(())
    }

    pub(crate) fn finish(mut self, end: &Mark) -> Result<Applied, Failure> {
        if end.sequence < self.from.mark.sequence {
            return Err(Failure::Index("it is ahead of the journal".into()));
        }
        if self.said.tally != self.applied.tally {
            if self.from != Applied::NOTHING || self.held != Tally::default() {
                return Err(Failure::Index(
                    "with the journal's changes it is not what the journal says".into(),
                ));
            }
            // The records are as they were written; it is their count that was wrong then, for want of a sound index.
            tracing::warn!(
                "the journal adds up to something else than its last record says; going by its records"
            );
        }
        self.apply()?;
        Ok(self.applied)
    }

    fn apply(&mut self) -> Result<(), Broken> {
        let written = self.pending.drain().into_iter();
        let updates: Vec<_> =
            written.map(|(key, pointed)| (key, pointed.map(|pointed| pointed.pointer))).collect();
        self.index.apply(&updates, &self.applied)
    }
}
