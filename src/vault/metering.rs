//! The page of metrics: what was counted here, and how store, audit log and keys are at the moment.
//!
//! Reading it is an operation like any other: admitted, recorded, counted.

use std::sync::Arc;

use tokenkeep_client::ids::ProviderId;
use tokenkeep_client::problem::Code;

use super::Vault;
use super::ask::Ask;
use super::caller::Caller;
use super::refusal::Refusal;
use super::request_id::RequestId;
use crate::audit::State as AuditState;
use crate::domain::action::Action;
use crate::metrics::{Meters, Readings, StoreFiles, render};
use crate::store::State as StoreState;
use crate::store::snapshot::Snapshot;

impl Vault {
    /// What is counted while the daemon runs.
    #[must_use]
    pub fn meters(&self) -> &Arc<Meters> {
        &self.meters
    }

    /// The page, as OpenMetrics text. Counting what the root keys wrap reads one record an org.
    ///
    /// # Errors
    /// The door's; the store cannot be read.
    pub async fn read_metrics(&self, caller: &Caller, request: RequestId) -> Result<String, Refusal> {
        let permit = self.admit(caller, Ask::new(&request, Action::MetricsRead))?;
        let page = self.readings().and_then(|readings| {
            let unwritten = |_| Refusal::new(Code::Internal, "the page of metrics could not be written");
            render(&self.meters, readings).map_err(unwritten)
        });
        permit.settle(page, |_| None).await
    }

    /// Each configured provider, and whether its brake is on.
    fn brakes(&self) -> Vec<(String, bool)> {
        let braked = self.braked();
        let is_on = |id| (ProviderId::as_str(id).to_owned(), braked.contains(id));
        self.providers().iter().map(|provider| is_on(&provider.id)).collect()
    }

    fn store_files(&self) -> StoreFiles {
        let standing = self.store.standing();
        let newest = standing.snapshots.last();
        let figures = |newest: &Snapshot| (newest.at.sequence, newest.written_at / 1_000_000, newest.bytes);
        StoreFiles {
            snapshots: standing.snapshots.len() as u64,
            newest: newest.map(figures).unwrap_or_default(),
            failed: standing.failure.is_some(),
            journal: (standing.segments, standing.journal_bytes),
        }
    }

    fn readings(&self) -> Result<Readings, Refusal> {
        let (store, audit) = (self.store.health(), self.audit.health());
        let (root_keys, in_use) = self.describe_keys()?;
        Ok(Readings {
            version: env!("CARGO_PKG_VERSION"),
            unix_seconds: self.now().unix(),
            ready: self.unready().is_none(),
            uptime_seconds: self.started.elapsed().as_secs(),
            store_states: [
                ("ok", store.state == StoreState::Ok),
                ("full", store.state == StoreState::Full),
                ("failed", matches!(store.state, StoreState::Failed(_))),
            ],
            store_records: store.records,
            store_sequence: store.head.sequence,
            store_files: self.store_files(),
            scrubbed: (self.scrub.opened(), self.scrub.bad()),
            audit_states: [
                ("ok", audit.state == AuditState::Ok),
                ("low", audit.state == AuditState::Low),
                ("failed", matches!(audit.state, AuditState::Failed(_))),
            ],
            audit_sequence: audit.head.sequence,
            braked: self.brakes(),
            unwell: self.unwell(),
            events_waiting: self.events_waiting() as u64,
            revocations: self.count_revocations()?,
            orgs: in_use.orgs,
            keys_left: in_use.beside(self.root_keys().primary().id()),
            root_keys: root_keys
                .into_iter()
                .map(|key| (key.id, key.primary, key.org_keys + u64::from(key.system_key)))
                .collect(),
        })
    }
}
