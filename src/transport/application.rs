//! The application API, route by route: from a request to a call of the vault, and back to an answer.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{ACCEPT, HeaderName, IF_MATCH, IF_NONE_MATCH, ORIGIN, REFERER};
use hyper::http::request::Parts;
use hyper::{Method, Request, StatusCode};
use tokenkeep_client::ids::{ConnectionId, OrgId, SecretName};
use tokenkeep_client::problem::Code;
use tokenkeep_client::wire::{BatchRequest, ConnectionState, RefreshRequest, SecretIn, TokenSet};
use zeroize::Zeroizing;

use super::admin::{self, AdminServices};
use super::answer::{self, Answer};
use super::body;
use super::query::Query;
use super::route::{Route, RouteError};
use crate::domain::action::Action;
use crate::vault::Vault;
use crate::vault::ask::Ask;
use crate::vault::caller::Caller;
use crate::vault::connections::{Condition, ConnectionFilter};
use crate::vault::refusal::Refusal;
use crate::vault::request_id::{RequestId, RequestIds};
use crate::vault::tokens::{OpenToken, Wanted};

/// A token that the caller does not qualify should outlive the call it is made for.
const MIN_TTL: u64 = 60;
/// Nobody can promise more: a day.
const MIN_TTL_LIMIT: u64 = 24 * 3600;
/// Header fields beyond this are refused with a problem document; hyper's own end is at 8 KiB.
const HEADERS_LIMIT: usize = 6 * 1024;

/// What serves requests.
pub struct Application {
    /// Behind the door.
    pub vault: Arc<Vault>,
    /// Only the admin socket reaches them.
    pub admin: AdminServices,
    /// One for all listeners.
    pub request_ids: RequestIds,
    /// For the body of one request.
    pub body_deadline: Duration,
}

/// One request on its way.
pub(super) struct Exchange<'a> {
    pub(super) application: &'a Application,
    pub(super) caller: &'a Arc<Caller>,
    pub(super) request: RequestId,
    pub(super) parts: Parts,
}

impl Application {
    /// Answers a request of this caller.
    pub async fn answer(
        &self,
        caller: &Arc<Caller>,
        request: RequestId,
        incoming: Request<Incoming>,
    ) -> Answer {
        let (parts, body) = incoming.into_parts();
        let exchange = Exchange { application: self, caller, request, parts };
        let route = match exchange.admitted_route() {
            Ok(route) => route,
            Err(refused) => return exchange.refuse_unparsed(&refused),
        };
        if !route.takes(&exchange.parts.method) {
            let refusal =
                Refusal::new(Code::MethodNotAllowed, "this path does not take this method; see Allow");
            return answer::allowing(exchange.refuse_unparsed(&refusal), route.allow());
        }
        match exchange.serve(route, body).await {
            Ok(answer) => answer,
            Err(refusal) => answer::problem(&refusal, request),
        }
    }
}

