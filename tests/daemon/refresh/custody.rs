//! The main path, and the callers: one call for all of them, and nothing lost whatever they do.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::json;

use super::*;

#[test]
fn a_token_that_has_ended_is_refreshed_by_the_read_that_finds_it() {
    let Some((server, vault)) = strict(60) else { return };
    put_ended(&vault, &server, MAIN);
    let answer = vault.token("acme", MAIN).is(200);
    let (token, tag) = (answer.json(), answer.header("etag"));
    assert_eq!((&token["generation"], tag), (&json!(2), Some("\"2\"")));
    assert_ne!(token["access_token"], "first");
    assert_eq!(token["scopes"], json!(["openid", "offline_access", "read"]));
    assert_eq!(vault.access_token("acme", MAIN), token["access_token"], "and it is kept");
    let shown = shown(&vault, MAIN);
    assert_eq!((&shown["state"], &shown["has_refresh_token"]), (&json!("active"), &json!(true)));
    assert_eq!(server.results(), ["granted"]);

    let steps: Vec<_> = vault.audit().into_iter().filter(|entry| entry.action == "token:refresh").collect();
    let told: Vec<_> =
        steps.iter().map(|step| (step.outcome.as_str(), step.reason.as_deref(), step.generation)).collect();
    assert_eq!(told, [("ok", Some("intent"), Some(1)), ("ok", None, Some(2))]);
    assert!(steps.iter().all(|step| step.principal.name == "task:refresher"), "{steps:?}");
    assert_eq!(vault.audited(&answer).outcome, "ok");
    vault.audit_is_intact();
}

#[test]
fn five_hundred_callers_with_the_same_401_cost_one_call() {
    let Some((server, vault)) = strict(60) else { return };
    put_living(&vault, &server, MAIN);
    let tokens: Vec<String> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..500)
            .map(|_| {
                scope.spawn(|| {
                    let answer = refreshed(&vault, MAIN, 1).json();
                    assert_eq!(answer["generation"], json!(2));
                    answer["access_token"].as_str().expect("text").to_owned()
                })
            })
            .collect();
        callers.into_iter().map(|caller| caller.join().expect("an answer")).collect()
    });
    assert!(tokens.iter().all(|token| *token == tokens[0] && token != "first"));
    assert_eq!(server.results(), ["granted"]);
}

#[test]
fn callers_that_give_up_change_nothing() {
    let Some((server, vault)) = strict(60) else { return };
    put_ended(&vault, &server, MAIN);
    server.fault(&json!({ "delay_ms": 2000 }));
    let request = Request::get(format!("/v1/orgs/acme/connections/{MAIN}/token")).bytes();
    let callers: Vec<UnixStream> = (0..500)
        .map(|_| {
            let mut stream = UnixStream::connect(vault.socket()).expect("the socket");
            // One that is turned away for want of room has given up, too.
            let _ = stream.write_all(&request);
            stream
        })
        .collect();
    std::thread::sleep(Duration::from_millis(50));
    poll("the flight", || (shown(&vault, MAIN)["state"] == "refreshing").then_some(()));
    assert!(server.log().is_empty(), "the provider takes its time");
    drop(callers);
    let kept = await_generation(&vault, MAIN, 2);
    assert_eq!(kept["state"], "active");
    assert_ne!(vault.access_token("acme", MAIN), "first");
    assert_eq!(server.results(), ["granted"]);
    refreshed(&vault, MAIN, 2).is(200);
    assert_eq!(server.results(), ["granted", "granted"], "the new refresh token is the provider's");
}

#[test]
fn a_token_that_still_lives_is_served_while_the_provider_is_down() {
    let Some((server, vault)) = strict(60) else { return };
    put_with(&vault, &server, MAIN, json!({ "expires_in": 600 }));
    let target = format!("/v1/orgs/acme/connections/{MAIN}/token?min_ttl=3600");
    server.fault(&json!({ "count": 100, "status": 503 }));
    assert_eq!(vault.get(&target).json()["access_token"], "first", "not for an hour, but better than none");
    let problem = refreshed(&vault, MAIN, 1).refused(502, "provider_error");
    assert!(problem.retry_after.is_some());
    assert_eq!(vault.access_token("acme", MAIN), "first");
    assert_eq!(shown(&vault, MAIN)["state"], "active");
}

#[test]
fn a_client_secret_that_is_wrong_marks_nothing_and_costs_few_calls() {
    let Some((server, vault)) = strict(60) else { return };
    let connections: Vec<String> = (0..40).map(|n| format!("oidc/c{n}")).collect();
    for connection in &connections {
        put_ended(&vault, &server, connection);
    }
    server.set_secret("another");
    let ask_all = || -> Vec<u16> {
        std::thread::scope(|scope| {
            let asked: Vec<_> =
                connections.iter().map(|one| scope.spawn(|| vault.token("acme", one).status)).collect();
            asked.into_iter().map(|one| one.join().expect("a status")).collect()
        })
    };
    assert!(ask_all().iter().chain(&ask_all()).all(|status| *status == 503));
    vault.token("acme", &connections[0]).refused(503, "client_misconfigured");
    let calls = server.results();
    assert!(calls.len() <= 8 && calls.iter().all(|result| result == "invalid_client"), "{calls:?}");
    assert!(connections.iter().all(|one| shown(&vault, one)["state"] == "active"));
    assert_eq!(vault.said().matches("refuses our client id or secret").count(), 1, "one alert");

    server.set_secret(super::provider::SECRET);
    vault.hang_up();
    poll("the brake to be released", || (vault.token("acme", &connections[0]).status == 200).then_some(()));
    assert!(ask_all().iter().all(|status| *status == 200));
}

#[test]
fn a_connection_that_is_revoked_says_so_and_is_asked_for_no_more() {
    let Some((server, vault)) = strict(60) else { return };
    vault.put(
        "acme",
        MAIN,
        &json!({ "access_token": "a", "refresh_token": "unknown", "expires_at": "2026-01-01T00:00:00Z" }),
    );
    let problem = vault.token("acme", MAIN).refused(424, "needs_reauth");
    assert_eq!((problem.reason.as_deref(), problem.since.is_some()), (Some("invalid_grant"), true));
    vault.token("acme", MAIN).refused(424, "needs_reauth");
    assert_eq!(server.results(), ["invalid_grant"]);
    assert_eq!(
        (&shown(&vault, MAIN)["state"], &shown(&vault, MAIN)["reason"]),
        (&json!("needs_reauth"), &json!("invalid_grant"))
    );
    put_ended(&vault, &server, MAIN);
    vault.token("acme", MAIN).is(200);
}

#[test]
fn a_batch_refreshes_what_it_must_at_once() {
    let Some((server, vault)) = strict(60) else { return };
    let wanted: Vec<_> = (0..20).map(|n| json!({ "provider": "oidc", "name": format!("c{n}") })).collect();
    for n in 0..20 {
        put_ended(&vault, &server, &format!("oidc/c{n}"));
    }
    let batch = Request::post("/v1/orgs/acme/tokens", &json!({ "connections": wanted }));
    let results = vault.send(&batch).json();
    let results = results["results"].as_array().expect("results");
    assert!(results.iter().all(|result| result["token"]["generation"] == json!(2)), "{results:?}");
    assert_eq!(server.results().len(), 20);
}
