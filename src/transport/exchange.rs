//! One request on its way: what is refused before the vault is asked, and what every route needs.
//!
//! What is refused here is recorded here: a request that never became an operation is still an attempt.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use hyper::body::Incoming;
use hyper::header::{FORWARDED, HeaderName, ORIGIN, REFERER};
use hyper::http::request::Parts;
use tokenkeep_client::problem::Code;

use super::answer::{self, Answer};
use super::application::Application;
use super::body;
use super::form::Form;
use super::operation::Operation;
use super::query::Query;
use super::route::{Route, RouteError};
use crate::domain::action::Action;
use crate::vault::Vault;
use crate::vault::ask::Ask;
use crate::vault::caller::Caller;
use crate::vault::refusal::Refusal;
use crate::vault::request_id::RequestId;

/// Header fields beyond this are refused with a problem document; hyper's own end is at 8 KiB.
const HEADERS_LIMIT: usize = 6 * 1024;
/// What browsers and proxies add.
const FORWARDED_BY: [HeaderName; 5] = [
    FORWARDED,
    ORIGIN,
    REFERER,
    HeaderName::from_static("sec-fetch-site"),
    HeaderName::from_static("x-forwarded-for"),
];

/// One request on its way.
pub(super) struct Exchange<'a> {
    pub(super) application: &'a Application,
    pub(super) caller: &'a Arc<Caller>,
    pub(super) request: RequestId,
    pub(super) parts: Parts,
    /// What is asked, as soon as it is known.
    pub(super) operation: &'static Operation,
    /// Whether a body stands on the line that nobody has read.
    pub(super) unread: AtomicBool,
}

impl Exchange<'_> {
    pub(super) fn admitted_route(&self) -> Result<Route, Refusal> {
        refuse_by_headers(&self.parts)?;
        let route = Route::parse(self.parts.uri.path()).map_err(|why| match why {
            RouteError::Invalid(rule) => Refusal::invalid(rule),
            RouteError::Unknown => Refusal::new(Code::NotFound, "the API has no such path"),
        })?;
        if route.path().is_admin() && !self.caller.is_admin() {
            return Err(Refusal::new(Code::NotFound, "the API has no such path on this socket"));
        }
        Ok(route)
    }

    /// Records and answers a request that never became an operation. A stranger learns nothing but that.
    pub(super) fn refuse_unparsed(&self, refusal: &Refusal) -> Answer {
        let recorded = self.unparsed::<()>(Err(refusal.clone()));
        answer::problem(recorded.as_ref().err().unwrap_or(refusal), self.request)
    }

    pub(super) fn vault(&self) -> &Arc<Vault> {
        &self.application.vault
    }

    pub(super) fn ask(&self, action: Action) -> Ask<'_> {
        Ask::new(&self.request, action)
    }

    pub(super) fn query(&self) -> Result<Query<'_>, Refusal> {
        self.unparsed(Query::parse(self.parts.uri.query(), self.operation.query))
    }

    /// Reads a body, but not for those who may not do this anyway.
    pub(super) async fn body<T: serde::de::DeserializeOwned>(
        &self,
        ask: Ask<'_>,
        body: Incoming,
    ) -> Result<T, Refusal> {
        self.vault().refuse_early(self.caller, ask)?;
        let limit = self.operation.takes.map_or(0, |content| content.limit);
        let read = body::json(&self.parts, body, limit, self.application.body_deadline, &self.unread).await;
        self.early(ask, read)
    }

    /// Records a refusal that came before the vault was asked.
    pub(super) fn early<T>(&self, ask: Ask<'_>, result: Result<T, Refusal>) -> Result<T, Refusal> {
        if let Err(refusal) = &result {
            self.vault().record_refused(self.caller, ask, refusal)?;
        }
        result
    }

    /// Records a refusal of a request that never became an operation; a stranger is told nothing else.
    pub(super) fn unparsed<T>(&self, result: Result<T, Refusal>) -> Result<T, Refusal> {
        self.early(self.ask(Action::Unparsed), result)
    }

    pub(super) fn takes_no_body(&self, body: &Incoming) -> Result<(), Refusal> {
        self.unparsed(body::none(body))
    }

    pub(super) fn takes_nothing(&self, body: &Incoming) -> Result<(), Refusal> {
        self.takes_no_body(body)?;
        self.query().map(|_| ())
    }

    pub(super) fn accepts_json(&self) -> Result<(), Refusal> {
        self.form().map(|_| ())
    }

    pub(super) fn form(&self) -> Result<Form, Refusal> {
        self.unparsed(Form::wanted(&self.parts, self.operation.carries))
    }
}

/// A browser or a proxy is never a caller; and nobody needs large header fields.
fn refuse_by_headers(parts: &Parts) -> Result<(), Refusal> {
    let mut length = parts.uri.path().len();
    for (name, value) in &parts.headers {
        length += name.as_str().len() + value.len() + 4;
        if FORWARDED_BY.contains(name) {
            return Err(Refusal::new(
                Code::ForwardedRequest,
                "the request came through a browser or a proxy; call the socket directly",
            ));
        }
    }
    if length > HEADERS_LIMIT {
        return Err(Refusal::new(
            Code::HeadersTooLarge,
            "path and header fields have at most 6144 bytes together",
        ));
    }
    Ok(())
}