impl Exchange<'_> {
    fn admitted_route(&self) -> Result<Route, Refusal> {
        refuse_forwarded(&self.parts)?;
        refuse_large_headers(&self.parts)?;
        let route = Route::parse(self.parts.uri.path()).map_err(|why| match why {
            RouteError::Invalid(rule) => Refusal::invalid(rule),
            RouteError::Unknown => Refusal::new(Code::NotFound, "the API has no such path"),
        })?;
        if route.is_admin() && !self.caller.is_admin() {
            return Err(Refusal::new(Code::NotFound, "the API has no such path on this socket"));
        }
        Ok(route)
    }

    /// Records and answers a request that never became an operation. A stranger learns nothing but that.
    fn refuse_unparsed(&self, refusal: &Refusal) -> Answer {
        let ask = Ask {
            request_id: self.request.as_str(),
            action: Action::Unparsed,
            org: None,
            provider: None,
            target: None,
        };
        match self.application.vault.record_refused(self.caller, ask, refusal) {
            Ok(()) => answer::problem(refusal, self.request),
            Err(worse) => answer::problem(&worse, self.request),
        }
    }

    async fn serve(&self, route: Route, body: Incoming) -> Result<Answer, Refusal> {
        match route {
            Route::Health => Ok(answer::empty(StatusCode::OK)),
            Route::Ready => Ok(match self.vault().unready() {
                None => answer::empty(StatusCode::OK),
                Some(why) => answer::problem(&Refusal::new(Code::NotReady, why), self.request),
            }),
            Route::Status => {
                self.takes_nothing(&body)?;
                Ok(answer::json(StatusCode::OK, &self.vault().status(self.caller, self.request).await?))
            }
            Route::Org(org) => self.org(org, &body).await,
            Route::Connections(org) => self.connections(&org, &body).await,
            Route::Connection(org, id) => self.connection(org, id, body).await,
            Route::Token(org, id) => self.token(&org, &id, &body).await,
            Route::Refresh(org, id) => self.refresh(&org, &id, body).await,
            Route::RefreshToken(org, id) => self.refresh_token(&org, &id, &body).await,
            Route::Tokens(org) => self.tokens(&org, body).await,
            Route::Secrets(org) => self.secrets(&org, &body).await,
            Route::Secret(org, name) => self.secret(org, name, body).await,
            Route::AuditEntries
            | Route::AuditVerify
            | Route::Doctor
            | Route::Keys
            | Route::KeysReload
            | Route::KeysRotate
            | Route::Orgs => {
                self.takes_no_body(&body)?;
                admin::serve(self, &route).await
            }
        }
    }

    async fn org(&self, org: OrgId, body: &Incoming) -> Result<Answer, Refusal> {
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

    async fn connections(&self, org: &OrgId, body: &Incoming) -> Result<Answer, Refusal> {
        self.accepts_json()?;
        self.takes_no_body(body)?;
        let query = self.query(&["provider", "state", "after", "limit"])?;
        let filter = ConnectionFilter {
            provider: query
                .parsed("provider", "provider is the id of a provider", |text| text.parse().ok())?,
            state: query.parsed("state", "state is active or needs_reauth", |text| match text {
                "active" => Some(ConnectionState::Active),
                "needs_reauth" => Some(ConnectionState::NeedsReauth),
                _ => None,
            })?,
        };
        let page = query.page()?;
        let page = self.vault().list_connections(self.caller, self.request, org, &filter, &page).await?;
        Ok(answer::json(StatusCode::OK, &page))
    }

    async fn connection(&self, org: OrgId, id: ConnectionId, body: Incoming) -> Result<Answer, Refusal> {
        self.accepts_json()?;
        match self.parts.method {
            Method::GET => {
                self.takes_nothing(&body)?;
                let out = self.vault().show_connection(self.caller, self.request, &org, &id).await?;
                Ok(answer::tagged(answer::json(StatusCode::OK, &out), out.generation))
            }
            Method::DELETE => {
                self.takes_no_body(&body)?;
                let query = self.query(&["revoke"])?;
                let rule =
                    "revoke is true or false; this daemon cannot revoke at the provider, so true is refused";
                query.parsed("revoke", rule, |text| (text == "false").then_some(()))?;
                let condition = condition(&self.parts)?;
                let out =
                    self.vault().delete_connection(self.caller, self.request, org, id, condition).await?;
                Ok(answer::json(StatusCode::OK, &out))
            }
            _ => {
                self.query(&[])?;
                let ask = self.ask(Action::ConnectionWrite, &org, Some(&id));
                let condition = self.early(ask, condition(&self.parts))?;
                let set: TokenSet = self.body(ask, body, body::LIMIT).await?;
                let out =
                    self.vault().put_connection(self.caller, self.request, org, id, set, condition).await?;
                let status = if out.generation == 1 { StatusCode::CREATED } else { StatusCode::OK };
                Ok(answer::tagged(answer::json(status, &out), out.generation))
            }
        }
    }

    async fn token(&self, org: &OrgId, id: &ConnectionId, body: &Incoming) -> Result<Answer, Refusal> {
        let form = self.form()?;
        self.takes_no_body(body)?;
        let query = self.query(&["min_ttl"])?;
        let min_ttl = query.parsed("min_ttl", MIN_TTL_RULE, |text| text.parse().ok().filter(is_min_ttl))?;
        let wanted = Wanted::LivesFor(Duration::from_secs(min_ttl.unwrap_or(MIN_TTL)));
        let token = self.vault().read_token(self.caller, self.request, org, id, wanted).await?;
        token_answer(&token, form)
    }

    async fn refresh(&self, org: &OrgId, id: &ConnectionId, body: Incoming) -> Result<Answer, Refusal> {
        let form = self.form()?;
        self.query(&[])?;
        let ask = self.ask(Action::TokenRead, org, Some(id));
        let asked: RefreshRequest = self.body(ask, body, body::LIMIT).await?;
        let wanted = Wanted::NewerThan(asked.if_generation);
        let token = self.vault().read_token(self.caller, self.request, org, id, wanted).await?;
        token_answer(&token, form)
    }

    async fn refresh_token(
        &self,
        org: &OrgId,
        id: &ConnectionId,
        body: &Incoming,
    ) -> Result<Answer, Refusal> {
        let form = self.form()?;
        self.takes_nothing(body)?;
        let token = self.vault().read_refresh_token(self.caller, self.request, org, id).await?;
        let generation = token.generation();
        let mut out = Zeroizing::new(Vec::with_capacity(2 * token.expose().len() + 64));
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

    async fn tokens(&self, org: &OrgId, body: Incoming) -> Result<Answer, Refusal> {
        self.accepts_json()?;
        self.query(&[])?;
        let ask = self.ask(Action::TokenRead, org, None);
        let asked: BatchRequest = self.body(ask, body, body::BATCH_LIMIT).await?;
        let min_ttl = asked.min_ttl.unwrap_or(MIN_TTL);
        if !is_min_ttl(&min_ttl) {
            return self.early(ask, Err(Refusal::invalid(MIN_TTL_RULE)));
        }
        let min_ttl = Duration::from_secs(min_ttl);
        let results =
            self.vault().read_tokens(self.caller, self.request, org, &asked.connections, min_ttl).await?;
        let length: usize =
            results.iter().map(|result| result.as_ref().map_or(512, OpenToken::json_length)).sum();
        let mut out = Zeroizing::new(Vec::with_capacity(length + 512 * results.len() + 64));
        out.extend_from_slice(b"{\"results\":[");
        for (at, (id, result)) in asked.connections.iter().zip(&results).enumerate() {
            out.extend_from_slice(if at == 0 { b"" } else { b"," });
            // Identifiers need no escapes: their alphabets have neither quote nor backslash.
            out.extend_from_slice(
                format!("{{\"provider\":\"{}\",\"name\":\"{}\",", id.provider, id.name).as_bytes(),
            );
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

    async fn secrets(&self, org: &OrgId, body: &Incoming) -> Result<Answer, Refusal> {
        self.accepts_json()?;
        self.takes_no_body(body)?;
        let page = self.query(&["after", "limit"])?.page()?;
        let page = self.vault().list_secrets(self.caller, self.request, org, &page).await?;
        Ok(answer::json(StatusCode::OK, &page))
    }

    async fn secret(&self, org: OrgId, name: SecretName, body: Incoming) -> Result<Answer, Refusal> {
        match self.parts.method {
            Method::GET => self.read_secret(&org, &name, &body).await,
            Method::DELETE => {
                self.accepts_json()?;
                self.takes_nothing(&body)?;
                let out = self.vault().delete_secret(self.caller, self.request, org, name).await?;
                Ok(answer::json(StatusCode::OK, &out))
            }
            _ => {
                self.accepts_json()?;
                self.query(&[])?;
                let ask = Ask { target: Some(name.as_str()), ..self.ask(Action::SecretWrite, &org, None) };
                let secret: SecretIn = self.body(ask, body, body::SECRET_LIMIT).await?;
                let (org, name) = (org.clone(), name.clone());
                let out = self.vault().put_secret(self.caller, self.request, org, name, secret).await?;
                let status = if out.version == 1 { StatusCode::CREATED } else { StatusCode::OK };
                Ok(answer::tagged(answer::json(status, &out), out.version))
            }
        }
    }

    async fn read_secret(&self, org: &OrgId, name: &SecretName, body: &Incoming) -> Result<Answer, Refusal> {
        let form = self.form()?;
        self.takes_no_body(body)?;
        let query = self.query(&["version"])?;
        let version = query.parsed("version", "version is a number from 1", |text| text.parse().ok())?;
        let secret = self.vault().read_secret(self.caller, self.request, org, name, version).await?;
        let mut out = Zeroizing::new(Vec::with_capacity(2 * secret.expose().len() + 128));
        match form {
            Form::Text => out.extend_from_slice(secret.expose()),
            Form::Json => {
                out.extend_from_slice(b"{\"value\":");
                write_json_text(&mut out, secret.expose());
                let rest =
                    format!(",\"version\":{},\"created_at\":\"{}\"}}", secret.version(), secret.created_at);
                out.extend_from_slice(rest.as_bytes());
            }
        }
        Ok(answer::tagged(form.answer(out), secret.version()))
    }

    fn vault(&self) -> &Arc<Vault> {
        &self.application.vault
    }

    fn ask<'b>(&'b self, action: Action, org: &'b OrgId, id: Option<&'b ConnectionId>) -> Ask<'b> {
        let provider = id.map(|id| &id.provider);
        Ask { request_id: self.request.as_str(), action, org: Some(org), provider, target: None }
    }

    pub(super) fn query(&self, known: &[&str]) -> Result<Query<'_>, Refusal> {
        self.unparsed(Query::parse(self.parts.uri.query(), known))
    }

    /// Reads a body, but not for those who may not do this anyway.
    async fn body<T: serde::de::DeserializeOwned>(
        &self,
        ask: Ask<'_>,
        body: Incoming,
        limit: usize,
    ) -> Result<T, Refusal> {
        self.vault().refuse_early(self.caller, ask)?;
        let read = body::json(&self.parts, body, limit, self.application.body_deadline).await;
        self.early(ask, read)
    }

    /// Records a refusal that came before the vault was asked.
    fn early<T>(&self, ask: Ask<'_>, result: Result<T, Refusal>) -> Result<T, Refusal> {
        if let Err(refusal) = &result {
            self.vault().record_refused(self.caller, ask, refusal)?;
        }
        result
    }

    fn unparsed<T>(&self, result: Result<T, Refusal>) -> Result<T, Refusal> {
        let ask = Ask {
            request_id: self.request.as_str(),
            action: Action::Unparsed,
            org: None,
            provider: None,
            target: None,
        };
        self.early(ask, result)
    }

    fn takes_no_body(&self, body: &Incoming) -> Result<(), Refusal> {
        self.unparsed(body::none(body))
    }

    fn takes_nothing(&self, body: &Incoming) -> Result<(), Refusal> {
        self.takes_no_body(body)?;
        self.query(&[]).map(|_| ())
    }

    fn accepts_json(&self) -> Result<(), Refusal> {
        let form = self.form()?;
        if form == Form::Json { Ok(()) } else { self.unparsed(Err(not_acceptable("application/json"))) }
    }

    fn form(&self) -> Result<Form, Refusal> {
        self.unparsed(Form::wanted(&self.parts))
    }
}

