//! What readers see: the cache, behind it what the index has not got yet, behind that the index and the values that it points to; and in
//! its place, should it break, one in memory.
//!
//! Never shows a change before it is durable.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use super::late::{Closed, Late};
use super::presence::Presence;
use super::values::{Bases, Missed, Values};
use crate::store::cache::Cache;
use crate::store::index::memory::Memory;
use crate::store::index::{Applied, Broken, Index, Pointed, Pointer, Update, Written};
use crate::store::snapshot::Held;
use crate::store::{Key, Record};

/// Keys read at once for [`Presence`]: a few milliseconds.
const KEYS_AT_ONCE: usize = 4096;

/// Why a read gave nothing.
#[derive(Debug)]
pub(crate) enum Unread {
    /// The index is of no more use.
    Broken(Broken),
    /// The process is at a limit of its own: the record may well be there.
    NotNow(io::Error),
}

impl From<Broken> for Unread {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(broken) => broken.fmt(f),
            Self::NotNow(why) => why.fmt(f),
        }
    }
}

/// Cache and index as one index.
pub(crate) struct Front {
    cache: Cache,
    tree: Option<Box<dyn Index>>,
    /// Set once at most: at start where there is no tree, or when the tree has broken.
    memory: OnceLock<Memory>,
    broken: AtomicBool,
    late: Late,
    presence: Presence,
    values: Values,
    /// Held while the index is changed: a broken one is replaced before or after, never within.
    changing: Mutex<()>,
}

impl Front {
    pub(crate) fn over_tree(tree: Box<dyn Index>, values: Values, cache_bytes: u64) -> Self {
        Self {
            cache: Cache::new(cache_bytes),
            tree: Some(tree),
            memory: OnceLock::new(),
            broken: AtomicBool::new(false),
            late: Late::new(),
            presence: Presence::new(),
            values,
            changing: Mutex::new(()),
        }
    }

    pub(crate) fn over_memory(memory: Memory, values: Values, cache_bytes: u64) -> Self {
        Self {
            cache: Cache::new(cache_bytes),
            tree: None,
            memory: OnceLock::from(memory),
            broken: AtomicBool::new(false),
            late: Late::new(),
            presence: Presence::new(),
            values,
            changing: Mutex::new(()),
        }
    }

