//! Orgs whose key is open: as many as may be, and none for longer than it is used.
//!
//! The hard problem: an open key is a key in memory, and a key that is not open costs an unwrap with each request. The answer has
//! two bounds. By count: a slot of 32 bytes in the key room each, so that the limit says how much memory is locked at the most.
//! By age: a key that nobody used for so long is wiped.
//!
//! Age is counted in turns, of which a task makes eight in that time: a request reads no clock. So a key goes when it was idle for
//! its time, and at the latest an eighth of it later.
//!
//! A request that has an org keeps its key to its own end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use quick_cache::sync::Cache;
use tokenkeep_client::ids::OrgId;

use super::orgs::Org;

/// Turns in the time after which a key goes.
const TURNS: u32 = 8;

/// How many org keys are kept open, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// At most so many at once.
    pub most: usize,
    /// After this time without use, a key is wiped.
    pub idle: Duration,
}

impl Default for Bounds {
    /// Twice what a large product has of customers: 4 MiB of locked memory, where the kernel's own limit is 8.
    fn default() -> Self {
        Self { most: 131_072, idle: Duration::from_secs(600) }
    }
}

impl Bounds {
    /// How often [`OpenOrgs::turn`] is due.
    pub(super) fn turn(&self) -> Duration {
        self.idle / TURNS
    }
}

pub(super) struct OpenOrgs {
    orgs: Cache<OrgId, Arc<Open>>,
    turn: AtomicU32,
}

struct Open {
    org: Arc<Org>,
    used_in: AtomicU32,
}

impl OpenOrgs {
    pub(super) fn new(most: usize) -> Self {
        Self { orgs: Cache::new(most), turn: AtomicU32::new(0) }
    }

    pub(super) fn find(&self, org: &OrgId) -> Option<Arc<Org>> {
        let open = self.orgs.get(org)?;
        let turn = self.turn.load(Ordering::Relaxed);
        // Written once a turn: the line is shared by all that read it.
        if open.used_in.load(Ordering::Relaxed) != turn {
            open.used_in.store(turn, Ordering::Relaxed);
        }
        Some(Arc::clone(&open.org))
    }

    pub(super) fn put(&self, org: Arc<Org>) {
        let used_in = AtomicU32::new(self.turn.load(Ordering::Relaxed));
        self.orgs.insert(org.id.clone(), Arc::new(Open { org, used_in }));
    }

    /// Its keys have changed: who comes next opens it anew.
    pub(super) fn forget(&self, org: &OrgId) {
        self.orgs.remove(org);
    }

    /// One more turn: what was not used in the last eight goes.
    pub(super) fn turn(&self) {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        self.orgs.retain(|_, open| turn.wrapping_sub(open.used_in.load(Ordering::Relaxed)) <= TURNS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::key::{KeyText, SealingKey};
    use crate::vault::place::OrgBlind;

    fn org(name: &str) -> Arc<Org> {
        let key = SealingKey::parse(KeyText::generate().expose().as_bytes()).unwrap();
        Arc::new(Org { id: OrgId::parse(name).unwrap(), blind: OrgBlind([0; 16]), key })
    }

    #[test]
    fn an_org_goes_when_nobody_used_it_for_its_time() {
        let orgs = OpenOrgs::new(16);
        let (used, idle) = (org("used"), org("idle"));
        orgs.put(Arc::clone(&used));
        orgs.put(Arc::clone(&idle));
        for _ in 0..TURNS {
            orgs.turn();
            assert!(orgs.find(&used.id).is_some());
        }
        assert_eq!(Arc::strong_count(&idle), 2, "not before its time");
        orgs.turn();
        assert_eq!(Arc::strong_count(&idle), 1, "its key goes with the last request that has it");
        assert!(orgs.find(&idle.id).is_none() && orgs.find(&used.id).is_some());
    }

    #[test]
    fn there_are_never_more_than_may_be() {
        let orgs = OpenOrgs::new(64);
        let all: Vec<_> = (0..1000).map(|n| org(&format!("org-{n}"))).collect();
        all.iter().for_each(|org| orgs.put(Arc::clone(org)));
        let kept = all.iter().filter(|org| Arc::strong_count(org) > 1).count();
        assert!((1..=64).contains(&kept), "{kept}");
    }
}
