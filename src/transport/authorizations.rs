//! Authorizations: begun, and completed with what the browser brought back.

use hyper::StatusCode;
use hyper::body::Incoming;
use tokenkeep_client::ids::{AuthorizationState, OrgId};
use tokenkeep_client::limits;
use tokenkeep_client::wire::{AuthorizationRequest, CompleteRequest};

use super::answer::{self, Answer};
use super::exchange::Exchange;
use crate::domain::action::Action;
use crate::vault::refusal::Refusal;

impl Exchange<'_> {
    pub(super) async fn begin_authorization(&self, org: OrgId, body: Incoming) -> Result<Answer, Refusal> {
        self.accepts_json()?;
        self.query()?;
        let ask = self.ask(Action::ConnectionWrite).of(&org);
        let asked: AuthorizationRequest = self.body(ask, body).await?;
        let out = self.vault().begin_authorization(self.caller, self.request, org, asked).await?;
        Ok(answer::json(StatusCode::CREATED, &out))
    }

    pub(super) async fn complete_authorization(
        &self,
        org: OrgId,
        state: AuthorizationState,
        body: Incoming,
    ) -> Result<Answer, Refusal> {
        self.accepts_json()?;
        self.query()?;
        let ask = self.ask(Action::ConnectionWrite).of(&org);
        let complete: CompleteRequest = self.body(ask, body).await?;
        let code = complete.code.expose();
        // VSCHAR of RFC 6749, appendix A.11.
        if !(1..=limits::CODE).contains(&code.len()) || !code.bytes().all(|b| matches!(b, 0x20..=0x7e)) {
            return self.early(ask, Err(Refusal::invalid("code is 1 to 4096 printable ASCII characters")));
        }
        let authorizations = &self.application.authorizations;
        let out = authorizations.complete(self.caller, self.request, org, state, complete).await?;
        Ok(answer::tagged(answer::json(StatusCode::OK, &out), out.generation))
    }
}
