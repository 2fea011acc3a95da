//! How many connections are not well: counted as they change, and once at the start.
//!
//! The hard problem: to count a million connections for each look at the metrics costs seconds, and a count that is kept up
//! change by change must begin somewhere, while changes go on. The answer: kept are those alone that are not well, which
//! are few; and what changes while the first count is under way is what the count does not touch.
//!
//! Never opens a token.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokenkeep_client::wire::{ConnectionOut, ConnectionState};

use super::Vault;
use super::connection_record::REFRESH_NOT_AVAILABLE;
use super::place::{Field, OrgBlind, Table};
use super::record::RecordView;
use super::refusal::Refusal;
use crate::domain::refresh::Custody;
use crate::store::{Key, Record};

/// Records looked at in one go.
const PAGE: usize = 1024;

/// The states that are counted: whatever is in none of them is well.
pub(super) const COUNTED: [ConnectionState; 3] =
    [ConnectionState::NeedsReauth, ConnectionState::OutcomeUnknown, ConnectionState::Refreshing];

/// The connections that are not well.
pub(super) struct Census(Mutex<Count>);

struct Count {
    unwell: HashMap<Key, ConnectionState>,
    /// What has changed since the first count began; none once it is over.
    changed: Option<HashSet<Key>>,
}

impl Census {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Count { unwell: HashMap::new(), changed: Some(HashSet::new()) }))
    }

    /// A connection is in this state now.
    pub(super) fn note(&self, key: Key, state: ConnectionState) {
        let mut count = self.count();
        if let Some(changed) = &mut count.changed {
            changed.insert(key);
        }
        count.set(key, state);
    }

    fn find(&self, key: Key, state: ConnectionState) {
        let mut count = self.count();
        if count.changed.as_ref().is_some_and(|changed| !changed.contains(&key)) {
            count.set(key, state);
        }
    }

    fn is_over(&self) {
        self.count().changed = None;
    }

    /// How many are in each of [`COUNTED`].
    pub(super) fn counts(&self) -> [u64; COUNTED.len()] {
        let count = self.count();
        COUNTED.map(|state| count.unwell.values().filter(|one| **one == state).count() as u64)
    }

    fn count(&self) -> MutexGuard<'_, Count> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Count {
    fn set(&mut self, key: Key, state: ConnectionState) {
        if COUNTED.contains(&state) {
            self.unwell.insert(key, state);
        } else {
            self.unwell.remove(&key);
        }
    }
}

/// The state by what is known of the refresh token alone.
pub(super) fn state_of(custody: &Custody) -> ConnectionState {
    match custody {
        Custody::NeedsReauth { .. } => ConnectionState::NeedsReauth,
        Custody::OutcomeUnknown { .. } => ConnectionState::OutcomeUnknown,
        Custody::Refreshing { .. } => ConnectionState::Refreshing,
        Custody::Settled => ConnectionState::Active,
    }
}

impl Vault {
    /// A token set was stored, and its connection is as `out` says.
    pub(super) fn note_stored(&self, key: Key, out: &ConnectionOut) {
        // One that ends without a refresh token does so by the clock: that is not counted.
        let by_clock = out.reason.as_deref() == Some(REFRESH_NOT_AVAILABLE);
        self.census.note(key, if by_clock { ConnectionState::Active } else { out.state });
    }

    /// How many connections are in each state that is counted.
    pub(super) fn unwell(&self) -> Vec<(&'static str, u64)> {
        let counted = COUNTED.iter().zip(self.census.counts());
        counted.map(|(state, count)| (state.as_str(), count)).collect()
    }

    /// Counts the connections that a life before has left unwell. Of each other one, its clear header alone is looked at.
    pub async fn take_census(&self) {
        let mut after = None;
        loop {
            let records = match self.store.scan(&[Table::Connection as u8], after.as_ref(), PAGE) {
                Ok(records) => records,
                Err(why) => return tracing::warn!(%why, "connections could not be counted by state"),
            };
            let Some((last, _)) = records.last() else { break };
            after = Some(*last);
            for (key, record) in &records {
                // One that does not open is said where it is read.
                if let Ok(Some(custody)) = self.open_exchange(key, record) {
                    self.census.find(*key, state_of(&custody));
                }
            }
            tokio::task::yield_now().await;
        }
        self.census.is_over();
    }

    fn open_exchange(&self, key: &Key, record: &Record) -> Result<Option<Custody>, Refusal> {
        if RecordView::parse(&record.value).is_none_or(|view| view.section(Field::Exchange).is_none()) {
            return Ok(None);
        }
        let org = self.org_in_passing(OrgBlind::of_record(key))?;
        self.custody(&org, key, record).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_during_the_first_count_is_as_it_was_changed() {
        let (census, key) = (Census::new(), |n| Key([n; 33]));
        census.note(key(1), ConnectionState::Active);
        census.find(key(1), ConnectionState::NeedsReauth);
        census.find(key(2), ConnectionState::OutcomeUnknown);
        census.note(key(3), ConnectionState::NeedsReauth);
        census.find(key(3), ConnectionState::Refreshing);
        assert_eq!(census.counts(), [1, 1, 0]);
        census.is_over();
        census.note(key(2), ConnectionState::Refreshing);
        census.note(key(3), ConnectionState::Active);
        assert_eq!(census.counts(), [0, 0, 1]);
    }
}
