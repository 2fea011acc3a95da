//! The keys of orgs over the admin socket: what has a body.

use hyper::StatusCode;
use hyper::body::Incoming;
use tokenkeep_client::wire::{OrgRotationIn, RetireIn};

use super::answer::{self, Answer};
use super::exchange::Exchange;
use crate::domain::action::Action;
use crate::vault::refusal::Refusal;

impl Exchange<'_> {
    pub(super) async fn rotate_org_keys(&self, body: Incoming) -> Result<Answer, Refusal> {
        self.accepts_json()?;
        self.query()?;
        let wanted: OrgRotationIn = self.body(self.ask(Action::KeyRotate), body).await?;
        let rotation = &self.application.admin.org_rotation;
        Ok(answer::json(StatusCode::ACCEPTED, &rotation.begin(self.caller, self.request, wanted).await?))
    }

    pub(super) async fn retire_key(&self, body: Incoming) -> Result<Answer, Refusal> {
        self.accepts_json()?;
        self.query()?;
        let wanted: RetireIn = self.body(self.ask(Action::KeyRetire), body).await?;
        let rotation = &self.application.admin.org_rotation;
        Ok(answer::json(StatusCode::OK, &rotation.retire(self.caller, self.request, wanted).await?))
    }
}
