//! Lines of requests that are under way at the same time share one write.
//!
//! The hard problem: a write for each read costs as much as its decryption, and each answer that follows it at once
//! wakes a client that has gone to sleep meanwhile. The answer: a task whose line waits lets the others that are ready go
//! before it, once. The first that comes back writes the lines of all of them, and the others find theirs written: nobody waits
//! for anybody.
//!
//! Never says that a line was written before it is in the file; never leaves a line to somebody who is gone.

use std::sync::{Arc, OnceLock};
use std::task::Poll;

use super::entry::Entry;
use super::log::AuditError;
use super::syncer::Shared;
use crate::chain::Mark;

/// The lines of one write: what became of them, once it is known.
#[derive(Default)]
pub(super) struct Turn(OnceLock<Result<(), AuditError>>);

impl Turn {
    /// Says what became of the lines. Only the first word counts, and there is only one.
    pub(super) fn end(&self, outcome: Result<(), AuditError>) {
        let _first = self.0.set(outcome);
    }

    fn has_ended(&self) -> bool {
        self.0.get().is_some()
    }
}

/// A line that has its place in the chain, and is on its way into the file.
#[must_use = "the line is not in the file before `written` says so"]
pub struct Gathered<'a> {
    shared: &'a Shared,
    turn: Arc<Turn>,
    mark: Mark,
}

impl<'a> Gathered<'a> {
    pub(super) fn new(shared: &'a Shared, entry: &Entry<'_>) -> Result<Self, AuditError> {
        let (turn, mark) = shared.writer().gather(entry)?;
        if turn.has_ended() {
            shared.note_line();
        }
        Ok(Self { shared, turn, mark })
    }

    /// Ready once the line is in the file. Dropping the future does not undo it.
    ///
    /// # Errors
    /// It is not in the log: nothing may be released.
    pub async fn written(self) -> Result<Mark, AuditError> {
        if !self.turn.has_ended() {
            after_the_others().await;
            self.see_to_it();
        }
        // Whoever writes ends the turn of what it writes.
        let lost = || Err(AuditError::Unavailable("a fault of ours: a line was lost".into()));
        self.turn.0.get().cloned().unwrap_or_else(lost)?;
        Ok(self.mark)
    }

    fn see_to_it(&self) {
        if self.turn.has_ended() {
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
        self.see_to_it();
    }
}
