//! Consents of an org, over the admin socket: recorded, withdrawn, listed.

use hyper::body::Incoming;
use hyper::{Method, StatusCode};
use tokenkeep_client::ids::{ConnectionId, OrgId};
use tokenkeep_client::wire::ConsentIn;

use super::answer::{self, Answer};
use super::exchange::Exchange;
use crate::domain::action::Action;
use crate::vault::refusal::Refusal;

impl Exchange<'_> {
    pub(super) async fn consent(
        &self,
        org: OrgId,
        id: ConnectionId,
        body: Incoming,
    ) -> Result<Answer, Refusal> {
        self.accepts_json()?;
        if self.parts.method == Method::DELETE {
            self.takes_nothing(&body)?;
            let out = self.vault().withdraw_consent(self.caller, self.request, org, id).await?;
            return Ok(answer::json(StatusCode::OK, &out));
        }
        self.query()?;
        let ask = self.ask(Action::ConsentRecord).of(&org).on_connection(&id);
        let asked: ConsentIn = self.body(ask, body).await?;
        let out = self.vault().record_consent(self.caller, self.request, org, id, asked.reference).await?;
        Ok(answer::json(StatusCode::OK, &out))
    }

    pub(super) async fn consents(&self, org: &OrgId, body: &Incoming) -> Result<Answer, Refusal> {
        self.accepts_json()?;
        self.takes_no_body(body)?;
        let page = self.unparsed(self.query()?.page())?;
        let page = self.vault().list_consents(self.caller, self.request, org, &page).await?;
        Ok(answer::json(StatusCode::OK, &page))
    }
}
