//! Whether the store takes changes, for all who ask.
//!
//! Never recovers from a failure.

use tokio::sync::watch;

use crate::store::{CommitError, State};

/// The state of one store, shared by its threads.
pub(crate) struct Condition(watch::Sender<State>);

impl Condition {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(State::Ok))
    }

    /// The first failure stands.
    pub(crate) fn fail(&self, why: String) {
        self.0.send_if_modified(|state| {
            let first = !matches!(state, State::Failed(_));
            if first {
                tracing::error!(%why, "the store has failed and takes no more changes");
                *state = State::Failed(why);
            }
            first
        });
    }

    /// There is no room, or there is again.
    pub(crate) fn turn(&self, to: State) {
        self.0.send_if_modified(|state| {
            let turns = !matches!(state, State::Failed(_)) && *state != to;
            if turns {
                tracing::warn!(from = ?state, ?to, "the store has less or more room than before");
                *state = to;
            }
            turns
        });
    }

    pub(crate) fn state(&self) -> State {
        self.0.borrow().clone()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<State> {
        self.0.subscribe()
    }

    /// What a batch gets once the store has failed.
    pub(crate) fn refusal(&self) -> Option<CommitError> {
        match &*self.0.borrow() {
            State::Failed(why) => Some(CommitError::Failed(why.clone())),
            State::Full | State::Ok => None,
        }
    }
}
