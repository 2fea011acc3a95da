//! Who may do what, as it stands now: the clients, their allowances and the providers, replaced together by a reload.
//!
//! The hard problem: a connection lives on after a reload, and a client that was taken off the list must not keep its
//! rights for as long as it keeps its connection. The answer: each caller says of which edition of the rules it is,
//! and one of an older edition is identified anew, by the proof it gave when it connected.
//!
//! Never a client of one edition beside a provider of another.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::Vault;
use super::caller::Allowances;
use crate::audit::AuditError;
use crate::domain::policy::Policy;
use crate::domain::provider::Providers;

/// One edition of the rules.
pub(super) struct Rules {
    pub(super) policy: Policy,
    pub(super) providers: Providers,
    pub(super) allowances: Allowances,
    pub(super) edition: u64,
}

/// The rules that stand now.
pub(super) struct Standing {
    now: RwLock<Arc<Rules>>,
    /// That of `now`: spares each request the lock.
    edition: AtomicU64,
    /// Whether any provider of `now` requires consent: spares each read the look.
    asks_for_consent: AtomicBool,
}

impl Standing {
    pub(super) fn new(policy: Policy, providers: Providers) -> Self {
        let allowances = Allowances::new(&policy, None);
        let asks_for_consent = AtomicBool::new(any_requires_consent(&providers));
        let rules = Rules { policy, providers, allowances, edition: 0 };
        Self { now: RwLock::new(Arc::new(rules)), edition: AtomicU64::new(0), asks_for_consent }
    }

    pub(super) fn now(&self) -> Arc<Rules> {
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn edition(&self) -> u64 {
        self.edition.load(Ordering::Acquire)
    }

    pub(super) fn asks_for_consent(&self) -> bool {
        self.asks_for_consent.load(Ordering::Acquire)
    }

    fn replace(&self, policy: Policy, providers: Providers) {
        let mut now = self.now.write().unwrap_or_else(PoisonError::into_inner);
        let allowances = Allowances::new(&policy, Some(&now.allowances));
        let edition = now.edition + 1;
        self.asks_for_consent.store(any_requires_consent(&providers), Ordering::Release);
        *now = Arc::new(Rules { policy, providers, allowances, edition });
        // Under the lock: whoever sees the edition finds its rules.
        self.edition.store(edition, Ordering::Release);
    }
}

fn any_requires_consent(providers: &Providers) -> bool {
    providers.configured().iter().any(|provider| provider.requires_consent)
}

impl Vault {
    /// Puts new rules in the place of the old ones, for connections that stand too. Recorded first.
    ///
    /// # Errors
    /// It could not be recorded: the old rules stand.
    pub async fn replace_rules(&self, policy: Policy, providers: Providers) -> Result<(), AuditError> {
        self.record_run("reload").await?;
        self.rules.replace(policy, providers);
        Ok(())
    }
}
