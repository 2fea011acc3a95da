//! A copy of the store, beside the one it was made of and after it: it serves what still lives, and spends nothing.
//!
//! Counted by the provider's own account.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::*;

/// Another daemon over a copy of this vault's state, as `cp -a` makes it. It does not run yet.
pub(super) fn copy_of(vault: &TestVault) -> TestVault {
    let copy = TestVault::stopped(vault.configuration.clone());
    copy_files(&vault.root_key_file(), &copy.root_key_file());
    copy_files(vault.state(), copy.state());
    copy
}

fn copy_files(from: &Path, to: &Path) {
    let done = Command::new("cp").arg("-a").args([from, to]).status().expect("cp");
    assert!(done.success());
}

fn quarantine_of(vault: &TestVault) -> Value {
    vault.get("/v1/status").json()["quarantine"].clone()
}

fn release(vault: &TestVault, what: &Value) -> Value {
    vault.admin().send(&Request::post("/admin/v1/connections/release", what)).json()
}

/// Serves the access token, and refuses to refresh.
fn is_held(vault: &TestVault, connection: &str) {
    assert_eq!(vault.access_token("acme", connection), "first");
    let problem = refreshed(vault, connection, 1).refused(503, "quarantined");
    assert!(problem.since.is_some());
    let target = format!("/v1/orgs/acme/connections/{connection}/refresh-token");
    vault.get(&target).refused(503, "quarantined");
    assert_eq!(shown(vault, connection)["state"], "quarantined");
    assert_eq!(shown(vault, connection)["reason"], json!(problem.reason));
}

#[test]
fn a_copy_beside_the_live_daemon_asks_nobody_for_anything() {
    let Some((server, mut vault)) = strict(60) else { return };
    for name in ["oidc/a", "oidc/b", "oidc/c"] {
        put_living(&vault, &server, name);
    }
    put_ended(&vault, &server, "oidc/ended");
    let mut copy = copy_of(&vault);
    copy.start();
    for name in ["oidc/a", "oidc/b", "oidc/c"] {
        is_held(&copy, name);
    }
    copy.token("acme", "oidc/ended").refused(503, "quarantined");
    assert_eq!(server.results(), Vec::<String>::new(), "the copy has asked for nothing");

    let quarantine = quarantine_of(&copy);
    assert_eq!((&quarantine["reason"], &quarantine["incarnation"]), (&json!("copied"), &json!(2)));
    assert_eq!(copy.get("/readyz").status, 200);
    let findings = copy.admin().send(&Request::get("/admin/v1/doctor")).json();
    let finding =
        findings["findings"].as_array().expect("findings").iter().find(|f| f["check"] == "quarantine");
    assert_eq!(finding.expect("a finding")["level"], "warn");
    let begun = copy.audit().into_iter().find(|entry| entry.target.as_deref() == Some("quarantine"));
    assert_eq!(begun.expect("an entry").reason.as_deref(), Some("copied"));

    // The live one is the live one.
    assert_eq!(quarantine_of(&vault), Value::Null);
    refreshed(&vault, "oidc/a", 1).is(200);
    vault.restart();
    assert_eq!(quarantine_of(&vault), Value::Null);
    refreshed(&vault, "oidc/a", 2).is(200);
    assert_eq!(server.results(), ["granted", "granted"]);

    // One is let go, durably; the others are not, and a restart is no new incarnation.
    let one = json!({ "org": "acme", "provider": "oidc", "name": "b" });
    assert_eq!(release(&copy, &one), json!({ "released": 1, "next": null }));
    assert_eq!(release(&copy, &one)["released"], 0);
    copy.kill9();
    copy.start();
    assert_eq!(quarantine_of(&copy)["incarnation"], 2);
    assert_eq!(shown(&copy, "oidc/b")["state"], "active");
    refreshed(&copy, "oidc/b", 1).is(200);
    is_held(&copy, "oidc/c");
    assert_eq!(server.results().len(), 3);
    copy.audit_is_intact();
}

