//! Changes on their way from the journal to the index, and what the store holds with them.
//!
//! The committer gathers a group here before it is durable; a replay gathers what the journal says. Both see
//! each record as the changes before have left it.
//!
//! Never writes to the index by itself.

use std::collections::HashMap;
use std::sync::Arc;

use super::tally::{Digester, Tally};
use super::{Broken, Update};
use crate::store::{Change, Key, Record};

/// How to find the record that the index holds.
pub(crate) type Look<'a> = &'a dyn Fn(&Key) -> Result<Option<Record>, Broken>;

/// Updates not yet in the index, and the tally with them.
pub(crate) struct Pending<'a> {
    digester: &'a Digester,
    updates: HashMap<Key, Option<Record>>,
    bytes: usize,
    pub(crate) tally: Tally,
}

impl<'a> Pending<'a> {
    /// Nothing yet, on top of an index with this tally.
    pub(crate) fn new(digester: &'a Digester, tally: Tally) -> Self {
        Self { digester, updates: HashMap::new(), bytes: 0, tally }
    }

    /// The record as it will be.
    pub(crate) fn read(&self, key: &Key, look: Look<'_>) -> Result<Option<Record>, Broken> {
        match self.updates.get(key) {
            Some(update) => Ok(update.clone()),
            None => look(key),
        }
    }

    /// Takes a change on, made by the journal record `revision`.
    pub(crate) fn take(&mut self, change: &Change, revision: u64, look: Look<'_>) -> Result<(), Broken> {
        let (key, value) = match change {
            Change::Delete(key) => (*key, None),
            Change::Put(key, value) => (*key, Some(value)),
        };
        if let Some(old) = self.read(&key, look)? {
            self.digester.remove(&mut self.tally, &key, old.revision, &old.value);
        }
        let record = value.map(|value| Record { revision, value: Arc::from(value.as_slice()) });
        if let Some(record) = &record {
            self.digester.add(&mut self.tally, &key, revision, &record.value);
            self.bytes += record.value.len();
        }
        self.bytes += key.0.len();
        self.updates.insert(key, record);
        Ok(())
    }

    /// Bytes gathered so far.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What to apply, in key order: neighbours share a page of the index. Gathers anew from here.
    pub(crate) fn drain(&mut self) -> Vec<Update> {
        self.bytes = 0;
        let mut updates: Vec<Update> = self.updates.drain().collect();
        updates.sort_unstable_by_key(|(key, _)| *key);
        updates
    }
}
