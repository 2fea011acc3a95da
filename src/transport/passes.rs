//! Passes: asked for here, shown in `Authorization` (see `authorization`).

use hyper::body::Incoming;
use tokenkeep_client::ids::OrgId;
use tokenkeep_client::secret::WipedBytes;
use tokenkeep_client::wire::PassRequest;

use super::answer::{self, Answer};
use super::exchange::Exchange;
use crate::domain::action::Action;
use crate::vault::refusal::Refusal;

impl Exchange<'_> {
    pub(super) async fn passes(&self, org: &OrgId, body: Incoming) -> Result<Answer, Refusal> {
        self.accepts_json()?;
        self.query()?;
        let ask = self.ask(Action::PassIssue).of(org);
        let asked: PassRequest = self.body(ask, body).await?;
        let pass = self.vault().issue_pass(self.caller, self.request, org, &asked).await?;
        let mut out = pass.body();
        Ok(answer::json_bytes(WipedBytes::from(std::mem::take(&mut *out))))
    }
}
