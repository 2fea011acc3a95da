//! Connections with one refresh token: what a refresh of one does to the others.

use std::io::Write;
use std::os::unix::net::UnixStream;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::*;

const TWO: [&str; 2] = ["oidc/one", "oidc/two"];

/// Stores this refresh token under another connection, with an access token of its own.
fn share(vault: &TestVault, org: &str, connection: &str, refresh: &str) {
    let set = json!({ "access_token": "shared", "refresh_token": refresh, "expires_in": 3600 });
    vault.put(org, connection, &set);
}

fn shown_of(vault: &TestVault, org: &str, connection: &str) -> Value {
    vault.get(&format!("/v1/orgs/{org}/connections/{connection}")).json()
}

fn two_of_one_org(vault: &TestVault, server: &OAuthServer) {
    let refresh = put_living(vault, server, TWO[0]);
    share(vault, "acme", TWO[1], &refresh);
}

#[test]
fn two_connections_of_an_org_with_one_refresh_token_are_refreshed_as_one() {
    let Some((server, mut vault)) = strict(60) else { return };
    two_of_one_org(&vault, &server);
    put_living(&vault, &server, "oidc/alone");
    for name in TWO {
        assert_eq!(shown(&vault, name)["shared"], "together");
    }
    assert_eq!(shown(&vault, "oidc/alone").get("shared"), None);
    for generation in 1..4 {
        // Both at once, many times over.
        server.fault(&json!({ "delay_ms": 200 }));
        std::thread::scope(|scope| {
            for name in TWO.iter().cycle().take(20) {
                let vault = &vault;
                scope.spawn(move || refreshed(vault, name, generation).is(200));
            }
        });
        assert_eq!(server.results().len(), usize::try_from(generation).unwrap());
        let tokens = TWO.map(|name| vault.access_token("acme", name));
        assert_eq!(tokens[0], tokens[1]);
        vault.restart();
    }
    assert!(server.results().iter().all(|result| result == "granted"));

    // One of them gets a token of its own: they have gone apart.
    put_living(&vault, &server, TWO[1]);
    assert_eq!(shown(&vault, TWO[0]).get("shared"), None);
    refreshed(&vault, TWO[0], 4).is(200);
    assert_eq!(vault.access_token("acme", TWO[1]), "first");
    vault.audit_is_intact();
}

#[test]
fn a_lost_answer_is_lost_for_both_and_neither_asks_again() {
    let Some((server, mut vault)) = strict(60) else { return };
    two_of_one_org(&vault, &server);
    server.fault(&json!({ "drop": "after" }));
    refreshed(&vault, TWO[0], 1).refused(424, "outcome_unknown");
    for _ in 0..2 {
        for name in TWO {
            assert_eq!(shown(&vault, name)["state"], "outcome_unknown");
            refreshed(&vault, name, 1).refused(424, "outcome_unknown");
        }
        vault.kill9();
        vault.start();
    }
    assert_eq!(server.log().len(), 1);
}

#[test]
fn a_daemon_that_dies_in_the_middle_leaves_both_knowing_it() {
    let Some((server, mut vault)) = strict(60) else { return };
    two_of_one_org(&vault, &server);
    server.fault(&json!({ "delay_ms": 3000 }));
    let mut asking = UnixStream::connect(vault.socket()).expect("the socket");
    let target = format!("/v1/orgs/acme/connections/{}/refresh", TWO[0]);
    asking.write_all(&Request::post(target, &json!({ "if_generation": 1 })).bytes()).expect("sent");
    poll("the request", || (shown(&vault, TWO[1])["state"] == "refreshing").then_some(()));
    vault.kill9();
    vault.start();
    for name in TWO {
        refreshed(&vault, name, 1).refused(424, "outcome_unknown");
    }
    assert!(server.log().len() <= 1);
}

