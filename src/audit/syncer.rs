//! The thread that makes lines durable, and watches over their file.
//!
//! The hard problem: a thousand writers must not mean a thousand syncs, and a log that was replaced under us
//! must stop the vault. The answer: whoever waits shares the sync after the one that runs; between syncs the
//! file is compared with what was written.
//!
//! Never syncs again after a sync failed: the kernel drops what it could not write and forgets the error
//! (fsync(2); "Can Applications Recover from fsync Failures?", USENIX ATC 2020).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::log::AuditError;
use super::writer::Writer;
use crate::chain::Mark;
use crate::os::durable;

/// How often the file is looked at. A quarter of what is promised, 1 s.
const WATCH: Duration = Duration::from_millis(250);

/// What is known to be on disk.
#[derive(Debug, Clone)]
pub(super) struct Progress {
    pub(super) durable: Mark,
    pub(super) failed: Option<Arc<str>>,
    /// What has failed is the device: this process can do nothing about it.
    pub(super) device_failed: bool,
}

/// What the log and its thread share.
pub(super) struct Shared {
    writer: Mutex<Writer>,
    progress: watch::Sender<Progress>,
    /// Whether there are lines that no sync has covered: spares most appends the lock of `signal`.
    dirty: AtomicBool,
    signal: Mutex<Signal>,
    changed: Condvar,
    interval: Duration,
    /// Rounds of the thread: who sees it stand still knows that the thread is stuck.
    rounds: AtomicU64,
}

#[derive(Default)]
struct Signal {
    /// When the first line was written that no sync has covered.
    dirty_since: Option<Instant>,
    /// Somebody waits.
    urgent: bool,
    stop: bool,
}

impl Shared {
    pub(super) fn new(writer: Writer, interval: Duration) -> Self {
        let progress = Progress { durable: writer.head(), failed: None, device_failed: false };
        Self {
            writer: Mutex::new(writer),
            progress: watch::Sender::new(progress),
            dirty: AtomicBool::new(false),
            signal: Mutex::new(Signal::default()),
            changed: Condvar::new(),
            interval,
            rounds: AtomicU64::new(0),
        }
    }

    /// How often the thread has gone round: at least once in [`WATCH`] while it lives.
    pub(super) fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::Relaxed)
    }

    /// The writer. A panic while it was held left a line in an unknown state: nothing more is taken.
    pub(super) fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(|poisoned| {
            let mut writer = poisoned.into_inner();
            writer.fail("a fault of ours while a line was written");
            writer
        })
    }

    pub(super) fn durable(&self) -> Mark {
        self.progress.borrow().durable
    }

    pub(super) fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Says that a line was written.
    pub(super) fn note_line(&self) {
        if !self.dirty.swap(true, Ordering::AcqRel) {
            let mut signal = self.signal();
            signal.dirty_since.get_or_insert_with(Instant::now);
            self.changed.notify_one();
        }
    }

    /// Says that somebody waits for a sync.
    pub(super) fn hurry(&self) {
        let mut signal = self.signal();
        if !signal.urgent {
            signal.urgent = true;
            self.changed.notify_one();
        }
    }

    /// Ends the thread after a last sync.
    pub(super) fn stop(&self) {
        self.signal().stop = true;
        self.changed.notify_one();
    }

    /// Takes nothing more, and lets all who wait know.
    pub(super) fn fail(&self, reason: &str) {
        let mut writer = self.writer();
        let reason = writer.fail(reason);
        let device_failed = writer.is_failed_of_device();
        drop(writer);
        self.progress.send_modify(|progress| {
            progress.failed.get_or_insert(reason);
            progress.device_failed |= device_failed;
        });
    }

    /// As [`Self::fail`], where the kernel would not sync.
    fn fail_of_device(&self, reason: &str) {
        let reason = self.writer().fail_of_device(reason);
        self.fail(&reason);
    }

    /// The thread.
    pub(super) fn run(&self) {
        // A panic here would let everybody wait for ever.
        struct Guard<'a>(&'a Shared);
        impl Drop for Guard<'_> {
            fn drop(&mut self) {
                if std::thread::panicking() {
                    self.0.fail("a fault of ours in the sync thread");
                }
            }
        }
        let _guard = Guard(self);
        let mut watch_at = Instant::now() + WATCH;
        loop {
            self.rounds.fetch_add(1, Ordering::Relaxed);
            let (sync, stop) = self.rest(watch_at);
            if sync && let Err(error) = self.sync() {
                self.fail_of_device(&format!("a sync failed: {error}"));
            }
            if stop || Instant::now() >= watch_at {
                self.look();
                watch_at = Instant::now() + WATCH;
            }
            if stop {
                self.writer().release();
                self.fail("the audit log is closed");
                return;
            }
        }
    }

    /// Waits until there is something to do: whether to sync, whether to stop.
    fn rest(&self, watch_at: Instant) -> (bool, bool) {
        let mut signal = self.signal();
        loop {
            let now = Instant::now();
            let due = signal.dirty_since.map(|since| since + self.interval);
            let sync = signal.urgent || signal.stop || due.is_some_and(|due| due <= now);
            if sync || watch_at <= now {
                if sync {
                    (signal.urgent, signal.dirty_since) = (false, None);
                    // Before the head is taken: a line written after this asks for the next sync.
                    self.dirty.store(false, Ordering::Release);
                }
                return (sync, signal.stop);
            }
            let until = due.map_or(watch_at, |due| due.min(watch_at));
            let waited = self.changed.wait_timeout(signal, until.saturating_duration_since(now));
            signal = waited.map_or_else(|poisoned| poisoned.into_inner().0, |(signal, _)| signal);
        }
    }

    fn sync(&self) -> std::io::Result<()> {
        let (file, head) = self.writer().to_sync();
        {
            let progress = self.progress.borrow();
            if progress.failed.is_some() || progress.durable == head {
                return Ok(());
            }
        }
        durable::sync_data(&file)?;
        self.progress.send_modify(|progress| progress.durable = head);
        Ok(())
    }

    fn look(&self) {
        let mut writer = self.writer();
        let seen = writer.watch();
        writer.retry();
        let failed = match writer.state() {
            super::log::State::Failed(reason) => Some(reason),
            _ => None,
        };
        drop(writer);
        // A write that failed on another thread: those who wait for a sync must learn of it too.
        if let Some(reason) = failed.or(seen.err()) {
            self.fail(&reason);
        }
    }

    fn signal(&self) -> MutexGuard<'_, Signal> {
        // Plain values that are whole at any instant.
        self.signal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits until a sync covers `mark`.