    /// Puts an index in memory in the place of a broken tree. By the committer only, with all that is durable.
    pub(crate) fn replace(&self, memory: Memory) {
        let _nobody_changes_it = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.memory.set(memory));
        self.late.forget();
    }

    /// Where the values are.
    pub(crate) fn values(&self) -> &Values {
        &self.values
    }

    /// `sled` or `memory`.
    pub(crate) fn kind(&self) -> &'static str {
        if self.memory.get().is_some() { "memory" } else { "sled" }
    }

    /// Whether this is the first to find the tree broken: who does tells the committer.
    pub(crate) fn breaks(&self) -> bool {
        self.memory.get().is_none() && !self.broken.swap(true, Ordering::Relaxed)
    }

    /// What the committer sees: takes no claims in the cache.
    pub(crate) fn peek(&self, key: &Key) -> Result<Option<Pointer>, Broken> {
        match self.cache.peek(key) {
            Some(pointer) => Ok(Some(pointer)),
            None if !self.presence.may_have(key) => Ok(None),
            None => self.look(key),
        }
    }

    /// As [`crate::store::Store::read`].
    pub(crate) fn read(&self, key: &Key) -> Result<Option<Record>, Unread> {
        self.cache.read(key, || self.load(key, &mut Held::default()))
    }

    /// As [`crate::store::Store::prefetch`].
    pub(crate) fn prefetch(&self, keys: &[Key]) {
        self.cache.prefetch(keys);
    }

    fn look(&self, key: &Key) -> Result<Option<Pointer>, Broken> {
        match self.late.read(key) {
            Some(waiting) => Ok(waiting),
            // What stopped waiting since is in the index.
            None => self.index()?.read(key),
        }
    }

    /// The record with its value. What is missed where it should be may have been overtaken, or its file removed: it is called broken
    /// only when a second look at index and files finds the same of both.
    fn load(&self, key: &Key, held: &mut Held) -> Result<Option<Pointed>, Unread> {
        let mut before = None;
        loop {
            let Some(pointer) = self.look(key)? else { return Ok(None) };
            let bases = self.values.bases();
            let why = match self.values.read(&bases, key, &pointer, held) {
                Ok(value) => return Ok(Some(pointer.with(value))),
                Err(Missed::NotNow(why)) => return Err(Unread::NotNow(why)),
                Err(Missed::Lost(why)) => why,
            };
            let is_same = |(other, stood): &(Pointer, Bases)| *other == pointer && Arc::ptr_eq(stood, &bases);
            if before.as_ref().is_some_and(is_same) {
                return Err(Broken(why).into());
            }
            before = Some((pointer, bases));
        }
    }

    /// As [`crate::store::Store::scan`].
    pub(crate) fn scan(
        &self,
        prefix: &[u8],
        after: Option<&Key>,
        most: usize,
    ) -> Result<Vec<(Key, Record)>, Unread> {
        let (mut found, mut held) = (Vec::new(), Held::default());
        let bases = self.values.bases();
        for (key, pointer) in self.range(prefix, after, most)? {
            let record = match self.values.read(&bases, &key, &pointer, &mut held) {
                Ok(value) => Some(pointer.with(value).record),
                Err(_) => self.load(&key, &mut held)?.map(|pointed| pointed.record),
            };
            found.extend(record.map(|record| (key, record)));
        }
        Ok(found)
    }

    fn range(&self, prefix: &[u8], after: Option<&Key>, most: usize) -> Result<Vec<(Key, Pointer)>, Broken> {
        // First: what stops waiting meanwhile is then found in the index.
        let late = self.late.range(prefix, after, most);
        let asked = most.saturating_add(late.len());
        // Each that waits may take one away.
        let found = self.index()?.scan(prefix, after, asked)?;
        let end = found.last().filter(|_| found.len() >= asked).map(|(key, _)| *key);
        let mut merged = merge(found, late);
        // Beyond where the index was read there may be more of its own in between.
        merged.retain(|(key, _)| end.is_none_or(|end| *key <= end));
        merged.truncate(most);
        Ok(merged)
    }

    /// Takes on a group that is durable: seen from now on, and in the index soon.
    pub(crate) fn bring(&self, updates: Vec<Written>, applied: &Applied) {
        self.late.bring(&updates, applied);
        self.presence.note(updates.iter().filter(|(_, pointed)| pointed.is_some()).map(|(key, _)| key));
        self.cache.renew(updates);
    }

    /// Brings the index forward by what waits; how many bytes of it there were. The error of the whole is that there
    /// is nothing more to do.
    pub(crate) fn apply_late(&self, patience: Duration) -> Result<Result<Option<usize>, Broken>, Closed> {
        self.late.wait(patience)?;
        let _not_replaced = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(load) = self.late.take() else { return Ok(Ok(None)) };
        let applied = self.index().and_then(|index| index.apply(&load.updates(), &load.applied));
        let bytes = load.bytes;
        drop(load);
        match &applied {
            Ok(()) => self.late.done(),
            Err(_) => self.late.stick(),
        }
        Ok(applied.map(|()| Some(bytes)))
    }

    /// Reads on in the keys for [`Presence`], where it wants them; whether it wants more. `records` is about how many there are.
    pub(crate) fn read_keys(&self, records: u64) -> Result<bool, Broken> {
        let Some(after) = self.presence.wants(records) else { return Ok(false) };
        let part = self.range(&[], after.as_ref(), KEYS_AT_ONCE)?;
        let keys: Vec<Key> = part.into_iter().map(|(key, _)| key).collect();
        self.presence.learn(&keys);
        Ok(!keys.is_empty())
    }

    /// No more is brought.
    pub(crate) fn close(&self) {
        self.late.close();
    }

    /// Writes the index out.
    pub(crate) fn flush(&self) -> Result<(), Broken> {
        self.index()?.flush()
    }

    fn index(&self) -> Result<&dyn Index, Broken> {
        match (self.memory.get(), &self.tree) {
            (Some(memory), _) => Ok(memory),
            (None, Some(tree)) => Ok(&**tree),
            (None, None) => Err(Broken("there is no index".into())),
        }
    }
}

impl Pointer {
    fn with(self, value: Arc<[u8]>) -> Pointed {
        Pointed { record: Record { revision: self.revision, value }, pointer: self }
    }
}

/// Both in key order; of a key in both, the newer one.
fn merge(found: Vec<(Key, Pointer)>, late: Vec<Update>) -> Vec<(Key, Pointer)> {
    let mut merged = Vec::with_capacity(found.len() + late.len());
    let mut found = found.into_iter().peekable();
    for (key, waiting) in late {
        while let Some(before) = found.next_if(|(other, _)| *other < key) {
            merged.push(before);
        }
        let same = found.next_if(|(other, _)| *other == key).map(|(_, same)| same);
        let newest = match (waiting, same) {
            (Some(waiting), Some(same)) if same.revision > waiting.revision => Some(same),
            (waiting, _) => waiting,
        };
        merged.extend(newest.map(|pointer| (key, pointer)));
    }
    merged.extend(found);
    merged
}
