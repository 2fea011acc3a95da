//! Access tokens and refresh tokens, one by one and in batches.

use std::time::Duration;

use hyper::body::Incoming;
use tokenkeep_client::ids::{ConnectionId, OrgId};
use tokenkeep_client::limits;
use tokenkeep_client::secret::WipedBytes;
use tokenkeep_client::wire::{BatchRequest, RefreshRequest};

use super::answer::{self, Answer};
use super::exchange::Exchange;
use super::form::{Form, write_json_text};
use crate::domain::action::Action;
use crate::vault::refusal::Refusal;
use crate::vault::tokens::{OpenToken, Wanted};

const MIN_TTL_RULE: &str = "min_ttl is 0 to 86400 seconds";

impl Exchange<'_> {
    pub(super) async fn token(
        &self,
        org: &OrgId,
        id: &ConnectionId,
        body: &Incoming,
    ) -> Result<Answer, Refusal> {
        let form = self.form()?;
        self.takes_no_body(body)?;
        let query = self.query()?;
        let min_ttl = query.parsed("min_ttl", MIN_TTL_RULE, |text| text.parse().ok().filter(is_min_ttl));
        let min_ttl = self.unparsed(min_ttl)?;
        let wanted = Wanted::LivesFor(Duration::from_secs(min_ttl.unwrap_or(limits::MIN_TTL_UNSAID)));
        let token = self.vault().read_token(self.caller, self.request, org, id, wanted).await?;
        token_answer(&token, form)
    }

    pub(super) async fn refresh(
        &self,
        org: &OrgId,
        id: &ConnectionId,
        body: Incoming,
    ) -> Result<Answer, Refusal> {
        let form = self.form()?;
        self.query()?;
        let ask = self.ask(Action::TokenRead).of(org).on_connection(id);
        let asked: RefreshRequest = self.body(ask, body).await?;
        let wanted = Wanted::OtherThan(asked.if_generation);
        let token = self.vault().read_token(self.caller, self.request, org, id, wanted).await?;
        token_answer(&token, form)
    }

    pub(super) async fn refresh_token(
        &self,
        org: &OrgId,
        id: &ConnectionId,
        body: &Incoming,
    ) -> Result<Answer, Refusal> {
        let form = self.form()?;
        self.takes_nothing(body)?;
        let token = self.vault().read_refresh_token(self.caller, self.request, org, id).await?;
        let generation = token.generation();
        let mut out = WipedBytes::with_capacity(2 * token.expose().len() + 64);
        match form {
            Form::Text => out.extend_from_slice(token.expose()),
            Form::Json => {
                out.extend_from_slice(b"{\"refresh_token\":");
                write_json_text(&mut out, token.expose());
                out.extend_from_slice(format!(",\"generation\":{generation}}}").as_bytes());
            }
        }
        Ok(answer::tagged(form.answer(out), generation))
    }

    pub(super) async fn tokens(&self, org: &OrgId, body: Incoming) -> Result<Answer, Refusal> {
        self.accepts_json()?;
        self.query()?;
        let ask = self.ask(Action::TokenRead).of(org);
        let asked: BatchRequest = self.body(ask, body).await?;
        let min_ttl = asked.min_ttl.unwrap_or(limits::MIN_TTL_UNSAID);
        if !is_min_ttl(&min_ttl) {
            return self.early(ask, Err(Refusal::invalid(MIN_TTL_RULE)));
        }
        let min_ttl = Duration::from_secs(min_ttl);
        let results =
            self.vault().read_tokens(self.caller, self.request, org, &asked.connections, min_ttl).await?;
        let length: usize =
            results.iter().map(|result| result.as_ref().map_or(512, OpenToken::json_length)).sum();
        let mut out = WipedBytes::with_capacity(length + 512 * results.len() + 64);
        out.extend_from_slice(b"{\"results\":[");
        for (at, (id, result)) in asked.connections.iter().zip(&results).enumerate() {
            out.extend_from_slice(if at == 0 { b"" } else { b"," });
            // Identifiers need no escapes: their alphabets have neither quote nor backslash.
            out.extend_from_slice(b"{\"provider\":\"");
            out.extend_from_slice(id.provider.as_str().as_bytes());
            out.extend_from_slice(b"\",\"name\":\"");
            out.extend_from_slice(id.name.as_str().as_bytes());
            out.extend_from_slice(b"\",");
            match result {
                Ok(token) => {
                    out.extend_from_slice(b"\"token\":");
                    token.write_json(&mut out);
                }
                Err(refusal) => {
                    out.extend_from_slice(b"\"problem\":");
                    let problem =
                        serde_json::to_vec(&answer::document(refusal, self.request)).unwrap_or_default();
                    out.extend_from_slice(&problem);
                }
            }
            out.push(b'}');
        }
        out.extend_from_slice(b"]}");
        Ok(answer::json_bytes(out))
    }
}

fn is_min_ttl(seconds: &u64) -> bool {
    *seconds <= limits::MIN_TTL
}

fn token_answer(token: &OpenToken, form: Form) -> Result<Answer, Refusal> {
    let out = match form {
        Form::Text => token.bare()?,
        Form::Json => {
            let mut out = WipedBytes::with_capacity(token.json_length());
            token.write_json(&mut out);
            out
        }
    };
    Ok(answer::tagged(form.answer(out), token.generation()))
}
