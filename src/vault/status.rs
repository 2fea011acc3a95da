//! What the vault says of itself.

use tokenkeep_client::wire::{AuditStatus, PrincipalOut, Status, StoreStatus};

use super::Vault;
use super::ask::Ask;
use super::caller::Caller;
use super::refusal::Refusal;
use super::request_id::RequestId;
use crate::audit::State as AuditState;
use crate::crypto::hex;
use crate::domain::action::Action;
use crate::lacking;
use crate::os::memory;
use crate::room;
use crate::store::State as StoreState;

impl Vault {
    /// The state of the vault, for any principal.
    ///
    /// # Errors
    /// The door's.
    pub async fn status(&self, caller: &Caller, request: RequestId) -> Result<Status, Refusal> {
        let ask = Ask::new(&request, Action::StatusRead);
        let permit = self.admit(caller, ask)?;
        permit.settle(Ok(self.describe(caller)), |_| None).await
    }

    /// Why it may not serve now; none where it may.
    #[must_use]
    pub fn unready(&self) -> Option<String> {
        if let StoreState::Failed(why) = self.store.health().state {
            return Some(format!("the store has failed: {why}"));
        }
        if let AuditState::Failed(why) = self.audit.health().state {
            return Some(format!("the audit log has failed: {why}"));
        }
        None
    }

    fn describe(&self, caller: &Caller) -> Status {
        let (store, audit) = (self.store.health(), self.audit.health());
        let (store_state, store_reason) = match store.state {
            StoreState::Ok => ("ok", None),
            StoreState::Full => ("full", Some("no room left: changes are refused, reads go on".to_owned())),
            StoreState::Failed(why) => ("failed", Some(why)),
        };
        let (audit_state, audit_reason) = match audit.state {
            AuditState::Ok => ("ok", None),
            AuditState::Low => ("low", Some("no room left: it lives on its reserve".to_owned())),
            AuditState::Failed(why) => ("failed", Some(why)),
        };
        let principal = caller.principal();
        let (peer, remote) = (principal.proof.peer(), principal.proof.remote());
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            vault_id: hex::encode(&self.vault_id),
            environment: self.header().environment().to_owned(),
            principal: PrincipalOut {
                name: principal.name.clone(),
                proof: principal.proof.as_str().to_owned(),
                uid: peer.map(|peer| peer.uid),
                gid: peer.map(|peer| peer.gid),
                pid: peer.map(|peer| peer.pid),
                unit: peer.and_then(|peer| peer.unit.clone()),
                address: remote.map(|remote| remote.address.clone()),
                san: remote.and_then(|remote| remote.san.as_ref()).map(|san| san.as_str().to_owned()),
                serial: remote.and_then(|remote| remote.serial.clone()),
            },
            ready: self.unready().is_none(),
            lacks: lacking::parts().into_iter().map(str::to_owned).collect(),
            store: StoreStatus {
                state: store_state.to_owned(),
                reason: store_reason,
                records: store.records,
                sequence: store.head.sequence,
                index: store.index.to_owned(),
            },
            audit: AuditStatus {
                state: audit_state.to_owned(),
                reason: audit_reason,
                sequence: audit.head.sequence,
            },
            quarantine: self.describe_quarantine(),
            key_pages: caller.is_admin().then(|| room::kind().as_str().to_owned()),
            locked_memory: caller.is_admin().then(memory::is_locked),
        }
    }
}
