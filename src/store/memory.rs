//! A store in memory, for tests of the layers above: the same answers, and it fails when told to.
//!
//! Never durable.

use std::collections::BTreeMap;
use std::future::ready;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::index::memory::first_of;
use super::index::pending::Pending;
use super::index::tally::Digester;
use super::index::{Applied, Broken, Pointed, Pointer};
use super::journal::record;
use super::{Batch, Change, Commit, CommitError, Health, Key, Precondition, ReadError, Record, State, Store};
use crate::chain::Mark;
use crate::crypto::mac::MacKey;

/// Records in memory.
pub(super) struct MemoryStore {
    records: Mutex<BTreeMap<Key, Pointed>>,
    chain: MacKey,
    digester: Digester,
    inner: Mutex<Inner>,
}

struct Inner {
    applied: Applied,
    state: State,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub(super) fn new() -> Self {
        // Nobody holds these marks against another log that was written by somebody else: any key will do.
        let key = MacKey::new(&[0; 32]);
        Self {
            records: Mutex::default(),
            digester: Digester::new(&key).unwrap(),
            chain: key,
            inner: Mutex::new(Inner { applied: Applied::NOTHING, state: State::Ok }),
        }
    }

    /// From now on there is no room.
    pub(super) fn fill(&self) {
        self.turn(State::Full);
    }

    /// There is room again.
    pub(super) fn make_room(&self) {
        self.turn(State::Ok);
    }

    /// From now on, and for good, a write has failed.
    pub(super) fn fail(&self, why: &str) {
        self.turn(State::Failed(why.to_owned()));
    }

    fn turn(&self, to: State) {
        let mut inner = self.lock();
        if !matches!(inner.state, State::Failed(_)) {
            inner.state = to;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn apply(&self, batch: &Batch) -> Result<Mark, CommitError> {
        if record::length(batch) > record::MOST {
            return Err(CommitError::TooLarge);
        }
        let mut inner = self.lock();
        match &inner.state {
            State::Failed(why) => return Err(CommitError::Failed(why.clone())),
            State::Full => return Err(CommitError::Full),
            State::Ok => {}
        }
        for precondition in &batch.preconditions {
            let holds = match precondition {
                Precondition::Absent(key) => self.pointer(key).is_none(),
                Precondition::Unchanged(key, revision) => {
                    self.pointer(key).is_some_and(|it| it.revision == *revision)
                }
            };
            if !holds {
                return Err(CommitError::Conflict);
            }
        }
        let sequence = inner.applied.mark.sequence + 1;
        let mut pending = Pending::new(&self.digester, inner.applied.tally);
        for change in &batch.changes {
            pending.take(change, sequence, 0, &|key| Ok(self.pointer(key))).map_err(failed)?;
        }
        let chain = self.link(&inner.applied.mark, batch);
        let applied = Applied { mark: Mark { sequence, chain }, tally: pending.tally };
        let mut records = self.records();
        for (key, pointed) in pending.drain() {
            match pointed {
                Some(pointed) => drop(records.insert(key, pointed)),
                None => drop(records.remove(&key)),
            }
        }
        drop(records);
        inner.applied = applied;
        Ok(applied.mark)
    }

    fn records(&self) -> MutexGuard<'_, BTreeMap<Key, Pointed>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pointer(&self, key: &Key) -> Option<Pointer> {
        self.records().get(key).map(|pointed| pointed.pointer)
    }

    fn link(&self, before: &Mark, batch: &Batch) -> [u8; 32] {
        batch.changes.iter().fold(self.chain.tag(&[&before.chain, &batch.note]), |chain, change| match change
        {
            Change::Delete(key) => self.chain.tag(&[&chain, &key.0]),
            Change::Put(key, value) => self.chain.tag(&[&chain, &key.0, value]),
        })
    }
}

fn failed(broken: Broken) -> CommitError {
    CommitError::Failed(broken.0)
}

impl Store for MemoryStore {
    fn read(&self, key: &Key) -> Result<Option<Record>, ReadError> {
        Ok(self.records().get(key).map(|pointed| pointed.record.clone()))
    }

    fn scan(&self, prefix: &[u8], after: Option<&Key>, most: usize) -> Result<Vec<(Key, Record)>, ReadError> {
        let from = first_of(prefix);
        let from = match after {
            Some(after) if *after >= from => Bound::Excluded(*after),
            _ => Bound::Included(from),
        };
        let records = self.records();
        let matching =
            records.range((from, Bound::Unbounded)).take_while(|(key, _)| key.0.starts_with(prefix));
        Ok(matching.take(most).map(|(key, pointed)| (*key, pointed.record.clone())).collect())
    }

    fn commit(&self, batch: Batch) -> Commit {
        Box::pin(ready(self.apply(&batch)))
    }

    fn health(&self) -> Health {
        let inner = self.lock();
        let Applied { mark: head, tally } = inner.applied;
        Health { state: inner.state.clone(), records: tally.records, head, index: "memory" }
    }

    fn close(&self) {
        self.turn(State::Failed("the store is closed".into()));
    }
}