pub(super) async fn until_durable(
    mut progress: watch::Receiver<Progress>,
    mark: Mark,
) -> Result<Mark, AuditError> {
    let covered = |progress: &Progress| progress.durable.sequence >= mark.sequence;
    let seen = progress.wait_for(|progress| covered(progress) || progress.failed.is_some()).await;
    match seen.as_deref() {
        Ok(seen) if covered(seen) => Ok(mark),
        Ok(Progress { failed: Some(reason), .. }) => Err(AuditError::Unavailable(reason.to_string())),
        _ => Err(AuditError::Unavailable("the audit log is closed".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::entry::{Decision, Entry, Who};
    use crate::audit::writer::Ground;
    use crate::clock::SystemClock;
    use crate::crypto::mac::MacKey;
    use crate::domain::action::Action;
    use crate::domain::principal::{Principal, Proof};

    #[test]
    fn a_line_counts_as_durable_only_after_the_sync_that_began_after_it() {
        let scratch = tempfile::tempdir().unwrap();
        let ground = Ground {
            directory: scratch.path().to_path_buf(),
            vault: [0; 16],
            key: MacKey::new(&[0; 32]),
            clock: Arc::new(SystemClock),
            segment_most: u64::MAX,
        };
        let shared = Shared::new(Writer::begin(ground).unwrap(), Duration::from_secs(86_400));
        let begun = shared.durable();
        let who = Who::of(&Principal { name: "task:test".into(), proof: Proof::Internal });
        let append = || {
            let mark = shared.writer().append(&Entry {
                request_id: "r",
                who: &who,
                action: Action::VaultRun,
                org: None,
                target: None,
                decision: Decision::Allow,
                outcome: "ok",
                reason: None,
                pass: None,
                generation: None,
                journal: None,
            });
            shared.note_line();
            mark.unwrap()
        };
        let first = append();
        shared.hurry();
        assert_eq!(shared.rest(Instant::now() + WATCH), (true, false));
        assert_eq!(shared.durable(), begun, "asked for, not done");
        let (_, covered) = shared.writer().to_sync();
        assert_eq!(covered, first);
        shared.sync().unwrap();
        assert_eq!(shared.durable(), first);
        append();
        assert_eq!(shared.durable(), first);
        assert!(shared.signal().dirty_since.is_some(), "a line after the sync asks for the next one");
        assert_eq!(shared.rest(Instant::now()), (false, false), "but does not hurry");
        shared.fail("the disk is gone");
        shared.sync().unwrap();
        assert_eq!(shared.durable(), first, "never synced again");
    }
}
