//! What slows writers down while a snapshot is made, so that the journal behind it keeps within its share of the disk.
//!
//! The hard problem: who writes faster than the journal is folded fills the disk, and who is held until the fold is done waits for
//! seconds. The answer: of what may be written meanwhile a part is free from the start, the rest comes free as the work goes on. Who is
//! ahead of that waits for the work to come up: a few milliseconds at a time.
//!
//! Never refuses, never stops who reads, never holds a group longer than [`LONGEST`], and never waits for work that nobody does.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a group is held at most. Whoever waits for an answer that a provider gave once waits no longer than that for its turn.
const LONGEST: Duration = Duration::from_millis(250);

/// Of what may be written, the part that is free before any work is done.
const FREE: u64 = 4;

/// Work after which those who wait look again.
const STRIDE: u64 = 128 << 10;

/// Between the committer and who makes snapshots.
#[derive(Debug, Default)]
pub(crate) struct Backpressure {
    work: Mutex<Option<Work>>,
    moved: Condvar,
}

/// What is being done, in bytes.
#[derive(Debug, Clone, Copy)]
struct Work {
    total: u64,
    done: u64,
    /// What may be written until it is done, and what was.
    most: u64,
    written: u64,
}

/// Work that writers are held against, as long as this is there.
pub(crate) struct Working<'a> {
    backpressure: &'a Backpressure,
    /// Not told yet.
    untold: u64,
}

impl Work {
    /// What may be written by now. Where nobody knows how much there is to do, nobody is held against it.
    fn free(&self) -> u64 {
        if self.total == 0 {
            return u64::MAX;
        }
        let at_first = self.most / FREE;
        let done = u128::from(self.done.min(self.total));
        let since = u128::from(self.most - at_first) * done / u128::from(self.total);
        at_first.saturating_add(u64::try_from(since).unwrap_or(u64::MAX))
    }

    fn is_ahead(&self) -> bool {
        self.written > self.free()
    }
}

impl Backpressure {
    /// Begins work on `total` bytes, until whose end `most` may be written.
    pub(crate) fn begin(&self, total: u64, most: u64) -> Working<'_> {
        *self.work() = Some(Work { total, done: 0, most, written: 0 });
        Working { backpressure: self, untold: 0 }
    }

    /// So much was written, and by so much there is more live data now: returns when there is time for more. By the committer, between two
    /// groups.
    pub(crate) fn hold(&self, bytes: u64, grown: i64) {
        let mut work = self.work();
        let Some(underway) = work.as_mut() else { return };
        underway.written = underway.written.saturating_add(counted(bytes, grown));
        drop(self.moved.wait_timeout_while(work, LONGEST, |work| work.is_some_and(|work| work.is_ahead())));
    }

    fn work(&self) -> MutexGuard<'_, Option<Work>> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What counts of what was written. What there is more of live data brings its own room: three times of it may be on the disk, of which it
/// takes one, and another in the next snapshot.
fn counted(bytes: u64, grown: i64) -> u64 {
    bytes.saturating_sub(2 * u64::try_from(grown).unwrap_or(0))
}

impl Working<'_> {
    /// So much of it is done.
    pub(crate) fn advance(&mut self, bytes: u64) {
        self.untold += bytes;
        if self.untold >= STRIDE
            && let Some(work) = self.backpressure.work().as_mut()
        {
            work.done += std::mem::take(&mut self.untold);
            self.backpressure.moved.notify_all();
        }
    }

    /// Whether those who write come near to being held: then nobody rests.
    pub(crate) fn is_pressed(&self) -> bool {
        self.backpressure.work().is_some_and(|work| work.written > work.free() / 2)
    }
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        *self.backpressure.work() = None;
        self.backpressure.moved.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn more_comes_free_as_the_work_goes_on() {
        let backpressure = Backpressure::default();
        let mut working = backpressure.begin(4 << 20, 1 << 20);
        let is_ahead = || backpressure.work().unwrap().is_ahead();
        backpressure.hold(256 << 10, 0);
        assert!(!is_ahead() && working.is_pressed(), "a part is free before any work is done");
        backpressure.hold(128 << 10, 0);
        assert!(is_ahead(), "it was held as long as anybody is, and went on");
        thread::scope(|scope| {
            let held = scope.spawn(|| backpressure.hold(640 << 10, 0));
            (0..32).for_each(|_| working.advance(128 << 10));
            held.join().unwrap();
        });
        assert!(!is_ahead(), "all is done");
    }

    #[test]
    fn who_adds_is_not_held_and_who_writes_over_is() {
        assert_eq!(counted(1100, 900), 0);
        assert_eq!((counted(1100, 0), counted(1100, -900)), (1100, 1100));
        assert_eq!(counted(1100, 100), 900);
        let backpressure = Backpressure::default();
        let _working = backpressure.begin(4 << 20, 1 << 20);
        (0..100).for_each(|_| backpressure.hold(1 << 20, 1 << 20));
        assert!(!backpressure.work().unwrap().is_ahead());
        backpressure.hold(1 << 20, 0);
        assert!(backpressure.work().unwrap().is_ahead());
    }

    #[test]
    fn where_nobody_works_nobody_is_held() {
        let backpressure = Backpressure::default();
        backpressure.hold(u64::MAX, 0);
        let working = backpressure.begin(1 << 20, 0);
        thread::scope(|scope| {
            let held = scope.spawn(|| backpressure.hold(1, 0));
            drop(working);
            held.join().unwrap();
        });
        assert!(backpressure.work().is_none());
    }

    #[test]
    fn work_of_which_nobody_knows_how_much_it_is_holds_nobody() {
        let backpressure = Backpressure::default();
        let working = backpressure.begin(0, 8 << 20);
        backpressure.work().as_mut().unwrap().written = 1 << 40;
        assert!(!backpressure.work().unwrap().is_ahead());
        assert!(!working.is_pressed());
    }
}
