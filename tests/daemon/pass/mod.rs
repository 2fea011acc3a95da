//! Passes: what one lets in, and that nothing else gets in where one is shown or demanded.

mod endpoints;
mod life;
mod places;
mod table;

use serde_json::{Value, json};

use crate::kit::{Client, Configuration, Request, Response, TestVault};

/// The tests' own user must show a pass.
fn strict() -> Configuration {
    let clients = vec![Client { require_pass: true, ..Client::own() }];
    Configuration { clients, ..Configuration::default() }
}

/// Asks for a pass.
fn ask(org: &str, actions: &[&str], ttl: u64) -> Request {
    Request::post(format!("/v1/orgs/{org}/passes"), &json!({"actions": actions, "ttl": ttl}))
}

/// A pass, as it is shown.
fn issue(vault: &TestVault, org: &str, actions: &[&str], ttl: u64) -> String {
    text(&vault.send(&ask(org, actions, ttl)).is(200).json())
}

fn text(answer: &Value) -> String {
    answer["pass"].as_str().expect("a pass").to_owned()
}

/// The request with this pass.
fn with(request: Request, pass: &str) -> Request {
    request.with("authorization", &format!("Bearer {pass}"))
}

/// Refused with this status and code, and for this reason; and so it stands in the audit log.
fn refused_for(vault: &TestVault, answer: Response, status: u16, code: &str, reason: &str) {
    let problem = answer.clone().refused(status, code);
    assert_eq!(problem.reason.as_deref(), Some(reason), "{}", answer.shown());
    let entry = vault.audited(&answer);
    assert_eq!((entry.decision.as_str(), entry.outcome.as_str()), ("deny", code), "{entry:?}");
    assert_eq!(entry.reason.as_deref(), Some(reason), "{entry:?}");
}
