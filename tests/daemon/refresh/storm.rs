//! Everything at once: short-lived tokens, a network that drops and delays, and a daemon that is killed again and again.
//!
//! Judged by the provider's account alone.

use std::collections::HashSet;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::json;

use super::*;

const CONNECTIONS: usize = 10;

/// No token is shown once the provider has seen the one that was given for it: then its answer had arrived. And what
/// is dead at the end says that an answer was lost.
#[test]
fn no_token_is_shown_that_is_known_to_be_spent() {
    let Some((server, mut vault)) = strict(2) else { return };
    let names: Vec<String> = (0..CONNECTIONS).map(|n| format!("oidc/c{n}")).collect();
    for connection in &names {
        put_ended(&vault, &server, connection);
    }
    let faults = [
        json!({ "count": 0 }),
        json!({ "count": 2, "drop": "after" }),
        json!({ "count": 5, "delay_ms": 300 }),
        json!({ "count": 3, "drop": "before" }),
        json!({ "count": 3, "status": 429, "retry_after": 1 }),
        json!({ "count": 2, "status": 500 }),
    ];
    for round in 0..12 {
        for connection in &names {
            // Its owner connects again: else the storm would soon have nothing left to break.
            if shown(&vault, connection)["state"] != "active" {
                put_ended(&vault, &server, connection);
            }
        }
        server.fault(&faults[round % faults.len()]);
        // Nobody waits for these.
        let callers: Vec<_> = names.iter().map(|connection| ask_and_leave(&vault, connection)).collect();
        std::thread::sleep(Duration::from_millis(200 + 130 * (round as u64 % 7)));
        vault.kill9();
        drop(callers);
        vault.start();
    }
    server.fault(&json!({ "count": 0 }));
    let ended: Vec<_> = names.iter().map(|connection| await_end(&vault, connection)).collect();

    let log = server.log();
    let mut seen = HashSet::new();
    for call in log.iter().rev() {
        let successor_shown = call.next.as_ref().is_some_and(|next| seen.contains(next));
        let again = call.token.as_ref().is_some_and(|token| seen.contains(token));
        assert!(!(successor_shown && again), "a token was shown after the one that replaced it: {call:?}");
        seen.extend(call.token.clone());
    }
    let granted = log.iter().filter(|call| call.result == "granted").count();
    let dead = ended.iter().filter(|reason| reason.is_some()).count();
    println!(
        "{} requests, {granted} granted, {dead} of {CONNECTIONS} connections dead: {ended:?}",
        log.len()
    );
    assert!(
        ended.iter().flatten().all(|reason| reason == "answer_lost" || reason == "probe_lost"),
        "{ended:?}"
    );
    assert!(granted > CONNECTIONS, "{log:?}");
    vault.audit_is_intact();
}

fn ask_and_leave(vault: &TestVault, connection: &str) -> UnixStream {
    let mut stream = UnixStream::connect(vault.socket()).expect("the socket");
    let request = Request::get(format!("/v1/orgs/acme/connections/{connection}/token")).bytes();
    stream.write_all(&request).expect("sent");
    stream
}

/// Waits until a connection works or is given up; why, where it is.
fn await_end(vault: &TestVault, connection: &str) -> Option<String> {
    poll("the end of a connection", || {
        let answer = vault.token("acme", connection);
        if answer.status == 200 {
            return Some(None);
        }
        let problem = answer.problem();
        let reason = problem.reason.unwrap_or_default();
        (problem.code == "needs_reauth" || reason == "probe_lost").then_some(Some(reason))
    })
}
