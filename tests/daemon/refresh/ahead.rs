//! Ahead of time: what is refreshed although nobody asks, and when.
//!
//! Moments are compared with each other, never with the clock of the test.

use tokenkeep_client::moment::Moment;

use super::*;

fn moment(of: &Value, name: &str) -> Moment {
    of[name].as_str().and_then(Moment::parse).expect("a moment")
}

/// A connection whose token lives for 12 s, stored in a vault that nobody reads from. Gives it as it was, and as it is
/// once it has been refreshed.
fn left_alone(server: &OAuthServer, lines: &str) -> (TestVault, Value, Value) {
    let vault = vault_of(server, lines);
    put_with(&vault, server, MAIN, json!({ "expires_in": 12 }));
    let first = shown(&vault, MAIN);
    let second = await_generation(&vault, MAIN, 2);
    assert!(vault.audit().iter().all(|entry| entry.action != "token:read"), "nobody read");
    (vault, first, second)
}

#[test]
fn a_token_is_refreshed_before_its_end_although_nobody_reads_it() {
    let Some(server) = OAuthServer::start(60) else { return };
    let (vault, first, second) = left_alone(&server, "refresh_early = \"allowed\"");
    assert!(moment(&second, "refreshed_at") < moment(&first, "expires_at"), "{first} {second}");
    assert_eq!(server.results(), ["granted"]);
    assert_ne!(vault.access_token("acme", MAIN), "first", "and the next read need not wait");
    assert_eq!(server.results(), ["granted"]);
    vault.audit_is_intact();
}

#[test]
fn a_provider_that_kills_the_old_token_is_not_asked_before_its_end() {
    let Some(server) = OAuthServer::start(60) else { return };
    let (_vault, first, second) = left_alone(&server, "refresh_early = \"kills_access_token\"");
    assert!(moment(&second, "refreshed_at") >= moment(&first, "expires_at"), "{first} {second}");
    assert_eq!(server.results(), ["granted"]);
}

#[test]
fn what_was_stored_before_a_start_is_refreshed_after_it() {
    let Some(server) = OAuthServer::start(60) else { return };
    let mut vault = vault_of(&server, "refresh_early = \"allowed\"");
    put_with(&vault, &server, MAIN, json!({ "expires_in": 16 }));
    vault.kill9();
    vault.start();
    await_generation(&vault, MAIN, 2);
    assert_eq!(server.results(), ["granted"]);
}

/// An answer was lost. The one try that is left is made when the access token has ended, and whoever reads next knows.
#[test]
fn a_lost_answer_is_looked_into_although_nobody_asks() {
    let Some((server, vault)) = strict(60) else { return };
    put_with(&vault, &server, MAIN, json!({ "expires_in": 2 }));
    server.fault(&json!({ "drop": "after" }));
    refreshed(&vault, MAIN, 1).refused(424, "outcome_unknown");
    let ended = poll("the probe", || {
        let shown = shown(&vault, MAIN);
        (shown["state"] == "needs_reauth").then_some(shown)
    });
    assert_eq!(ended["reason"], "answer_lost");
    assert_eq!(server.results(), ["granted", "invalid_grant"], "probed once");
}

/// A limit that no refresh puts off, and that an admin is told of before customers are.
#[test]
fn what_will_end_by_itself_is_forecast() {
    let Some(server) = OAuthServer::start(60) else { return };
    let lines = "refresh_early = \"allowed\"\nabsolute_limit = \"10d\"\n[refresh]\nearly = \"none\"";
    let vault = vault_of(&server, lines);
    put_living(&vault, &server, MAIN);
    vault.put("acme", "oidc/bare", &json!({ "access_token": "a", "expires_in": 1800 }));
    let forecast = shown(&vault, MAIN)["forecast"].clone();
    assert_eq!(forecast["reason"], "absolute_limit");
    refreshed(&vault, MAIN, 1).is(200);
    assert_eq!(shown(&vault, MAIN)["forecast"], forecast, "a refresh is no consent");

    let expiring = |query: &str| {
        let page = vault.admin().get(&format!("/admin/v1/expiring{query}")).is(200).json();
        let mut names: Vec<String> = page["items"]
            .as_array()
            .expect("items")
            .iter()
            .map(|item| format!("{} {} {}", item["org"], item["name"], item["forecast"]["reason"]))
            .collect();
        names.sort();
        (names, page["next"].as_str().map(str::to_owned))
    };
    let (bare, main) = (r#""acme" "bare" "no_refresh_token""#, r#""acme" "main" "absolute_limit""#);
    assert_eq!(expiring(""), (vec![bare.to_owned(), main.to_owned()], None));
    assert_eq!(expiring("?within=3600").0, [bare]);
    assert_eq!(expiring("?within=60&provider=oidc").0, Vec::<String>::new());
    let (first, next) = expiring("?limit=1");
    let (second, end) = expiring(&format!("?limit=1&after={}", next.expect("more")));
    assert_eq!((first.len(), second.len(), end), (1, 1, None));
    assert_ne!(first, second);
    vault.admin().get("/admin/v1/expiring?within=x").refused(400, "invalid_request");
}
