//! Refreshing, against a real provider: oidc-provider with rotation, where a token that is shown twice ends the grant.
//!
//! What is counted is the provider's own account of each request, never the daemon's.

mod ahead;
mod alerts;
mod brim;
mod clones;
mod custody;
mod killed;
mod leeway;
mod odd_answers;
mod provider;
mod rekeyed;
mod shared;
mod steps;
mod torture;

use serde_json::{Value, json};

use crate::kit::{Configuration, Request, Response, TestVault, poll};
use provider::OAuthServer;

/// The connection of most tests.
const MAIN: &str = "oidc/main";

/// A vault whose provider `oidc` is this server, with these lines in its configuration.
fn vault_of(server: &OAuthServer, lines: &str) -> TestVault {
    let limits = "connections = 2000\nconnections_per_user = 1000";
    let mut vault = TestVault::stopped(Configuration { limits, ..Configuration::default() });
    server.configure(&mut vault, lines);
    vault.start();
    vault.create_org("acme");
    vault
}

/// A provider with the strictest rules there are, and a vault of it; none where there is no node.
fn strict(access_ttl: u32) -> Option<(OAuthServer, TestVault)> {
    let server = OAuthServer::start(access_ttl)?;
    // Whatever is refreshed is refreshed for who asks: what is done ahead of time has tests of its own.
    let vault = vault_of(&server, "refresh_early = \"allowed\"\n[refresh]\nearly = \"none\"");
    Some((server, vault))
}

/// Stores a connection whose access token has ended and whose refresh token is good. Gives the refresh token.
fn put_ended(vault: &TestVault, server: &OAuthServer, connection: &str) -> String {
    put_with(vault, server, connection, json!({ "expires_at": "2026-01-01T00:00:00Z" }))
}

/// Stores a connection whose access token lives, and whose refresh token is good.
fn put_living(vault: &TestVault, server: &OAuthServer, connection: &str) -> String {
    put_with(vault, server, connection, json!({ "expires_in": 3600 }))
}

fn put_with(vault: &TestVault, server: &OAuthServer, connection: &str, ends: Value) -> String {
    let refresh = server.issue("rotates");
    let mut set = json!({ "access_token": "first", "refresh_token": refresh });
    set.as_object_mut().expect("an object").extend(ends.as_object().expect("an object").clone());
    vault.put("acme", connection, &set);
    refresh
}

fn refreshed(vault: &TestVault, connection: &str, generation: u64) -> Response {
    let target = format!("/v1/orgs/acme/connections/{connection}/refresh");
    vault.send(&Request::post(target, &json!({ "if_generation": generation })))
}

fn shown(vault: &TestVault, connection: &str) -> Value {
    vault.get(&format!("/v1/orgs/acme/connections/{connection}")).json()
}

/// Waits until a connection is in this generation.
fn await_generation(vault: &TestVault, connection: &str, generation: u64) -> Value {
    poll("the generation", || {
        let shown = shown(vault, connection);
        (shown["generation"] == json!(generation)).then_some(shown)
    })
}
