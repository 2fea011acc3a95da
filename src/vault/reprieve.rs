//! A connection that was marked for what turned out to be a fault of ours gets back what it was.
//!
//! Never touches one that has been written since, or that was marked for a lost answer.

use tokenkeep_client::ids::{ConnectionId, OrgId};

use super::Vault;
use super::ask::Ask;
use super::door::Became;
use super::refusal::Refusal;
use super::request_id::RequestId;
use crate::domain::action::Action;
use crate::domain::refresh::{Custody, Reason};

impl Vault {
    /// Takes the mark of a refused refresh token from a connection, if it has one.
    ///
    /// # Errors
    /// The door's, the store's. It stays marked then.
    pub async fn reprieve(&self, request: RequestId, org: &OrgId, id: &ConnectionId) -> Result<(), Refusal> {
        let kept = self.look(org, id)?;
        let is_marked = matches!(kept.custody, Custody::NeedsReauth { reason: Reason::InvalidGrant, .. });
        if !is_marked {
            return Ok(());
        }
        let task = self.refresher();
        let ask = Ask::new(&request, Action::TokenRefresh).of(org).on_connection(id);
        let permit = self.admit_change(&task, ask)?;
        let mark = self.keep_exchange(&permit, &kept, &Custody::Settled).await?;
        let outcome = if mark.is_some() { "ok" } else { "conflict" };
        permit.settle_step(Became::because(outcome, "reprieved"), Some(kept.generation), mark).await
    }
}
