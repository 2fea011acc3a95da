//! Changes on their way from the journal to the index, and what the store holds with them.
//!
//! The committer gathers a group here before it is durable; a replay gathers what the journal says. Both see
//! each record as the changes before have left it.
//!
//! Never writes to the index by itself.

use std::collections::HashMap;
use std::sync::Arc;

use super::tally::{Digester, Tally};
use super::{Broken, Pointed, Pointer, Written};
use crate::store::{Change, Key, Record};

/// How to find what the index holds of a record.
pub(crate) type Look<'a> = &'a dyn Fn(&Key) -> Result<Option<Pointer>, Broken>;

/// Updates not yet in the index, and the tally with them.
pub(crate) struct Pending<'a> {
    digester: &'a Digester,
    updates: HashMap<Key, Option<Pointed>>,
    bytes: usize,
    pub(crate) tally: Tally,
    /// By how many bytes there is more of values than before.
    pub(crate) grown: i64,
}

impl<'a> Pending<'a> {
    /// Nothing yet, on top of an index with this tally.
    pub(crate) fn new(digester: &'a Digester, tally: Tally) -> Self {
        Self { digester, updates: HashMap::new(), bytes: 0, tally, grown: 0 }
    }

    /// What points to the record as it will be.
    pub(crate) fn read(&self, key: &Key, look: Look<'_>) -> Result<Option<Pointer>, Broken> {
        match self.updates.get(key) {
            Some(update) => Ok(update.as_ref().map(|pointed| pointed.pointer)),
            None => look(key),
        }
    }

    /// Takes a change on, made by the journal record `revision`, whose value stands at `offset` of its segment.
    pub(crate) fn take(
        &mut self,
        change: &Change,
        revision: u64,
        offset: u32,
        look: Look<'_>,
    ) -> Result<(), Broken> {
        let (key, value) = match change {
            Change::Delete(key) => (*key, None),
            Change::Put(key, value) => (*key, Some(value)),
        };
        if let Some(old) = self.read(&key, look)? {
            self.tally.remove(old.digest);
            self.grown -= i64::from(old.length);
        }
        let pointed = value.map(|value| Pointed {
            record: Record { revision, value: Arc::from(value.as_slice()) },
            pointer: Pointer::to(self.digester, &key, revision, offset, value),
        });
        if let Some(pointed) = &pointed {
            self.tally.add(pointed.pointer.digest);
            self.grown += i64::from(pointed.pointer.length);
            self.bytes += pointed.record.value.len();
        }
        self.bytes += key.0.len();
        self.updates.insert(key, pointed);
        Ok(())
    }

    /// Bytes gathered so far.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What to apply, in key order: neighbours share a page of the index. Gathers anew from here.
    pub(crate) fn drain(&mut self) -> Vec<Written> {
        self.bytes = 0;
        let mut updates: Vec<Written> = self.updates.drain().collect();
        updates.sort_unstable_by_key(|(key, _)| *key);
        updates
    }
}
