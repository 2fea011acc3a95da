//! The due queue: which connection is refreshed ahead of time next.
//!
//! The hard problem: a provider that is stuck, that refuses our client or that has a million connections must hold up no
//! other. The answer: each provider has a lane of its own, with its own places, its own rate and its own stop; and who
//! takes from the lanes takes from each in turn.
//!
//! What is in it is where a connection stands and when to look at it: whether it is due is decided by its record, then.
//!
//! Time is an argument: the span since 1970. Never asks a provider, never opens a record.

mod dues;

use std::time::Duration;

use tokenkeep_client::ids::ProviderId;

pub use dues::Blind;
use dues::Dues;

use crate::domain::rate::{Bucket, Rate};

/// What a lane may do.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// At once.
    pub places: usize,
    /// How fast they begin.
    pub rate: Rate,
}

/// Connections by provider, in the order in which they are due.
#[derive(Debug)]
pub struct Queue {
    pace: Pace,
    lanes: Vec<Lane>,
    /// The lane whose turn it is.
    turn: usize,
}

#[derive(Debug)]
struct Lane {
    provider: ProviderId,
    dues: Dues,
    taken: usize,
    bucket: Bucket,
    held_until: Duration,
}

/// A connection that is to be looked at now. It has a place in its lane until that is given back.
#[derive(Debug, PartialEq, Eq)]
pub struct Taken {
    pub provider: ProviderId,
    pub blind: Blind,
}

impl Queue {
    pub fn new(pace: Pace) -> Self {
        Self { pace, lanes: Vec::new(), turn: 0 }
    }

    /// Connections in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lanes.iter().map(|lane| lane.dues.len()).sum()
    }

    /// Nothing waits any more. What is taken stays so.
    pub fn clear(&mut self) {
        self.lanes.iter_mut().for_each(|lane| lane.dues = Dues::default());
    }

    /// Places that are taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.lanes.iter().map(|lane| lane.taken).sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Has a connection looked at when `due` is reached, and not at another time.
    pub fn put(&mut self, provider: &ProviderId, blind: &Blind, due: u64) {
        let due = u32::try_from(due).unwrap_or(u32::MAX);
        self.lane(provider).dues.put(blind, due);
    }

    /// Takes the next that may be looked at now, from each lane in turn.
    pub fn take(&mut self, now: Duration) -> Option<Taken> {
        let (count, places) = (self.lanes.len(), self.pace.places);
        for step in 0..count {
            let at = (self.turn + step) % count;
            if let Some(blind) = self.lanes[at].take(now, places) {
                self.turn = at + 1;
                return Some(Taken { provider: self.lanes[at].provider.clone(), blind });
            }
        }
        None
    }

    /// When to ask again, unless something is put or given back before.
    pub fn next_at(&self) -> Option<Duration> {
        let open = self.lanes.iter().filter(|lane| lane.taken < self.pace.places);
        let first = |lane: &Lane| {
            let due = Duration::from_secs(u64::from(lane.dues.first()?));
            Some(due.max(lane.held_until))
        };
        open.filter_map(first).min()
    }

    /// Gives a place back.
    pub fn give_back(&mut self, provider: &ProviderId) {
        let lane = self.lane(provider);
        lane.taken = lane.taken.saturating_sub(1);
    }

    /// Nothing is taken from this lane before then.
    pub fn hold(&mut self, provider: &ProviderId, until: Duration) {
        let lane = self.lane(provider);
        lane.held_until = lane.held_until.max(until);
    }

    /// No lane is held any more: what it was held for may be mended.
    pub fn release(&mut self) {
        self.lanes.iter_mut().for_each(|lane| lane.held_until = Duration::ZERO);
    }

    /// Lanes are few: as many as there are providers.
    fn lane(&mut self, provider: &ProviderId) -> &mut Lane {
        let at = self.lanes.iter().position(|lane| lane.provider == *provider).unwrap_or_else(|| {
            self.lanes.push(Lane {
                provider: provider.clone(),
                dues: Dues::default(),
                taken: 0,
                bucket: Bucket::new(self.pace.rate),
                held_until: Duration::ZERO,
            });
            self.lanes.len() - 1
        });
        &mut self.lanes[at]
    }
}

impl Lane {
    fn take(&mut self, now: Duration, places: usize) -> Option<Blind> {
        let due = Duration::from_secs(u64::from(self.dues.first()?));
        if due > now || self.held_until > now || self.taken >= places {
            return None;
        }
        if let Err(wait) = self.bucket.take(now) {
            self.held_until = now + wait;
            return None;
        }
        self.taken += 1;
        self.dues.take()
    }
}

#[cfg(test)]
mod tests;
