//! Answers that refuse: one a status, with the codes that go with it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use tokenkeep_client::problem::Code;

use super::document::{common_headers, reference};
use super::samples::REQUEST_ID;

/// Refusals that were described, by name: operations of a kind share them.
#[derive(Default)]
pub(crate) struct Refusals(Map<String, Value>);

impl Refusals {
    /// The refusals of an operation, by status.
    pub(crate) fn of(&mut self, codes: &[Code]) -> impl Iterator<Item = (String, Value)> {
        let by_status = by_status(codes).into_iter();
        by_status.map(|(status, codes)| {
            let words: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
            let name = words.join(".");
            self.0.entry(name.clone()).or_insert_with(|| response(status, &codes));
            (status.to_string(), reference("responses", &name))
        })
    }

    /// All of them, and what any path answers to a method that it does not take.
    pub(crate) fn finish(mut self) -> Value {
        let mut refused = response(405, &[Code::MethodNotAllowed]);
        refused["headers"]["Allow"] =
            json!({ "required": true, "schema": { "type": "string" }, "example": "GET, PUT" });
        self.0.insert(Code::MethodNotAllowed.as_str().to_owned(), refused);
        self.0.into()
    }
}

/// An example of each code.
pub(crate) fn examples() -> Value {
    Code::ALL.iter().map(|code| (code.as_str(), json!({ "value": example(*code) }))).collect()
}

fn by_status(codes: &[Code]) -> BTreeMap<u16, Vec<Code>> {
    let mut statuses: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in codes {
        statuses.entry(code.status()).or_default().push(*code);
    }
    statuses
}

fn response(status: u16, codes: &[Code]) -> Value {
    let words: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
    let told: Vec<String> =
        codes.iter().map(|code| format!("`{}`: {}.", code.as_str(), code.title())).collect();
    let examples: Map<String, Value> =
        words.iter().map(|word| ((*word).to_owned(), reference("examples", word))).collect();
    let mut headers = common_headers();
    if codes.iter().any(|code| {
        matches!(
            code,
            Code::ClientMisconfigured
                | Code::NotReady
                | Code::ProviderError
                | Code::ProviderTimeout
                | Code::RateLimited
                | Code::RefreshInProgress
        )
    }) {
        headers["Retry-After"] = reference("headers", "Retry-After");
    }
    if codes.contains(&Code::Unauthenticated) {
        headers["WWW-Authenticate"] = reference("headers", "WWW-Authenticate");
    }
    json!({
        "description": told.join(" "),
        "headers": headers,
        "content": { "application/problem+json": {
            "schema": {
                "allOf": [reference("schemas", "Problem")],
                "properties": { "status": { "const": status }, "code": { "enum": words } },
            },
            "examples": examples,
        } },
    })
}

/// A problem document as the daemon writes it.
pub(crate) fn example(code: Code) -> Value {
    let mut problem = json!({
        "type": format!("urn:tokenkeep:problem:{}", code.as_str()),
        "title": code.title(),
        "status": code.status(),
        "code": code.as_str(),
        "detail": detail(code),
        "request_id": REQUEST_ID,
    });
    match code {
        Code::ProviderError | Code::ProviderTimeout | Code::RateLimited | Code::RefreshInProgress => {
            problem["retry_after"] = 1.into();
        }
        Code::OutcomeUnknown => {
            problem["reason"] = "answer_lost".into();
            problem["since"] = "2026-11-21T19:00:00Z".into();
        }
        Code::Quarantined => {
            problem["reason"] = "copied".into();
            problem["since"] = "2026-11-21T19:00:00Z".into();
        }
        Code::NeedsReauth => {
            problem["reason"] = "refresh_not_available".into();
            problem["since"] = "2026-11-21T19:00:00Z".into();
        }
        _ => {}
    }
    problem
}

/// A sentence that the daemon says with this code.
fn detail(code: Code) -> &'static str {
    match code {
        Code::AlreadyExists => "it exists already",
        Code::AuditUnavailable => {
            "the audit log cannot be written, so nothing is released; the daemon's log says why"
        }
        Code::ClientMisconfigured => {
            "the provider refuses our client id or secret, so nothing is refreshed there; mend the [[provider]]"
        }
        Code::Conflict => "another change of the same record came first; read it and try again",
        Code::ConsentRequired => {
            "the provider requires a consent and none stands for this connection; record one"
        }
        Code::CrossOrg => "this client may not act for that org",
        Code::Forbidden => "this client may not do token:read here",
        Code::ForwardedRequest => "the request came through a browser or a proxy; call the socket directly",
        Code::HeadersTooLarge => "path and header fields have at most 6144 bytes together",
        Code::Integrity => {
            "the stored value does not open or is not where it belongs; restore it from a backup"
        }
        Code::Internal => "the operation did not end",
        Code::InvalidRequest => {
            "the body has a field that is missing, unknown or of the wrong type, near line 1 column 17"
        }
        Code::MethodNotAllowed => "this path does not take this method; see Allow",
        Code::NeedsReauth => {
            "no token that is good enough is stored and this daemon does not refresh it; store a new token set"
        }
        Code::NotAcceptable => "this answer can be had as application/json",
        Code::NotFound => "there is no such connection",
        Code::NotReady => "the record cannot be read at this moment; try again",
        Code::OutcomeUnknown => {
            "a refresh token was sent and no answer came; the access token is served to its end, then it is tried once"
        }
        Code::PreconditionFailed => {
            "the connection is not as If-Match or If-None-Match says; read it and try again"
        }
        Code::ProviderError => "the provider did not give a token set; it is asked again later",
        Code::ProviderTimeout => "the provider did not answer in time; it is asked again later",
        Code::Quarantined => {
            "this store may be a copy, so its refresh tokens are not used: put a new token set, or have an admin release the connection; its access token is served to its end"
        }
        Code::RateLimited => "this client asks faster than its configured rate",
        Code::RefreshInProgress => "a refresh is under way and goes on by itself; ask again",
        Code::ScopeNotAllowed => "a scope goes beyond the provider's allowed_scopes",
        Code::StorageFull => {
            "there is no room to keep the change; nothing was written, reads go on; make room on the host"
        }
        Code::TooLarge => "a body of this request has at most 65536 bytes",
        Code::Unauthenticated => "no configured client matches this process; add a [[client]] for its user",
        Code::UnknownProvider => "no [[provider]] with this id is configured",
        Code::UnsupportedMediaType => "the body must be application/json",
    }
}