/// The form of an answer that has a bare one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Text,
}

impl Form {
    fn wanted(parts: &Parts) -> Result<Self, Refusal> {
        let Some(accept) = parts.headers.get(ACCEPT) else { return Ok(Self::Json) };
        let accept = accept.to_str().unwrap_or_default();
        for range in accept.split(',') {
            match range.split(';').next().unwrap_or_default().trim() {
                "*/*" | "application/*" | "application/json" => return Ok(Self::Json),
                "text/*" | "text/plain" => return Ok(Self::Text),
                _ => {}
            }
        }
        Err(not_acceptable("application/json, or text/plain where there is a bare value"))
    }

    fn answer(self, out: Zeroizing<Vec<u8>>) -> Answer {
        match self {
            Self::Json => answer::json_bytes(out),
            Self::Text => answer::text(out),
        }
    }
}

fn not_acceptable(offered: &str) -> Refusal {
    Refusal::new(Code::NotAcceptable, format!("this answer can be had as {offered}"))
}

const MIN_TTL_RULE: &str = "min_ttl is 0 to 86400 seconds";

fn is_min_ttl(seconds: &u64) -> bool {
    *seconds <= MIN_TTL_LIMIT
}

fn token_answer(token: &OpenToken, form: Form) -> Result<Answer, Refusal> {
    let out = match form {
        Form::Text => token.bare()?,
        Form::Json => {
            let mut out = Zeroizing::new(Vec::with_capacity(token.json_length()));
            token.write_json(&mut out);
            out
        }
    };
    Ok(answer::tagged(form.answer(out), token.generation()))
}

