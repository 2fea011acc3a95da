//! Tells the service manager that the daemon lives, and how it is.
//!
//! The hard problem: a watchdog that a free-running timer feeds is worth nothing. The answer: before each word, every
//! part without which nothing can be served must have moved: the runtime (this task runs in it), the store's
//! committer (it answers a question through its own queue) and the audit log's thread (its rounds go on). A part that
//! has failed, or does not move in time, is named, and the watchdog is not fed.
//!
//! Never feeds the watchdog on behalf of a part that it did not hear from.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::audit::State as AuditState;
use crate::os::service_manager::ServiceManager;
use crate::store::embedded::EmbeddedStore;
use crate::store::{State as StoreState, Store};
use crate::vault::Vault;

/// How often the status is renewed where no watchdog asks for more.
const STATUS: Duration = Duration::from_secs(10);
/// How often the rounds of the audit log's thread are looked at, which makes four a second.
const LOOK: Duration = Duration::from_millis(50);
/// The audit log's thread is heard from in a quarter of a second; on a machine that is merely slow, later.
const LEAST_PATIENCE: Duration = Duration::from_secs(1);

/// What is asked whether it lives.
#[derive(Clone)]
pub(super) struct Watchdog {
    pub(super) manager: Arc<ServiceManager>,
    pub(super) vault: Arc<Vault>,
    pub(super) store: Arc<EmbeddedStore>,
    pub(super) said: watch::Receiver<Said>,
}

/// What the status says beside the facts.
#[derive(Debug, Clone)]
pub(super) struct Said {
    /// What the daemon is at.
    pub(super) phase: &'static str,
    /// What an admin should know: a reload that was refused.
    pub(super) remark: Option<String>,
}

impl Watchdog {
    /// Until it is dropped.
    pub(super) async fn run(self) {
        // sd_watchdog_enabled(3): at half of the span.
        let span = self.manager.watchdog().map_or(STATUS, |span| span / 2);
        let mut ticks = interval(span);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match self.sickness(span.max(LEAST_PATIENCE)).await {
                None => self.manager.alive(&self.status()),
                Some(sickness) => {
                    tracing::error!("the watchdog is not fed: {sickness}");
                    self.manager.status(&format!("not well: {sickness}"));
                }
            }
        }
    }

    /// How it is, in one line.
    pub(super) fn status(&self) -> String {
        let store = self.store.health();
        let state = match store.state {
            StoreState::Failed(_) => "failed",
            StoreState::Full => "full",
            StoreState::Ok => "ok",
        };
        let audit = match self.vault.audit().health().state {
            AuditState::Failed(_) => "failed",
            AuditState::Low => "low",
            AuditState::Ok => "ok",
        };
        let said = self.said.borrow();
        let remark = said.remark.as_ref().map_or(String::new(), |remark| format!("; {remark}"));
        format!("{}: {} records, store {state}, audit {audit}{remark}", said.phase, store.records)
    }

    /// What does not live.
    async fn sickness(&self, patience: Duration) -> Option<&'static str> {
        let (committer, syncer, state) = tokio::join!(
            timeout(patience, self.store.probe()),
            timeout(patience, self.audit_moves()),
            timeout(patience, self.failed()),
        );
        if !matches!(committer, Ok(Ok(()))) {
            return Some("the store's committer does not answer");
        }
        if syncer.is_err() {
            return Some("the audit log's thread does not move");
        }
        state.unwrap_or(Some("the state of store and audit log is not to be had"))
    }

    async fn audit_moves(&self) {
        let before = self.vault.audit().rounds();
        while self.vault.audit().rounds() == before {
            sleep(LOOK).await;
        }
    }

    /// Which of the two has failed. In a thread that may block: a writer that is stuck holds its lock.
    async fn failed(&self) -> Option<&'static str> {
        let (store, vault) = (Arc::clone(&self.store), Arc::clone(&self.vault));
        let looked = tokio::task::spawn_blocking(move || {
            if matches!(store.health().state, StoreState::Failed(_)) {
                return Some("the store has failed");
            }
            matches!(vault.audit().health().state, AuditState::Failed(_))
                .then_some("the audit log has failed")
        });
        looked.await.unwrap_or(Some("a defect: looking at store and audit log panicked"))
    }
}