#[test]
fn a_copy_ends_no_grant_that_another_store_lives_on() {
    let Some(server) = OAuthServer::start(60) else { return };
    let revocation = format!("revocation_endpoint = \"{}\"", server.revocation_endpoint());
    let vault = vault_of(&server, &format!("{revocation}\n[refresh]\nearly = \"none\""));
    put_living(&vault, &server, MAIN);
    let mut copy = copy_of(&vault);
    copy.start();
    let target = format!("/v1/orgs/acme/connections/{MAIN}");
    copy.send(&Request::delete(&target)).refused(503, "quarantined");
    assert_eq!(shown(&copy, MAIN)["state"], "quarantined");
    copy.send(&Request::delete(format!("{target}?revoke=false"))).is(200);
    refreshed(&vault, MAIN, 1).is(200);
    assert_eq!(server.results(), ["granted"]);
}

#[test]
fn yesterday_s_copy_started_in_its_place_asks_nobody_for_anything() {
    let Some((server, mut vault)) = strict(60) else { return };
    put_living(&vault, &server, MAIN);
    vault.stop();
    let mut yesterday = copy_of(&vault);
    vault.start();
    refreshed(&vault, MAIN, 1).is(200);
    vault.stop();
    yesterday.start();
    is_held(&yesterday, MAIN);
    assert_eq!(server.results(), ["granted"], "that of the live one");

    // The copy of a copy is another one again: what was released in the first is held back.
    assert_eq!(release(&yesterday, &json!({ "all": true, "org": "acme" }))["released"], 1);
    yesterday.stop();
    let mut third = copy_of(&yesterday);
    third.start();
    assert_eq!(quarantine_of(&third)["incarnation"], 3);
    is_held(&third, MAIN);
    // Here it was spent, and the provider says so: what a release risks.
    assert_eq!(server.results(), ["granted"]);
}

#[test]
fn yesterday_s_copy_put_back_in_place_is_noticed() {
    let Some((server, mut vault)) = strict(60) else { return };
    put_living(&vault, &server, MAIN);
    vault.stop();
    let aside = vault.room().join("aside");
    copy_files(vault.state(), &aside);
    vault.start();
    refreshed(&vault, MAIN, 1).is(200);
    vault.stop();
    // Into the directory and the files that are there: they stay the same files.
    copy_files(&aside.join("."), vault.state());
    vault.start();
    is_held(&vault, MAIN);
    assert_eq!(quarantine_of(&vault)["reason"], "restored");
    assert_eq!(server.results(), ["granted"]);
}

#[test]
fn a_copy_made_in_the_middle_of_a_refresh_does_not_go_on_with_it() {
    let Some((server, vault)) = strict(60) else { return };
    put_with(&vault, &server, MAIN, json!({ "expires_in": 5 }));
    server.fault(&json!({ "delay_ms": 2000 }));
    let mut copy = std::thread::scope(|scope| {
        scope.spawn(|| refreshed(&vault, MAIN, 1).is(200));
        poll("the intent", || (shown(&vault, MAIN)["state"] == "refreshing").then_some(()));
        copy_of(&vault)
    });
    copy.start();
    assert_eq!(shown(&copy, MAIN)["state"], "quarantined");
    let ended = poll("the end of the access token", || {
        let answer = copy.token("acme", MAIN);
        (answer.status != 200).then_some(answer)
    });
    ended.refused(503, "quarantined");
    copy.restart();
    assert_eq!(server.results(), ["granted"], "that of the live one");
}

#[test]
fn a_restart_is_no_copy() {
    let Some((server, mut vault)) = strict(60) else { return };
    put_living(&vault, &server, MAIN);
    vault.restart();
    for _ in 0..3 {
        vault.kill9();
        vault.start();
    }
    let old = vault.root_key();
    vault.write_root_key(&[&crate::kit::vault::new_key(), old.trim()]);
    vault.admin().send(&Request::new("POST", "/admin/v1/keys/reload")).is(200);
    vault.admin().send(&Request::new("POST", "/admin/v1/keys/rotate")).is(202);
    poll("the rotation", || {
        let keys = vault.admin().send(&Request::get("/admin/v1/keys")).json();
        (keys["remaining"] == json!(0) && keys["rotating"] == json!(false)).then_some(())
    });
    vault.hang_up();
    vault.restart();
    assert_eq!(quarantine_of(&vault), Value::Null);
    refreshed(&vault, MAIN, 1).is(200);
    assert!(!vault.said().contains("connection release"), "{}", vault.said());
}

