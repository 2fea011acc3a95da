//! Lines of requests that are under way at the same time share one write.
//!
//! The hard problem: a write for each read costs as much as its decryption, and each answer that follows it at once
//! wakes a client that has gone to sleep meanwhile. The answer: whose line is the first lets the other tasks that are
//! ready go before it, then writes all their lines; who came later only waits.
//!
//! Never says that a line was written before it is in the file; never leaves a line to somebody who is gone.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Poll, Waker};

use super::entry::Entry;
use super::log::AuditError;
use super::syncer::Shared;
use crate::chain::Mark;

/// The lines of one write, for those who wait for it.
#[derive(Default)]
pub(super) struct Turn {
    outcome: OnceLock<Result<(), AuditError>>,
    waiting: Mutex<Vec<Waker>>,
}

impl Turn {
    /// Says what became of the lines. Only the first word counts, and there is only one.
    pub(super) fn end(&self, outcome: Result<(), AuditError>) {
        let _first = self.outcome.set(outcome);
        for waker in std::mem::take(&mut *self.waiting()) {
            waker.wake();
        }
    }

    fn poll(&self, waker: &Waker) -> Poll<Result<(), AuditError>> {
        if self.outcome.get().is_none() {
            let mut waiting = self.waiting();
            // Once more: who ends the turn takes this lock after it has said so.
            if self.outcome.get().is_none() {
                if !waiting.iter().any(|other| other.will_wake(waker)) {
                    waiting.push(waker.clone());
                }
                return Poll::Pending;
            }
        }
        self.outcome.get().cloned().map_or(Poll::Pending, Poll::Ready)
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Waker>> {
        // A list of wakers is whole at any instant.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A line that has its place in the chain, and is on its way into the file.
#[must_use = "the line is not in the file before `written` says so"]
pub struct Gathered<'a> {
    shared: &'a Shared,
    turn: Arc<Turn>,
    mark: Mark,
    /// Its line is the first: it sees to the write.
    first: bool,
}

impl<'a> Gathered<'a> {
    pub(super) fn new(shared: &'a Shared, entry: &Entry<'_>) -> Result<Self, AuditError> {
        let (turn, mark, first) = shared.writer().gather(entry)?;
        if turn.outcome.get().is_some() {
            shared.note_line();
        }
        Ok(Self { shared, turn, mark, first })
    }

    /// Ready once the line is in the file. Dropping the future does not undo it.
    ///
    /// # Errors
    /// It is not in the log: nothing may be released.
    pub async fn written(self) -> Result<Mark, AuditError> {
        if self.first {
            after_the_others().await;
            self.see_to_it();
        }
        std::future::poll_fn(|context| self.turn.poll(context.waker())).await?;
        Ok(self.mark)
    }

    fn see_to_it(&self) {
        if self.turn.outcome.get().is_some() {
            return;
        }
        // Its outcome is the turn's.
        let written = self.shared.writer().flush();
        if written.is_ok() {
            self.shared.note_line();
        }
    }
}

/// Ready once the other tasks that are ready now have been polled. The runtime's own yield looks for news of all sockets before
/// it goes on, which is a system call for each write.
async fn after_the_others() {
    let mut has_waited = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl Drop for Gathered<'_> {
    fn drop(&mut self) {
        if self.first {
            self.see_to_it();
        }
    }
}
