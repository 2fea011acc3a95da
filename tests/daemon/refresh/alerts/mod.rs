//! Alerts, from outside: what breaks against a real provider reaches a receiver that is down, slow or killed at, signed and
//! at least once.

mod breaking;
mod delivering;
mod receiver;
mod showing;

use super::*;
use receiver::{Got, Mood, Receiver};

/// A provider, a receiver, and a vault that tells it, with these lines in `[alerts]`.
fn told_with(lines: &str) -> Option<(OAuthServer, Receiver, TestVault)> {
    let server = OAuthServer::start(60)?;
    let receiver = Receiver::start();
    let alerts = receiver.table(lines, "");
    let vault = vault_of(&server, &format!("refresh_early = \"allowed\"\n{alerts}"));
    Some((server, receiver, vault))
}

fn told() -> Option<(OAuthServer, Receiver, TestVault)> {
    told_with("")
}

/// Stores a connection whose refresh token nobody issued, and finds that out.
fn break_one(vault: &TestVault, connection: &str) {
    let set =
        json!({ "access_token": "a", "refresh_token": "unknown", "expires_at": "2026-01-01T00:00:00Z" });
    vault.put("acme", connection, &set);
    vault.token("acme", connection).refused(424, "needs_reauth");
}

/// What `alert list` shows.
fn listed(vault: &TestVault) -> Value {
    vault.admin().get("/admin/v1/alerts").is(200).json()
}

fn await_none_waiting(vault: &TestVault) {
    poll("an empty outbox", || (listed(vault)["waiting"] == json!(0)).then_some(()));
}

fn types(got: &[Got]) -> Vec<(String, String)> {
    got.iter().map(|got| (got.told().0, got.told().1)).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(kind, reason)| ((*kind).to_owned(), (*reason).to_owned())).collect()
}
