//! What readers see: the cache, behind it the index, and in its place, should it break, one in memory.
//!
//! Never shows a change before it is durable.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::store::cache::Cache;
use crate::store::index::memory::Memory;
use crate::store::index::{Applied, Broken, Index, Update};
use crate::store::{Key, Record};

/// Cache and index as one index.
pub(crate) struct Front {
    cache: Cache,
    tree: Option<Box<dyn Index>>,
    /// Set once at most: at start where there is no tree, or when the tree has broken.
    memory: OnceLock<Memory>,
    broken: AtomicBool,
}

impl Front {
    pub(crate) fn over_tree(tree: Box<dyn Index>, cache_bytes: u64) -> Self {
        Self {
            cache: Cache::new(cache_bytes),
            tree: Some(tree),
            memory: OnceLock::new(),
            broken: AtomicBool::new(false),
        }
    }

    pub(crate) fn over_memory(memory: Memory, cache_bytes: u64) -> Self {
        Self {
            cache: Cache::new(cache_bytes),
            tree: None,
            memory: OnceLock::from(memory),
            broken: AtomicBool::new(false),
        }
    }

    /// Puts an index in memory in the place of a broken tree. By the committer only, with all that is durable.
    pub(crate) fn replace(&self, memory: Memory) {
        drop(self.memory.set(memory));
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
    pub(crate) fn peek(&self, key: &Key) -> Result<Option<Record>, Broken> {
        match self.cache.peek(key) {
            Some(record) => Ok(Some(record)),
            None => self.index()?.read(key),
        }
    }

    /// As [`crate::store::Store::read`].
    pub(crate) fn read(&self, key: &Key) -> Result<Option<Record>, Broken> {
        self.cache.read(key, || self.index()?.read(key))
    }

    /// As [`crate::store::Store::scan`].
    pub(crate) fn scan(
        &self,
        prefix: &[u8],
        after: Option<&Key>,
        most: usize,
    ) -> Result<Vec<(Key, Record)>, Broken> {
        self.index()?.scan(prefix, after, most)
    }

    /// Brings the index to where the journal is.
    pub(crate) fn apply(&self, updates: Vec<Update>, applied: &Applied) -> Result<(), Broken> {
        self.index()?.apply(updates, applied)
    }

    /// Brings the cache to where the index is.
    pub(crate) fn renew(&self, updates: Vec<Update>) {
        self.cache.renew(updates);
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