#[test]
fn a_connection_is_released_by_a_token_that_no_copy_has_and_by_nothing_less() {
    let Some((server, vault)) = strict(60) else { return };
    let stored = put_living(&vault, &server, MAIN);
    put_living(&vault, &server, "oidc/other");
    let mut copy = copy_of(&vault);
    copy.start();
    let again = json!({ "access_token": "first", "refresh_token": stored, "expires_in": 3600 });
    copy.put("acme", MAIN, &again);
    copy.put("acme", MAIN, &json!({ "access_token": "first", "expires_in": 3600 }));
    assert_eq!(shown(&copy, MAIN)["state"], "quarantined", "both have that one");
    put_living(&copy, &server, MAIN);
    assert_eq!(shown(&copy, MAIN)["state"], "active");
    refreshed(&copy, MAIN, 4).is(200);
    // What is made in this incarnation was never in another.
    put_living(&copy, &server, "oidc/new");
    refreshed(&copy, "oidc/new", 1).is(200);
    is_held(&copy, "oidc/other");
    assert_eq!(server.results(), ["granted", "granted"]);
}

#[test]
fn a_token_that_a_refresh_does_not_spend_is_refreshed_by_a_copy_too() {
    let Some(server) = OAuthServer::start(60) else { return };
    let vault = vault_of(&server, "refresh_early = \"allowed\"");
    let text = vault.configuration.more.replace("rotation = \"rotates\"", "rotation = \"stays\"");
    put_living(&vault, &server, MAIN);
    let mut copy = copy_of(&vault);
    copy.configuration.more = Box::leak(text.into_boxed_str());
    copy.start();
    assert_eq!(shown(&copy, MAIN)["state"], "active");
    refreshed(&copy, MAIN, 1).is(200);
    assert_eq!(server.results(), ["granted"]);
}

#[test]
fn all_are_released_at_once_by_org_by_provider_or_altogether() {
    let Some((server, vault)) = strict(60) else { return };
    vault.create_org("globex");
    let names: Vec<String> = (0..300).map(|n| format!("oidc/c{n}")).collect();
    for name in &names {
        vault.put(
            "acme",
            name,
            &json!({ "access_token": "first", "refresh_token": "r", "expires_in": 3600 }),
        );
    }
    vault.put(
        "globex",
        "oidc/main",
        &json!({ "access_token": "first", "refresh_token": "s", "expires_in": 3600 }),
    );
    let mut copy = copy_of(&vault);
    copy.start();
    let held = |org: &str| {
        let listed = copy.get(&format!("/v1/orgs/{org}/connections?state=quarantined&limit=1000")).json();
        listed["items"].as_array().expect("items").len()
    };
    assert_eq!((held("acme"), held("globex")), (300, 1));
    assert_eq!(release(&copy, &json!({ "all": true, "provider": "github" }))["released"], 0);
    assert_eq!(release(&copy, &json!({ "all": true, "org": "acme", "provider": "oidc" }))["released"], 300);
    assert_eq!((held("acme"), held("globex")), (0, 1));
    release(&copy, &json!({ "all": true }));
    assert_eq!((held("globex"), quarantine_of(&copy)), (0, Value::Null));
    for wrong in [json!({}), json!({ "org": "acme" }), json!({ "all": true, "name": "c1" })] {
        copy.admin()
            .send(&Request::post("/admin/v1/connections/release", &wrong))
            .refused(400, "invalid_request");
    }
    let forbidden = Request::post("/admin/v1/connections/release", &json!({ "all": true }));
    copy.send(&forbidden).refused(404, "not_found");
    assert_eq!(server.results(), Vec::<String>::new());
    copy.restart();
    assert_eq!(quarantine_of(&copy), Value::Null);
    copy.audit_is_intact();
}
