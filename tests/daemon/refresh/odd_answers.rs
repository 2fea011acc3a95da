//! What providers and networks make of an answer, each classified as the table in docs/refresh.md says.

use serde_json::json;

use super::*;

/// A fault, and what it comes to: status, code, state.
#[test]
fn each_odd_answer_is_what_the_table_says() {
    let Some((server, vault)) = strict(60) else { return };
    let faults = [
        ("no_refresh_token", json!({ "change": { "drop": ["refresh_token"] } }), 200, "", "active"),
        ("string_expires_in", json!({ "change": { "set": { "expires_in": "60" } } }), 200, "", "active"),
        ("no_expires_in", json!({ "change": { "drop": ["expires_in"] } }), 200, "", "active"),
        (
            "error_in_200",
            json!({ "status": 200, "body": r#"{"error":"invalid_grant"}"# }),
            424,
            "needs_reauth",
            "needs_reauth",
        ),
        ("ten_mebibytes", json!({ "size": 10 << 20 }), 424, "outcome_unknown", "outcome_unknown"),
        (
            "html_403",
            json!({ "count": 3, "status": 403, "type": "text/html", "body": "<h1>blocked</h1>" }),
            502,
            "provider_error",
            "active",
        ),
        (
            "html_200",
            json!({ "status": 200, "type": "text/html", "body": "<h1>sign in</h1>" }),
            424,
            "outcome_unknown",
            "outcome_unknown",
        ),
        ("truncated", json!({ "change": { "cut": 40 } }), 424, "outcome_unknown", "outcome_unknown"),
        ("status_500", json!({ "status": 500 }), 424, "outcome_unknown", "outcome_unknown"),
        ("status_503_for_long", json!({ "count": 3, "status": 503 }), 502, "provider_error", "active"),
        ("status_503_once", json!({ "status": 503 }), 200, "", "active"),
        ("status_429_once", json!({ "status": 429, "retry_after": 1 }), 200, "", "active"),
    ];
    println!("{:20} {:>6}  {:16} state", "answer", "status", "code");
    for (name, fault, status, code, state) in faults {
        let connection = format!("oidc/{name}");
        put_living(&vault, &server, &connection);
        server.fault(&fault);
        let answer = refreshed(&vault, &connection, 1);
        let found = if answer.status == 200 { String::new() } else { answer.problem().code };
        let shown = shown(&vault, &connection);
        println!("{name:20} {:6}  {found:16} {}", answer.status, shown["state"]);
        assert_eq!((answer.status, found.as_str(), &shown["state"]), (status, code, &json!(state)), "{name}");
        assert_eq!(shown["has_refresh_token"], json!(true), "{name}: it is never dropped");
        if name == "no_expires_in" {
            assert_eq!(answer.json()["expires_at"], json!(null));
        }
        if status != 200 {
            assert_eq!(vault.access_token("acme", &connection), "first", "{name}: it is served to its end");
        }
    }
    vault.audit_is_intact();
}
