//! The daemon is killed, and answers are lost: what is found after the restart, and what is never sent.

use std::time::Duration;

use serde_json::json;

use super::*;

#[test]
fn a_lost_answer_is_not_asked_for_again_while_the_access_token_lives() {
    let Some((server, mut vault)) = strict(60) else { return };
    put_living(&vault, &server, MAIN);
    server.fault(&json!({ "drop": "after" }));
    let problem = refreshed(&vault, MAIN, 1).refused(424, "outcome_unknown");
    assert!(problem.since.is_some());
    for _ in 0..2 {
        assert_eq!(shown(&vault, MAIN)["state"], "outcome_unknown");
        assert_eq!(vault.access_token("acme", MAIN), "first", "it is served to its end");
        refreshed(&vault, MAIN, 1).refused(424, "outcome_unknown");
        vault.kill9();
        vault.start();
    }
    let calls = server.log();
    assert_eq!((calls.len(), calls[0].result.as_str(), calls[0].lost), (1, "granted", true), "{calls:?}");
    put_living(&vault, &server, MAIN);
    assert_eq!(shown(&vault, MAIN)["state"], "active", "a new consent ends it");
    refreshed(&vault, MAIN, 2).is(200);
}

#[test]
fn a_request_that_never_arrived_is_made_good_once_the_access_token_has_ended() {
    let Some((server, vault)) = strict(60) else { return };
    put_with(&vault, &server, MAIN, json!({ "expires_in": 3 }));
    server.fault(&json!({ "drop": "before" }));
    refreshed(&vault, MAIN, 1).refused(424, "outcome_unknown");
    let probed = poll("the probe", || {
        let answer = vault.token("acme", MAIN);
        (answer.status == 200 && answer.json()["generation"] == json!(2)).then_some(answer)
    });
    assert_ne!(probed.json()["access_token"], "first");
    assert_eq!(server.results(), ["dropped", "granted"]);
    assert_eq!(shown(&vault, MAIN)["state"], "active");
}

#[test]
fn a_probe_that_finds_the_token_spent_says_that_an_answer_was_lost() {
    let Some((server, vault)) = strict(60) else { return };
    put_with(&vault, &server, MAIN, json!({ "expires_in": 2 }));
    server.fault(&json!({ "drop": "after" }));
    refreshed(&vault, MAIN, 1).refused(424, "outcome_unknown");
    let ended = poll("the probe", || {
        let answer = vault.token("acme", MAIN);
        (answer.status == 424).then(|| answer.problem()).filter(|problem| problem.code == "needs_reauth")
    });
    assert_eq!(ended.reason.as_deref(), Some("answer_lost"));
    vault.token("acme", MAIN).refused(424, "needs_reauth");
    assert_eq!(server.results(), ["granted", "invalid_grant"], "probed once");
}

#[test]
fn a_daemon_that_is_killed_while_it_waits_knows_that_the_outcome_is_unknown() {
    let Some((server, mut vault)) = strict(60) else { return };
    put_living(&vault, &server, MAIN);
    server.fault(&json!({ "delay_ms": 500 }));
    let line = vault.line();
    let caller = std::thread::spawn(move || {
        let request = Request::post(
            format!("/v1/orgs/acme/connections/{MAIN}/refresh"),
            &json!({ "if_generation": 1 }),
        );
        // The daemon dies while this waits.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| line.send(&request)));
    });
    poll("the intent", || (shown(&vault, MAIN)["state"] == "refreshing").then_some(()));
    vault.kill9();
    drop(caller.join());
    vault.start();
    poll("the recovery", || (shown(&vault, MAIN)["state"] == "outcome_unknown").then_some(()));
    assert_eq!(vault.access_token("acme", MAIN), "first");
    // Whatever the provider did with the one request: it is not sent a second time.
    std::thread::sleep(Duration::from_millis(600));
    assert!(server.log().len() <= 1, "{:?}", server.log());
    vault.audit_is_intact();
}

/// The one who stops the daemon does not lose what is on its way.
#[test]
fn a_stop_waits_for_the_answer() {
    let Some((server, mut vault)) = strict(60) else { return };
    put_living(&vault, &server, MAIN);
    server.fault(&json!({ "delay_ms": 1000 }));
    let line = vault.line();
    let caller = std::thread::spawn(move || {
        line.send(&Request::post(
            format!("/v1/orgs/acme/connections/{MAIN}/refresh"),
            &json!({ "if_generation": 1 }),
        ))
    });
    poll("the intent", || (shown(&vault, MAIN)["state"] == "refreshing").then_some(()));
    vault.restart();
    caller.join().expect("an answer").is(200);
    assert_eq!(shown(&vault, MAIN)["generation"], json!(2));
}
