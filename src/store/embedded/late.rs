//! What is durable and not in the index yet, and the thread that brings it there.
//!
//! The hard problem: an update of sled costs as much as a sync shared by many, and whoever waits for the journal waits for both.
//! The answer: a change counts once the journal has it; it stands here, before the index, until a thread has put it there,
//! many groups at once: in the order of their keys, and of a key that was written twice only the last.
//!
//! Never lets go of a change before the index has it, and never more than [`MOST`] changes and a group behind.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use crate::store::Key;
use crate::store::index::memory::first_of;
use crate::store::index::{Applied, Pointer, Update, Written};

/// Changes that may wait: half a second of a start that has to make them again, of which four times as many are two. Beyond, the committer
/// waits too.
const MOST: usize = 1 << 14;

/// Bytes that are worth a turn of the index, and how long it waits for so many. sled takes as long for one change as for fifty, and
/// wakes all its threads for each turn.
const ENOUGH: usize = 1 << 20;
const LINGER: Duration = Duration::from_millis(5);

/// A change that waits, by the group that brought it.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    group: u64,
    pointer: Option<Pointer>,
}

/// What waits.
pub(crate) struct Late {
    /// The newest of each key.
    changes: RwLock<BTreeMap<Key, Waiting>>,
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    /// The last group that was brought, and how far the journal was with it.
    group: u64,
    applied: Option<Applied>,
    /// Changes that wait, and bytes of those brought since the last were taken.
    waiting: usize,
    bytes: usize,
    /// The index takes no more until another is in its place: nobody waits for it.
    is_stuck: bool,
    closed: bool,
}

/// What the thread has in hand.
pub(crate) struct Load {
    group: u64,
    pub(crate) updates: Vec<Update>,
    pub(crate) applied: Applied,
    pub(crate) bytes: usize,
}

impl Late {
    pub(crate) fn new() -> Self {
        Self {
            changes: RwLock::new(BTreeMap::new()),
            queue: Mutex::new(Queue::default()),
            changed: Condvar::new(),
        }
    }

    /// The change of the key that waits, if one does: its record, or that there is none any more.
    pub(crate) fn read(&self, key: &Key) -> Option<Option<Pointer>> {
        let changes = self.changes.read().unwrap_or_else(PoisonError::into_inner);
        changes.get(key).map(|waiting| waiting.pointer)
    }

    /// Those whose key starts with `prefix`, after `after`, in key order.
    pub(crate) fn range(&self, prefix: &[u8], after: Option<&Key>) -> Vec<Update> {
        let from = first_of(prefix);
        let from = match after {
            Some(after) if *after >= from => Bound::Excluded(*after),
            _ => Bound::Included(from),
        };
        let changes = self.changes.read().unwrap_or_else(PoisonError::into_inner);
        let matching =
            changes.range((from, Bound::Unbounded)).take_while(|(key, _)| key.0.starts_with(prefix));
        matching.map(|(key, waiting)| (*key, waiting.pointer)).collect()
    }

    /// Takes a durable group on. By the committer alone.
    pub(crate) fn bring(&self, updates: &[Written], applied: &Applied) {
        let mut queue = self.queue();
        while queue.waiting > MOST && !queue.is_stuck && !queue.closed {
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.group += 1;
        let mut changes = self.changes.write().unwrap_or_else(PoisonError::into_inner);
        for (key, pointed) in updates {
            queue.bytes += key.0.len() + pointed.as_ref().map_or(0, |pointed| pointed.record.value.len());
            let pointer = pointed.as_ref().map(|pointed| pointed.pointer);
            changes.insert(*key, Waiting { group: queue.group, pointer });
        }
        queue.waiting = changes.len();
        drop(changes);
        let is_first = queue.applied.replace(*applied).is_none();
        let is_enough = queue.bytes >= ENOUGH;
        drop(queue);
        // Between the two the thread would only look and lie down again.
        if is_first || is_enough {
            self.changed.notify_all();
        }
    }

    /// Waits until a group has come, or for so long, and then a moment for others. `Err` once it is closed and empty.
    pub(crate) fn wait(&self, patience: Duration) -> Result<(), Closed> {
        let waited = self
            .changed
            .wait_timeout_while(self.queue(), patience, |queue| queue.applied.is_none() && !queue.closed);
        let queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        match (queue.applied.is_some(), queue.closed) {
            (true, false) => {
                let more =
                    |queue: &mut Queue| queue.bytes < ENOUGH && !queue.closed && queue.applied.is_some();
                drop(self.changed.wait_timeout_while(queue, LINGER, more));
                Ok(())
            }
            (false, true) => Err(Closed),
            _ => Ok(()),
        }
    }

    /// Takes all that there are; none where none has come.
    pub(crate) fn take(&self) -> Option<Load> {
        let mut queue = self.queue();
        let applied = queue.applied.take()?;
        let changes = self.changes.read().unwrap_or_else(PoisonError::into_inner);
        let updates = changes.iter().map(|(key, waiting)| (*key, waiting.pointer)).collect();
        let bytes = std::mem::take(&mut queue.bytes);
        Some(Load { group: queue.group, updates, applied, bytes })
    }

    /// The index has them.
    pub(crate) fn done(&self, group: u64) {
        let mut queue = self.queue();
        let mut changes = self.changes.write().unwrap_or_else(PoisonError::into_inner);
        changes.retain(|_, waiting| waiting.group > group);
        queue.waiting = changes.len();
        drop((changes, queue));
        self.changed.notify_all();
    }

    /// The index has broken. Who alone can replace it must not wait for it.
    pub(crate) fn stick(&self) {
        self.queue().is_stuck = true;
        self.changed.notify_all();
    }

    /// Another index has taken the place of the broken one, with all that is durable.
    pub(crate) fn forget(&self) {
        let mut queue = self.queue();
        self.changes.write().unwrap_or_else(PoisonError::into_inner).clear();
        (queue.applied, queue.waiting, queue.bytes, queue.is_stuck) = (None, 0, 0, false);
        drop(queue);
        self.changed.notify_all();
    }

    /// No more comes.
    pub(crate) fn close(&self) {
        self.queue().closed = true;
        self.changed.notify_all();
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Load {
    /// Up to which group it goes.
    pub(crate) fn group(&self) -> u64 {
        self.group
    }
}

/// There is nothing more to do.
pub(crate) struct Closed;
