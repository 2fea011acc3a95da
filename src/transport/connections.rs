//! Orgs and their connections, without tokens.

use hyper::body::Incoming;
use hyper::header::{IF_MATCH, IF_NONE_MATCH};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use tokenkeep_client::ids::{ConnectionId, OrgId};
use tokenkeep_client::wire::{ConnectionState, TokenSet};

use super::answer::{self, Answer};
use super::exchange::Exchange;
use super::query::Query;
use crate::domain::action::Action;
use crate::vault::connections::{Condition, ConnectionFilter};
use crate::vault::refusal::Refusal;
use crate::vault::revocations::Farewell;

impl Exchange<'_> {
    pub(super) async fn org(&self, org: OrgId, body: &Incoming) -> Result<Answer, Refusal> {
        self.accepts_json()?;
        self.takes_nothing(body)?;
        if self.parts.method == Method::GET {
            return Ok(answer::json(
                StatusCode::OK,
                &self.vault().show_org(self.caller, self.request, &org).await?,
            ));
        }
        let (out, created) = self.vault().create_org(self.caller, self.request, org).await?;
        Ok(answer::json(if created { StatusCode::CREATED } else { StatusCode::OK }, &out))
    }

    pub(super) async fn connections(&self, org: &OrgId, body: &Incoming) -> Result<Answer, Refusal> {
        self.accepts_json()?;
        self.takes_no_body(body)?;
        let query = self.query()?;
        let filter = self.unparsed(filter(&query))?;
        let page = self.unparsed(query.page())?;
        let page = self.vault().list_connections(self.caller, self.request, org, &filter, &page).await?;
        Ok(answer::json(StatusCode::OK, &page))
    }

    pub(super) async fn connection(
        &self,
        org: OrgId,
        id: ConnectionId,
        body: Incoming,
    ) -> Result<Answer, Refusal> {
        self.accepts_json()?;
        match self.parts.method {
            Method::GET => {
                self.takes_nothing(&body)?;
                let out = self.vault().show_connection(self.caller, self.request, &org, &id).await?;
                Ok(answer::tagged(answer::json(StatusCode::OK, &out), out.generation))
            }
            Method::DELETE => {
                self.takes_no_body(&body)?;
                let query = self.query()?;
                let farewell = self.unparsed(query.parsed("revoke", "revoke is true or false", farewell))?;
                let farewell = farewell.unwrap_or(Farewell::Revoke);
                let condition = self.unparsed(condition(&self.parts))?;
                let (caller, request) = (self.caller, self.request);
                let out =
                    self.vault().delete_connection(caller, request, org, id, condition, farewell).await?;
                Ok(answer::json(StatusCode::OK, &out))
            }
            _ => {
                self.query()?;
                let ask = self.ask(Action::ConnectionWrite).of(&org).on_connection(&id);
                let condition = self.early(ask, condition(&self.parts))?;
                let set: TokenSet = self.body(ask, body).await?;
                let out =
                    self.vault().put_connection(self.caller, self.request, org, id, set, condition).await?;
                let status = if out.generation == 1 { StatusCode::CREATED } else { StatusCode::OK };
                Ok(answer::tagged(answer::json(status, &out), out.generation))
            }
        }
    }
}

fn farewell(text: &str) -> Option<Farewell> {
    match text {
        "false" => Some(Farewell::Leave),
        "true" => Some(Farewell::Revoke),
        _ => None,
    }
}

fn filter(query: &Query<'_>) -> Result<ConnectionFilter, Refusal> {
    Ok(ConnectionFilter {
        provider: query.parsed("provider", "provider is the id of a provider", |text| text.parse().ok())?,
        state: query.parsed(
            "state",
            "state is active, needs_reauth, outcome_unknown, quarantined or refreshing",
            ConnectionState::parse,
        )?,
    })
}

fn condition(parts: &Parts) -> Result<Condition, Refusal> {
    let field = |name| parts.headers.get(name).map(|value| value.to_str().unwrap_or_default());
    match (field(IF_MATCH), field(IF_NONE_MATCH)) {
        (None, None) => Ok(Condition::None),
        (None, Some("*")) => Ok(Condition::Absent),
        (Some(tag), None) => {
            let generation = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
            let generation = generation.and_then(|text| text.parse().ok());
            generation
                .map(Condition::Generation)
                .ok_or_else(|| Refusal::invalid("If-Match is one generation in quotes"))
        }
        _ => Err(Refusal::invalid("a condition is If-Match with one generation, or If-None-Match: *")),
    }
}
