//! Each way of breaking and of recovery is told once, in its order, without a token.

use std::process::Command;

use super::receiver::secret;
use super::*;

#[test]
fn what_breaks_and_recovers_is_told_in_its_order() {
    let Some((server, receiver, vault)) = told() else { return };
    break_one(&vault, MAIN);
    let refresh = put_ended(&vault, &server, MAIN);
    vault.token("acme", MAIN).is(200);
    let got = receiver.await_taken(2);
    assert_eq!(
        types(&got),
        pairs(&[("connection.needs_reauth", "invalid_grant"), ("connection.recovered", "connected_again")])
    );
    let told = got[0].json();
    let shown = vault.admin().get("/v1/status").is(200).json();
    assert_eq!(told["vault_id"], shown["vault_id"]);
    assert_eq!(told["environment"], "development");
    let data = &told["data"];
    assert_eq!(
        (&data["org"], &data["provider"], &data["name"], &data["state"], &data["generation"]),
        (&json!("acme"), &json!("oidc"), &json!("main"), &json!("needs_reauth"), &json!(1))
    );
    assert!(data["since"].is_string() && told["timestamp"].is_string(), "{told}");
    assert!(got[0].json()["sequence"].as_u64() < got[1].json()["sequence"].as_u64());
    assert_eq!(got[1].json()["data"]["generation"], json!(2));
    for got in &got {
        assert_eq!(got.path, "/hook?team=ops");
        for token in [refresh.as_str(), "unknown", "first"] {
            assert!(!got.body.contains(token), "a token in {}", got.body);
        }
    }
    await_none_waiting(&vault);
    // The sequence is that of the change in the journal, which the audit log names.
    let broke = vault.audit().into_iter().find(|entry| entry.outcome == "needs_reauth").expect("an entry");
    assert_eq!(broke.action, "token:refresh");
    let delivered: Vec<_> =
        vault.audit().into_iter().filter(|entry| entry.action == "alert:deliver").collect();
    assert_eq!(delivered.len(), 2);
    assert_eq!(delivered[0].target.as_deref(), Some(got[0].id.as_str()));
    assert!(delivered.iter().all(|entry| entry.principal.name == "task:alerts"), "{delivered:?}");
    vault.audit_is_intact();
}

#[test]
fn an_answer_that_is_lost_is_told_and_so_is_what_the_probe_finds() {
    let Some((server, receiver, vault)) = told() else { return };
    for (name, fault) in [("oidc/lost", "after"), ("oidc/dropped", "before")] {
        put_with(&vault, &server, name, json!({ "expires_in": 3 }));
        server.fault(&json!({ "drop": fault }));
        refreshed(&vault, name, 1).refused(424, "outcome_unknown");
    }
    for name in ["oidc/lost", "oidc/dropped"] {
        poll("the probe", || {
            let answer = vault.token("acme", name);
            let is_over = match answer.status {
                200 => answer.json()["generation"] == json!(2),
                _ => answer.problem().code == "needs_reauth",
            };
            is_over.then_some(())
        });
    }
    let got = receiver.await_taken(4);
    let of = |name: &str| -> Vec<(String, String)> {
        let of: Vec<Got> = got.iter().filter(|got| got.told().2 == name).cloned().collect();
        types(&of)
    };
    assert_eq!(
        of("lost"),
        pairs(&[("connection.outcome_unknown", "answer_lost"), ("connection.needs_reauth", "answer_lost")])
    );
    assert_eq!(
        of("dropped"),
        pairs(&[("connection.outcome_unknown", "answer_lost"), ("connection.recovered", "probed")])
    );
}

/// What is tried again by itself is nobody's business.
#[test]
fn a_provider_that_is_down_for_a_while_is_not_told_of() {
    let Some((server, receiver, vault)) = told() else { return };
    put_ended(&vault, &server, MAIN);
    server.fault(&json!({ "count": 1, "status": 503 }));
    vault.token("acme", MAIN).is(200);
    assert_eq!(listed(&vault)["waiting"], json!(0));
    assert!(receiver.got().is_empty());
}

#[test]
fn a_brake_is_told_of_once_and_its_release_even_after_a_kill() {
    let Some((server, receiver, mut vault)) = told() else { return };
    for n in 0..10 {
        put_ended(&vault, &server, &format!("oidc/c{n}"));
    }
    server.set_secret("another");
    for n in 0..10 {
        vault.token("acme", &format!("oidc/c{n}")).refused(503, "client_misconfigured");
    }
    let got = receiver.await_taken(1);
    assert_eq!(types(&got), pairs(&[("provider.braked", "client_refused")]));
    assert_eq!(got[0].json()["data"]["provider"], "oidc");
    let braked = || metric(&vault, "tokenkeep_braked{provider=\"oidc\"}");
    assert_eq!(braked(), Some(1));
    await_none_waiting(&vault);
    vault.kill9();
    server.set_secret(super::super::provider::SECRET);
    vault.start();
    assert_eq!(metric(&vault, "tokenkeep_braked{provider=\"oidc\"}"), Some(1), "nothing says otherwise yet");
    vault.token("acme", "oidc/c0").is(200);
    let got = receiver.await_taken(2);
    assert_eq!(types(&got[1..]), pairs(&[("provider.released", "")]));
    assert_eq!(metric(&vault, "tokenkeep_braked{provider=\"oidc\"}"), Some(0));
    vault.token("acme", "oidc/c1").is(200);
    assert_eq!(receiver.taken().len(), 2);
}