/// Writes UTF-8 as a JSON string into a buffer that has room for twice its length.
fn write_json_text(out: &mut Zeroizing<Vec<u8>>, text: &[u8]) {
    let text = std::str::from_utf8(text).unwrap_or_default();
    let needed = text.len() + text.bytes().filter(|b| *b < 0x20 || matches!(b, b'"' | b'\\')).count() * 5 + 2;
    let mut quoted = Zeroizing::new(Vec::with_capacity(needed));
    if serde_json::to_writer(&mut *quoted, text).is_ok() {
        if out.capacity() - out.len() < quoted.len() + 128 {
            let mut larger = Zeroizing::new(Vec::with_capacity(out.len() + quoted.len() + 128));
            larger.extend_from_slice(out);
            *out = larger;
        }
        out.extend_from_slice(&quoted);
    }
}

/// A browser or a proxy is never a caller.
fn refuse_forwarded(parts: &Parts) -> Result<(), Refusal> {
    const MARKS: [HeaderName; 5] = [
        ORIGIN,
        REFERER,
        HeaderName::from_static("sec-fetch-site"),
        HeaderName::from_static("x-forwarded-for"),
        hyper::header::FORWARDED,
    ];
    if MARKS.iter().any(|mark| parts.headers.contains_key(mark)) {
        return Err(Refusal::new(
            Code::ForwardedRequest,
            "the request came through a browser or a proxy; call the socket directly",
        ));
    }
    Ok(())
}

fn refuse_large_headers(parts: &Parts) -> Result<(), Refusal> {
    let fields: usize = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if fields + parts.uri.path().len() > HEADERS_LIMIT {
        return Err(Refusal::new(
            Code::HeadersTooLarge,
            "path and header fields have at most 6144 bytes together",
        ));
    }
    Ok(())
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
