//! Reads of tokens: how long they must live, which generation, in which form.

use serde_json::json;

use crate::kit::{Request, over_each_way};

const MAIN: &str = "/v1/orgs/acme/connections/github/main";

#[test]
fn a_token_is_given_with_what_belongs_to_it() {
    over_each_way(|vault, line| {
        vault.create_org("acme");
        let set = json!({
            "access_token": "a \"quoted\" \\ token", "token_type": "bot", "scopes": ["a", "b"],
            "expires_at": "2099-01-01T00:00:00Z",
        });
        line.put(MAIN, &set).is(201);
        let read = line.get(&format!("{MAIN}/token")).is(200);
        assert_eq!(read.header("etag"), Some("\"1\""));
        let whole = json!({
            "access_token": "a \"quoted\" \\ token", "token_type": "bot", "scopes": ["a", "b"],
            "expires_at": "2099-01-01T00:00:00Z", "generation": 1,
        });
        assert_eq!(read.json(), whole);
        line.put(MAIN, &json!({"access_token": "endless"})).is(200);
        let endless = line.get(&format!("{MAIN}/token?min_ttl=86400")).json();
        assert_eq!((&endless["expires_at"], &endless["token_type"]), (&json!(null), &json!("Bearer")));
        assert_eq!(endless["generation"], 2);
    });
}

#[test]
fn plain_text_is_the_bare_value_and_nothing_else() {
    over_each_way(|vault, line| {
        vault.create_org("acme");
        line.put(MAIN, &json!({"access_token": "a \"bare\" \\ one", "refresh_token": "rt \"1\""})).is(201);
        let plain =
            |path: &str| line.send(&Request::get(format!("{MAIN}{path}")).with("accept", "text/plain"));
        let token = plain("/token").is(200);
        assert_eq!(token.text(), "a \"bare\" \\ one");
        assert_eq!(token.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(token.header("etag"), Some("\"1\""));
        assert_eq!(plain("/refresh-token").is(200).text(), "rt \"1\"");
        plain("").refused(406, "not_acceptable");
    });
}

/// RFC 9110, section 12.5.1; among them what axios, Java, Spring and curl send by themselves.
#[test]
fn of_the_forms_that_a_caller_takes_it_gets_the_one_it_wants_most() {
    over_each_way(|vault, line| {
        vault.create_org("acme");
        line.put(MAIN, &json!({"access_token": "at"})).is(201);
        let answered = |accept: &[&str]| {
            let request = Request::get(format!("{MAIN}/token"));
            line.send(&accept.iter().fold(request, |request, accept| request.with("accept", accept)))
        };
        for accept in [
            &["*/*"][..],
            &["application/json, text/plain, */*"],
            &["application/json;charset=utf-8"],
            &["text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"],
            &["text/plain;q=0.5, application/json"],
            &["text/plain ; Q=0.5,Application/JSON;q=0.6"],
            &["text/plain;q=0, */*;q=0.1"],
            &["*/*;q=0.1, application/*;q=0.2"],
            &["text/html", "application/json"],
        ] {
            let got = answered(accept).is(200);
            assert_eq!(got.header("content-type"), Some("application/json"), "{accept:?}");
        }
        for accept in [
            &["text/*"][..],
            &["text/plain, application/json, */*"],
            &["*/*, text/plain"],
            &["application/json;q=0.1, */*"],
            &["text/html", "text/plain;charset=utf-8"],
        ] {
            assert_eq!(answered(accept).is(200).text(), "at", "{accept:?}");
        }
        for accept in [&["application/json;q=0"][..], &["*/*;q=0"], &["text/html", "image/*"], &[""]] {
            answered(accept).refused(406, "not_acceptable");
        }
    });
}

#[test]
fn a_token_that_ends_too_soon_is_not_given() {
    over_each_way(|vault, line| {
        vault.create_org("acme");
        line.put(MAIN, &json!({"access_token": "t", "refresh_token": "r", "expires_in": 600})).is(201);
        line.get(&format!("{MAIN}/token")).is(200);
        line.get(&format!("{MAIN}/token?min_ttl=0")).is(200);
        let soon = line.get(&format!("{MAIN}/token?min_ttl=3600")).refused(424, "needs_reauth");
        assert_eq!(soon.reason.as_deref(), Some("refresh_not_available"));
        assert!(soon.since.is_some());
        for wrong in ["86401", "-1", "x", "", "1e3"] {
            line.get(&format!("{MAIN}/token?min_ttl={wrong}")).refused(400, "invalid_request");
        }
        line.put(MAIN, &json!({"access_token": "t2", "expires_at": "2020-01-01T00:00:00Z"})).is(200);
        let ended = line.get(&format!("{MAIN}/token?min_ttl=0")).refused(424, "needs_reauth");
        assert_eq!(ended.since.map(|since| since.to_string()).as_deref(), Some("2020-01-01T00:00:00Z"));
        let shown = line.get(MAIN).json();
        assert_eq!(
            (&shown["state"], &shown["reason"]),
            (&json!("needs_reauth"), &json!("refresh_not_available"))
        );
        assert_eq!(line.get(&format!("{MAIN}/refresh-token")).json()["refresh_token"], "r");
    });
}

#[test]
fn after_a_401_only_a_newer_generation_is_given() {
    over_each_way(|vault, line| {
        vault.create_org("acme");
        let refresh = format!("{MAIN}/refresh");
        line.put(MAIN, &json!({"access_token": "t1"})).is(201);
        let refused = line.post(&refresh, &json!({"if_generation": 1})).refused(424, "needs_reauth");
        assert_eq!(refused.reason.as_deref(), Some("refresh_not_available"));
        assert_eq!(line.post(&refresh, &json!({"if_generation": 0})).is(200).json()["access_token"], "t1");
        line.put(MAIN, &json!({"access_token": "t2"})).is(200);
        let newer = line.post(&refresh, &json!({"if_generation": 1})).is(200);
        assert_eq!(newer.header("etag"), Some("\"2\""));
        assert_eq!(newer.json()["access_token"], "t2");
        for wrong in [json!({}), json!({"if_generation": "1"}), json!({"if_generation": 1, "force": true})] {
            line.post(&refresh, &wrong).refused(400, "invalid_request");
        }
    });
}