#[test]
fn a_refresh_token_of_two_orgs_is_spent_for_neither_until_one_has_it() {
    let Some((server, vault)) = strict(60) else { return };
    vault.create_org("globex");
    let refresh = put_living(&vault, &server, MAIN);
    share(&vault, "globex", MAIN, &refresh);
    for (org, token) in [("acme", "first"), ("globex", "shared")] {
        let shown = shown_of(&vault, org, MAIN);
        assert_eq!((&shown["state"], &shown["reason"]), (&json!("quarantined"), &json!("shared_grant")));
        assert_eq!(shown["shared"], "elsewhere");
        let target = format!("/v1/orgs/{org}/connections/{MAIN}/refresh");
        let problem = vault.send(&Request::post(target, &json!({ "if_generation": 1 })));
        let problem = problem.refused(503, "quarantined");
        assert_eq!(problem.reason.as_deref(), Some("shared_grant"));
        assert!(!problem.detail.contains("acme") && !problem.detail.contains("globex"));
        assert_eq!(vault.access_token(org, MAIN), token, "it is served to its end");
    }
    assert_eq!(server.results(), Vec::<String>::new());
    vault.send(&Request::delete(format!("/v1/orgs/globex/connections/{MAIN}?revoke=false"))).is(200);
    assert_eq!(shown(&vault, MAIN)["state"], "active");
    refreshed(&vault, MAIN, 1).is(200);
    assert_eq!(server.results(), ["granted"]);
}

#[test]
fn who_comes_with_the_token_while_it_is_being_spent_is_told_so_and_gets_nothing_of_it() {
    let Some((server, vault)) = strict(60) else { return };
    vault.create_org("globex");
    let refresh = put_living(&vault, &server, MAIN);
    server.fault(&json!({ "delay_ms": 2000 }));
    std::thread::scope(|scope| {
        scope.spawn(|| refreshed(&vault, MAIN, 1).is(200));
        poll("the request", || (shown(&vault, MAIN)["state"] == "refreshing").then_some(()));
        share(&vault, "globex", MAIN, &refresh);
        share(&vault, "acme", TWO[1], &refresh);
    });
    let elsewhere = shown_of(&vault, "globex", MAIN);
    assert_eq!(
        (&elsewhere["state"], &elsewhere["reason"]),
        (&json!("needs_reauth"), &json!("spent_elsewhere"))
    );
    assert_eq!(vault.access_token("globex", MAIN), "shared");
    assert_eq!(vault.access_token("acme", TWO[1]), vault.access_token("acme", MAIN));
    refreshed(&vault, TWO[1], 2).is(200);
    assert_eq!(server.results(), ["granted", "granted"]);
}

#[test]
fn two_connections_of_one_account_are_shown_as_such_and_refreshed_apart() {
    let Some((server, vault)) = strict(60) else { return };
    vault.create_org("globex");
    let same = |org: &str, connection: &str| shown_of(&vault, org, connection).get("same_account").cloned();
    let own = |account: &Value| {
        let refresh = server.issue("rotates");
        json!({ "access_token": "first", "refresh_token": refresh, "expires_in": 3600, "account": account })
    };
    vault.put("acme", TWO[0], &own(&json!("user-7")));
    assert_eq!(same("acme", TWO[0]), None);
    vault.put("acme", TWO[1], &own(&json!("user-8")));
    assert_eq!(same("acme", TWO[0]), None, "another account");
    vault.put("globex", MAIN, &own(&json!("user-7")));
    assert_eq!((same("acme", TWO[0]), same("globex", MAIN)), (Some(json!(true)), Some(json!(true))));
    assert_eq!(same("acme", TWO[1]), None);

    // Each has a grant of its own: nothing is held back, and the account stays known.
    refreshed(&vault, TWO[0], 1).is(200);
    assert_eq!(shown_of(&vault, "globex", MAIN)["generation"], 1);
    assert_eq!(same("globex", MAIN), Some(json!(true)));
    // Of a new grant nobody knows whose it is, unless it is said.
    vault.put("acme", TWO[0], &own(&Value::Null));
    assert_eq!(same("globex", MAIN), None);
    // The ID token says it as well.
    let claims = |sub: &str| URL_SAFE_NO_PAD.encode(json!({ "iss": "https://idp", "sub": sub }).to_string());
    for (connection, sub) in [(TWO[0], "9"), (TWO[1], "9"), ("oidc/three", "10")] {
        let mut set = own(&Value::Null);
        set["id_token"] = json!(format!("e30.{}.", claims(sub)));
        vault.put("acme", connection, &set);
    }
    assert_eq!((same("acme", TWO[0]), same("acme", TWO[1])), (Some(json!(true)), Some(json!(true))));
    assert_eq!(same("acme", "oidc/three"), None);
    let gone = Request::delete(format!("/v1/orgs/acme/connections/{}?revoke=false", TWO[0]));
    vault.send(&gone).is(200);
    assert_eq!(same("acme", TWO[1]), None, "the other is gone");
    let bad = json!({ "access_token": "a", "account": "" });
    vault.try_put("acme", "oidc/four", &bad).refused(400, "invalid_request");
    vault.audit_is_intact();
}
