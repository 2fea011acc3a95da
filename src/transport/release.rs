//! Releases of connections that are held back, over the admin socket.

use hyper::StatusCode;
use hyper::body::Incoming;
use tokenkeep_client::wire::ReleaseIn;

use super::answer::{self, Answer};
use super::exchange::Exchange;
use crate::domain::action::Action;
use crate::vault::refusal::Refusal;

impl Exchange<'_> {
    pub(super) async fn release(&self, body: Incoming) -> Result<Answer, Refusal> {
        self.accepts_json()?;
        self.query()?;
        let wanted: ReleaseIn = self.body(self.ask(Action::ConnectionRelease), body).await?;
        Ok(answer::json(StatusCode::OK, &self.vault().release(self.caller, self.request, wanted).await?))
    }
}