#[test]
fn refreshes_are_counted_by_what_came_of_them() {
    let Some((server, _receiver, mut vault)) = told() else { return };
    put_ended(&vault, &server, MAIN);
    server.fault(&json!({ "delay_ms": 700 }));
    std::thread::scope(|scope| {
        for _ in 0..5 {
            scope.spawn(|| vault.token("acme", MAIN).is(200));
        }
    });
    break_one(&vault, "oidc/dead");
    let lost = "oidc/lost";
    put_living(&vault, &server, lost);
    server.fault(&json!({ "drop": "after" }));
    refreshed(&vault, lost, 1).refused(424, "outcome_unknown");
    put_ended(&vault, &server, "oidc/busy");
    server.fault(&json!({ "count": 1, "status": 429 }));
    vault.token("acme", "oidc/busy").is(200);
    let count = |outcome: &str| {
        metric(&vault, &format!("tokenkeep_refreshes_total{{provider=\"oidc\",outcome=\"{outcome}\"}}"))
    };
    let counted = [
        "success",
        "joined",
        "needs_reauth",
        "outcome_unknown",
        "provider_error",
        "persist_failed",
        "braked",
    ]
    .map(count);
    assert_eq!(counted, [2, 4, 1, 1, 1, 0, 0].map(Some));
    let states = |vault: &TestVault| {
        ["needs_reauth", "outcome_unknown", "refreshing"]
            .map(|state| metric(vault, &format!("tokenkeep_connections{{state=\"{state}\"}}")))
    };
    assert_eq!(states(&vault), [1, 1, 0].map(Some));
    vault.restart();
    poll("the count of a new life", || (states(&vault) == [1, 1, 0].map(Some)).then_some(()));
    for (state, name, reason) in
        [("needs_reauth", "dead", "invalid_grant"), ("outcome_unknown", "lost", "answer_lost")]
    {
        let listed = vault.get(&format!("/v1/orgs/acme/connections?state={state}")).json();
        assert_eq!(listed["items"].as_array().map(Vec::len), Some(1), "{listed}");
        let item = &listed["items"][0];
        assert_eq!((&item["name"], &item["reason"]), (&json!(name), &json!(reason)));
        assert!(item["since"].is_string(), "{item}");
    }
    put_ended(&vault, &server, "oidc/dead");
    put_ended(&vault, &server, lost);
    assert_eq!(states(&vault), [0, 0, 0].map(Some));
}

/// By the library that Standard Webhooks publishes for receivers.
#[test]
fn the_library_of_the_scheme_takes_the_signature_and_no_other() {
    let Some(python) = crate::root_key::server::python_with("standardwebhooks") else { return };
    let Some((_server, receiver, vault)) = told() else { return };
    receiver.write_secrets(&[2, 1]);
    break_one(&vault, MAIN);
    let got = receiver.await_taken(1).remove(0);
    let verifies = |secret: &str, body: &str| {
        let code = "import sys; from standardwebhooks.webhooks import Webhook\n\
                    i, t, s, secret, body = sys.argv[1:]\n\
                    h = {'webhook-id': i, 'webhook-timestamp': t, 'webhook-signature': s}\n\
                    Webhook(secret).verify(body, h)";
        let arguments = [&got.id, &got.timestamp, &got.signature, secret, body];
        Command::new(&python).arg("-c").arg(code).args(arguments).output().expect("python").status.success()
    };
    assert!(verifies(&secret(1), &got.body), "by the old secret");
    assert!(verifies(&secret(2), &got.body), "by the new one");
    assert!(!verifies(&secret(3), &got.body));
    assert!(!verifies(&secret(1), &got.body.replace("acme", "evil")));
}

/// A line of the page of metrics.
pub(super) fn metric(vault: &TestVault, line: &str) -> Option<u64> {
    let page = vault.admin().get("/metrics").is(200);
    let page = String::from_utf8(page.body).expect("text");
    page.lines().find_map(|found| found.strip_prefix(line)?.trim().parse().ok())
}

#[test]
fn an_end_that_comes_near_is_told_once() {
    let Some(server) = OAuthServer::start(60) else { return };
    let receiver = Receiver::start();
    let alerts = receiver.table("", "");
    let vault = vault_of(&server, &format!("absolute_limit = \"12s\"\n{alerts}"));
    put_living(&vault, &server, MAIN);
    refreshed(&vault, MAIN, 1).is(200);
    let ends_at = shown(&vault, MAIN)["forecast"]["ends_at"].clone();
    // The last quarter of it.
    std::thread::sleep(std::time::Duration::from_millis(9500));
    refreshed(&vault, MAIN, 2).is(200);
    refreshed(&vault, MAIN, 3).is(200);
    break_one(&vault, "oidc/other");
    let got = receiver.await_taken(2);
    assert_eq!(
        types(&got),
        pairs(&[("connection.expiring", "absolute_limit"), ("connection.needs_reauth", "invalid_grant")])
    );
    assert_eq!(got[0].json()["data"]["ends_at"], ends_at);
}

#[test]
fn a_copy_says_that_it_is_one() {
    let Some((server, receiver, vault)) = told() else { return };
    put_living(&vault, &server, MAIN);
    let mut copy = crate::refresh::clones::copy_of(&vault);
    copy.start();
    assert_eq!(types(&receiver.await_taken(1)), pairs(&[("vault.quarantined", "copied")]));
}
