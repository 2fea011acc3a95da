//! Grants, from the consent of a person to their end at the provider, against a real one: oidc-provider with PKCE
//! required, a person's browser before it, rotation, and RFC 7009.
//!
//! What has lived and what has ended is asked of the provider, never of the daemon.

mod authorization;
mod consent;
mod provider;
mod revocation;
mod scopes;

use serde_json::{Value, json};

use crate::kit::{Configuration, Request, Response, TestVault};
use provider::{OAuthServer, REDIRECT};

/// The connection of most tests.
const MAIN: &str = "oidc/main";

const CONNECTION: &str = "/v1/orgs/acme/connections/oidc/main";

/// A provider, and a vault of it with these lines in its `[[provider]]`; none where there is no node.
fn furnished(lines: &str) -> Option<(OAuthServer, TestVault)> {
    let server = OAuthServer::start()?;
    let mut vault = TestVault::stopped(Configuration::default());
    server.configure(&mut vault, &lines.replace("ISSUER", &server.issuer()));
    vault.start();
    vault.create_org("acme");
    Some((server, vault))
}

/// An authorization that was begun.
#[derive(Debug, Clone)]
struct Begun {
    url: String,
    state: String,
}

fn try_begin(vault: &TestVault, scopes: &[&str]) -> Response {
    let asked = json!({ "provider": "oidc", "name": "main", "redirect_uri": REDIRECT, "scopes": scopes });
    vault.send(&Request::post("/v1/orgs/acme/authorizations", &asked))
}

fn begin(vault: &TestVault, scopes: &[&str]) -> Begun {
    let begun = try_begin(vault, scopes).is(201).json();
    let text = |name: &str| begun[name].as_str().expect("text").to_owned();
    Begun { url: text("url"), state: text("state") }
}

/// What the browser brought back.
fn came_back(address: &str) -> Value {
    assert!(address.starts_with(REDIRECT), "{address}");
    let (_, query) = address.split_once('?').expect("a query");
    let pairs = form_urlencoded::parse(query.as_bytes());
    Value::Object(pairs.map(|(name, value)| (name.into_owned(), value.into_owned().into())).collect())
}

fn complete(vault: &TestVault, state: &str, body: &Value) -> Response {
    vault.send(&complete_request(state, body))
}

fn complete_request(state: &str, body: &Value) -> Request {
    Request::post(format!("/v1/orgs/acme/authorizations/{state}/complete"), body)
}

/// Begins, consents, completes.
fn connect(vault: &TestVault, server: &OAuthServer) -> Response {
    let begun = begin(vault, &["openid", "read", "offline_access"]);
    let back = came_back(&server.consent(&begun.url));
    assert_eq!(back["state"], begun.state.as_str());
    complete(vault, &begun.state, &json!({ "code": back["code"] }))
}

fn refresh_token(vault: &TestVault) -> String {
    let read = vault.get(&format!("{CONNECTION}/refresh-token")).json();
    read["refresh_token"].as_str().expect("text").to_owned()
}

/// The outcomes and reasons of an action in the audit log.
fn told(vault: &TestVault, action: &str) -> Vec<(String, String)> {
    let entries = vault.audit().into_iter().filter(|entry| entry.action == action);
    entries.map(|entry| (entry.outcome, entry.reason.unwrap_or_default())).collect()
}
