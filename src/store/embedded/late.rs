//! What is durable and not in the index yet, and the thread that brings it there.
//!
//! The hard problem: an update of sled costs as much as a sync shared by many, and whoever waits for the journal waits for both.
//! The answer: a change counts once the journal has it; it stands here, before the index, until a thread has put it there,
//! many groups at once: in the order of their keys, and of a key that was written twice only the last.
//!
//! Never lets go of a change before the index has it, and never more than [`MOST`] changes and a group behind.

use std::collections::BTreeMap;
use std::collections::btree_map::Range;
use std::iter::Peekable;
use std::ops::Bound;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use crate::store::Key;
use crate::store::index::memory::first_of;
use crate::store::index::{Applied, Pointer, Update, Written};

/// Changes that may wait, with those that are on their way: a start may have to make so many again. Beyond, the committer waits too.
const MOST: usize = 1 << 16;

/// Changes that are worth a turn of the index, and how long it waits for so many: the more come at a time, the more of them share a leaf.
const ENOUGH: usize = MOST / 2;
const LINGER: Duration = Duration::from_secs(1);

/// The newest change of each key: what points to its record, or that there is none any more.
type Changes = BTreeMap<Key, Option<Pointer>>;

/// What waits.
pub(crate) struct Late {
    changes: RwLock<Two>,
    queue: Mutex<Queue>,
    changed: Condvar,
}

/// All that the index has not got.
#[derive(Default)]
struct Two {
    waiting: Changes,
    /// On their way into the index. One that waits is newer.
    taken: Arc<Changes>,
}

#[derive(Default)]
struct Queue {
    /// How far the journal was with the last group that was brought.
    applied: Option<Applied>,
    /// Changes that wait or are on their way, and bytes of those that wait.
    late: usize,
    bytes: usize,
    is_enough: bool,
    /// The index takes no more until another is in its place: nobody waits for it.
    is_stuck: bool,
    closed: bool,
}

/// What the thread has in hand.
pub(crate) struct Load {
    changes: Arc<Changes>,
    pub(crate) applied: Applied,
    pub(crate) bytes: usize,
}

impl Late {
    pub(crate) fn new() -> Self {
        Self {
            changes: RwLock::new(Two::default()),
            queue: Mutex::new(Queue::default()),
            changed: Condvar::new(),
        }
    }

    /// The change of the key that waits, if one does: its record, or that there is none any more.
    pub(crate) fn read(&self, key: &Key) -> Option<Option<Pointer>> {
        let changes = self.changes.read().unwrap_or_else(PoisonError::into_inner);
        changes.waiting.get(key).or_else(|| changes.taken.get(key)).copied()
    }

    /// Those whose key starts with `prefix`, after `after`, in key order; up to where there are `most` records among them.
    pub(crate) fn range(&self, prefix: &[u8], after: Option<&Key>, most: usize) -> Vec<Update> {
        let from = first_of(prefix);
        let from = match after {
            Some(after) if *after >= from => Bound::Excluded(*after),
            _ => Bound::Included(from),
        };
        let changes = self.changes.read().unwrap_or_else(PoisonError::into_inner);
        let range = |changes| Changes::range(changes, (from, Bound::Unbounded)).peekable();
        let merged = Merged { newer: range(&changes.waiting), older: range(&changes.taken) };
        let mut records = 0;
        let mut found = Vec::new();
        for (key, pointer) in merged.take_while(|(key, _)| key.0.starts_with(prefix)) {
            if records >= most {
                break;
            }
            records += usize::from(pointer.is_some());
            found.push((key, pointer));
        }
        found
    }

    /// Takes a durable group on. By the committer alone.
    pub(crate) fn bring(&self, updates: &[Written], applied: &Applied) {
        let mut queue = self.queue();
        while queue.late > MOST && !queue.is_stuck && !queue.closed {
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        let mut changes = self.changes.write().unwrap_or_else(PoisonError::into_inner);
        for (key, pointed) in updates {
            queue.bytes += key.0.len() + pointed.as_ref().map_or(0, |pointed| pointed.record.value.len());
            changes.waiting.insert(*key, pointed.as_ref().map(|pointed| pointed.pointer));
        }
        queue.late = changes.waiting.len() + changes.taken.len();
        let was_enough = std::mem::replace(&mut queue.is_enough, changes.waiting.len() >= ENOUGH);
        drop(changes);
        let is_first = queue.applied.replace(*applied).is_none();
        let is_enough = queue.is_enough && !was_enough;
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
                let more = |queue: &mut Queue| !queue.is_enough && !queue.closed && queue.applied.is_some();
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
        let mut changes = self.changes.write().unwrap_or_else(PoisonError::into_inner);
        let Two { waiting, taken } = &mut *changes;
        // Where the index has refused the last ones, they are still here.
        Arc::make_mut(taken).append(waiting);
        let changes = Arc::clone(taken);
        (queue.late, queue.is_enough) = (changes.len(), false);
        let bytes = std::mem::take(&mut queue.bytes);
        Some(Load { changes, applied, bytes })
    }

    /// The index has what was taken.
    pub(crate) fn done(&self) {
        let mut queue = self.queue();
        let mut changes = self.changes.write().unwrap_or_else(PoisonError::into_inner);
        let gone = std::mem::take(&mut changes.taken);
        queue.late = changes.waiting.len();
        drop((changes, queue));
        self.changed.notify_all();
        drop(gone);
    }

    /// The index has broken. Who alone can replace it must not wait for it.
    pub(crate) fn stick(&self) {
        self.queue().is_stuck = true;
        self.changed.notify_all();
    }

    /// Another index has taken the place of the broken one, with all that is durable.
    pub(crate) fn forget(&self) {
        let mut queue = self.queue();
        *self.changes.write().unwrap_or_else(PoisonError::into_inner) = Two::default();
        *queue = Queue { closed: queue.closed, ..Queue::default() };
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
    /// In key order.
    pub(crate) fn updates(&self) -> Vec<Update> {
        self.changes.iter().map(|(key, pointer)| (*key, *pointer)).collect()
    }
}

/// Both in key order; of a key in both, the newer one.
struct Merged<'a> {
    newer: Peekable<Range<'a, Key, Option<Pointer>>>,
    older: Peekable<Range<'a, Key, Option<Pointer>>>,
}

impl Iterator for Merged<'_> {
    type Item = Update;

    fn next(&mut self) -> Option<Update> {
        let is_older_first = match (self.newer.peek(), self.older.peek()) {
            (Some((newer, _)), Some((older, _))) => {
                if newer == older {
                    self.older.next();
                    false
                } else {
                    older < newer
                }
            }
            (None, _) => true,
            (_, None) => false,
        };
        let next = if is_older_first { self.older.next() } else { self.newer.next() };
        next.map(|(key, pointer)| (*key, *pointer))
    }
}

/// There is nothing more to do.
pub(crate) struct Closed;
