//! Imports, over the admin socket.

use hyper::StatusCode;
use hyper::body::Incoming;
use tokenkeep_client::import::{ImportIn, ImportOut, ImportResult, Mode};

use super::answer::{self, Answer};
use super::exchange::Exchange;
use crate::domain::action::Action;
use crate::vault::refusal::Refusal;

impl Exchange<'_> {
    pub(super) async fn import(&self, body: Incoming) -> Result<Answer, Refusal> {
        self.accepts_json()?;
        self.query()?;
        let wanted: ImportIn = self.body(self.ask(Action::ConnectionWrite), body).await?;
        let dry = wanted.terms.mode == Mode::DryRun;
        let import = self.vault().import(self.caller, self.request, wanted).await?;
        let results = import.results.iter().map(|result| match result {
            Ok(done) => {
                ImportResult { outcome: Some(done.outcome), generation: done.generation, problem: None }
            }
            Err(refusal) => ImportResult {
                outcome: None,
                generation: None,
                problem: Some(answer::document(refusal, self.request)),
            },
        });
        let out =
            ImportOut { created_orgs: import.created_orgs.into_iter().collect(), results: results.collect() };
        tracing::debug!(items = out.results.len(), dry, "a part of an import was answered");
        Ok(answer::json(StatusCode::OK, &out))
    }
}
