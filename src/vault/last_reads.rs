//! When a connection's token was last read, since the daemon started.
//!
//! Bounded: it forgets the connections that were not read for longest. Not durable: a durable write for
//! each read would cost more than the read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::sync::Cache;
use tokenkeep_client::moment::Moment;

use crate::store::Key;

/// 100 bytes each: 25 MiB at the most.
const REMEMBERED: usize = 262_144;

/// The last reads.
#[derive(Debug)]
pub(super) struct LastReads(Cache<Key, Arc<AtomicU64>>);

impl LastReads {
    pub(super) fn new() -> Self {
        Self(Cache::new(REMEMBERED))
    }

    pub(super) fn note(&self, key: &Key, now: Moment) {
        match self.0.get(key) {
            Some(at) => at.store(now.unix(), Ordering::Relaxed),
            None => self.0.insert(*key, Arc::new(AtomicU64::new(now.unix()))),
        }
    }

    pub(super) fn at(&self, key: &Key) -> Option<Moment> {
        Moment::from_unix(self.0.get(key)?.load(Ordering::Relaxed))
    }
}
