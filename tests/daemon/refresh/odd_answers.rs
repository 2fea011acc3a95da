//! What providers and networks make of an answer, each classified as the table in docs/refresh.md says.

use serde_json::json;
use tokenkeep_client::moment::Moment;

use super::*;

/// A name, a fault, and what it comes to: status, code, state, and how often the provider was asked.
type Case = (&'static str, Value, u16, &'static str, &'static str, usize);

fn cases() -> Vec<Case> {
    let error = |word: &str| json!({ "status": 200, "body": format!("{{\"error\":\"{word}\"}}") });
    let unknown = "outcome_unknown";
    vec![
        ("no_refresh_token", json!({ "change": { "drop": ["refresh_token"] } }), 200, "", "active", 1),
        (
            "empty_refresh_token",
            json!({ "change": { "set": { "refresh_token": "" } } }),
            200,
            "",
            "active",
            1,
        ),
        ("string_expires_in", json!({ "change": { "set": { "expires_in": "1800" } } }), 200, "", "active", 1),
        ("no_expires_in", json!({ "change": { "drop": ["expires_in"] } }), 200, "", "active", 1),
        ("odd_expires_in", json!({ "change": { "set": { "expires_in": [1] } } }), 200, "", "active", 1),
        ("invalid_grant_in_200", error("invalid_grant"), 424, "needs_reauth", "needs_reauth", 1),
        ("server_error_in_200", error("server_error"), 424, unknown, unknown, 1),
        ("ten_mebibytes", json!({ "size": 10 << 20 }), 424, unknown, unknown, 1),
        ("ten_mebibytes_chunked", json!({ "size": 10 << 20, "chunked": true }), 424, unknown, unknown, 1),
        (
            "html_403",
            json!({ "count": 3, "status": 403, "type": "text/html", "body": "<h1>blocked</h1>" }),
            502,
            "provider_error",
            "active",
            3,
        ),
        (
            "html_200",
            json!({ "status": 200, "type": "text/html", "body": "<h1>sign in</h1>" }),
            424,
            unknown,
            unknown,
            1,
        ),
        ("truncated", json!({ "change": { "cut": 40 } }), 424, unknown, unknown, 1),
        ("status_500", json!({ "status": 500 }), 424, unknown, unknown, 1),
        ("status_503_for_long", json!({ "count": 3, "status": 503 }), 502, "provider_error", "active", 3),
        ("status_503_once", json!({ "status": 503 }), 200, "", "active", 2),
        ("status_429_once", json!({ "status": 429, "retry_after": 1 }), 200, "", "active", 2),
        ("redirect", json!({ "count": 3, "status": 302, "body": "" }), 502, "provider_error", "active", 3),
    ]
}

#[test]
fn each_odd_answer_is_what_the_table_says() {
    let Some((server, vault)) = strict(600) else { return };
    println!("{:22} {:>6}  {:16} {:16} asked", "answer", "status", "code", "state");
    for (name, fault, status, code, state, asked) in cases() {
        let connection = format!("oidc/{name}");
        let first = put_living(&vault, &server, &connection);
        let before = server.log().len();
        server.fault(&fault);
        let answer = refreshed(&vault, &connection, 1);
        let found = if answer.status == 200 { String::new() } else { answer.problem().code };
        let shown = shown(&vault, &connection);
        let calls = server.log().len() - before;
        println!("{name:22} {:6}  {found:16} {:16} {calls}", answer.status, shown["state"].to_string());
        assert_eq!((answer.status, found.as_str(), &shown["state"]), (status, code, &json!(state)), "{name}");
        assert_eq!(calls, asked, "{name}");
        let kept = vault.get(&format!("/v1/orgs/acme/connections/{connection}/refresh-token"));
        let kept = kept.is(200).json()["refresh_token"].as_str().expect("it is never dropped").to_owned();
        let is_new = status == 200 && !name.ends_with("refresh_token");
        assert_eq!(kept != first, is_new, "{name}: which refresh token is kept");
        if status == 200 {
            ends_as_it_should(name, &answer);
        } else {
            assert_eq!(vault.access_token("acme", &connection), "first", "{name}: it is served to its end");
        }
    }
    vault.audit_is_intact();
}

fn ends_as_it_should(name: &str, answer: &Response) {
    let said = answer.json()["expires_at"].clone();
    if matches!(name, "no_expires_in" | "odd_expires_in") {
        assert_eq!(said, json!(null), "{name}: nobody knows its end");
        return;
    }
    let ends = Moment::parse(said.as_str().expect("an end")).expect("a moment").unix();
    let left = ends.saturating_sub(Moment::from(std::time::SystemTime::now()).unix());
    let life = if name == "string_expires_in" { 1800 } else { 600 };
    // What the machine took of it, at most.
    assert!((life - 120..=life).contains(&left), "{name}: {left}");
}

/// Where the provider does not say how long a token lives, the configuration may.
#[test]
fn an_answer_without_an_end_has_the_usual_one() {
    let Some(server) = OAuthServer::start(600) else { return };
    let vault = vault_of(&server, "refresh_early = \"allowed\"\naccess_token_lifetime = \"1800s\"");
    put_living(&vault, &server, MAIN);
    server.fault(&json!({ "change": { "drop": ["expires_in"] } }));
    let answer = refreshed(&vault, MAIN, 1).is(200);
    ends_as_it_should("string_expires_in", &answer);
}

/// What is wrong with us, said inside 200, is no fault of the connection.
#[test]
fn an_error_of_ours_inside_200_puts_the_brake_on() {
    let Some((server, vault)) = strict(600) else { return };
    put_living(&vault, &server, MAIN);
    server.fault(&json!({ "status": 200, "body": "{\"error\":\"invalid_client\"}" }));
    refreshed(&vault, MAIN, 1).refused(503, "client_misconfigured");
    refreshed(&vault, MAIN, 1).refused(503, "client_misconfigured");
    assert_eq!((server.log().len(), &shown(&vault, MAIN)["state"]), (1, &json!("active")));
    assert_eq!(vault.access_token("acme", MAIN), "first");
}
