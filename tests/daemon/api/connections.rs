//! Connections: stored, shown without tokens, listed by pages, changed under conditions, deleted.

use std::collections::BTreeSet;

use serde_json::json;

use crate::kit::{Request, over_each_way};

const MAIN: &str = "/v1/orgs/acme/connections/github/main";

#[test]
fn a_token_set_is_stored_and_shown_without_its_tokens() {
    over_each_way(|vault, line| {
        vault.create_org("acme");
        let set = json!({
            "access_token": "at-1", "refresh_token": "rt-1", "id_token": "id-1", "expires_in": "3600",
            "scope": "read write", "labels": {"team": "blue"},
        });
        let put = line.put(MAIN, &set).is(201);
        assert_eq!(put.header("etag"), Some("\"1\""));
        let out = put.json();
        assert_eq!((&out["provider"], &out["name"]), (&json!("github"), &json!("main")));
        assert_eq!((&out["state"], &out["generation"]), (&json!("active"), &json!(1)));
        assert_eq!(out["scopes"], json!(["read", "write"]));
        assert_eq!(out["labels"], json!({"team": "blue"}));
        assert_eq!(out["has_refresh_token"], true);
        assert!(out["last_read_at"].is_null() && out["reason"].is_null());

        let shown = line.get(MAIN).is(200);
        assert_eq!(shown.header("etag"), Some("\"1\""));
        assert_eq!(shown.json(), out);
        for token in ["at-1", "rt-1", "id-1"] {
            assert!(!shown.text().contains(token) && !put.text().contains(token));
        }

        line.get(&format!("{MAIN}/token")).is(200);
        assert!(line.get(MAIN).json()["last_read_at"].is_string(), "a read is remembered");
        line.get("/v1/orgs/acme/connections/github/other").refused(404, "not_found");
    });
}

#[test]
fn a_put_without_a_refresh_token_keeps_the_stored_one() {
    over_each_way(|vault, line| {
        vault.create_org("acme");
        line.put(MAIN, &json!({"access_token": "at-1", "refresh_token": "rt-1", "labels": {"a": "b"}}))
            .is(201);
        let second = line.put(MAIN, &json!({"access_token": "at-2"})).is(200);
        assert_eq!(second.header("etag"), Some("\"2\""));
        assert_eq!(second.json()["has_refresh_token"], true);
        assert_eq!(second.json()["labels"], json!({"a": "b"}), "labels stay too");
        let kept = line.get(&format!("{MAIN}/refresh-token")).is(200);
        assert_eq!(kept.json(), json!({"refresh_token": "rt-1", "generation": 2}));
        assert_eq!(line.get(&format!("{MAIN}/token")).json()["access_token"], "at-2");

        line.put(MAIN, &json!({"access_token": "at-3", "refresh_token": "rt-3", "labels": {}})).is(200);
        let new = line.get(&format!("{MAIN}/refresh-token")).json();
        assert_eq!(new, json!({"refresh_token": "rt-3", "generation": 3}));
        assert_eq!(line.get(MAIN).json()["labels"], json!({}));
    });
}

#[test]
fn conditions_hold_or_nothing_is_changed() {
    over_each_way(|vault, line| {
        vault.create_org("acme");
        let put = |token: &str| Request::put(MAIN, &json!({"access_token": token}));
        line.send(&put("a").with("if-match", "\"1\"")).refused(412, "precondition_failed");
        line.send(&put("b").with("if-none-match", "*")).is(201);
        line.send(&put("c").with("if-none-match", "*")).refused(412, "precondition_failed");
        line.send(&put("d").with("if-match", "\"2\"")).refused(412, "precondition_failed");
        assert_eq!(line.get(&format!("{MAIN}/token")).json()["access_token"], "b");
        line.send(&put("e").with("if-match", "\"1\"")).is(200);
        assert_eq!(line.get(&format!("{MAIN}/token")).json()["access_token"], "e");
        for wrong in ["2", "\"x\"", "W/\"2\"", "*", "\"1\", \"2\"", "\"-1\""] {
            line.send(&put("f").with("if-match", wrong)).refused(400, "invalid_request");
        }
        line.send(&put("f").with("if-none-match", "\"1\"")).refused(400, "invalid_request");
        line.send(&Request::delete(MAIN).with("if-match", "\"1\"")).refused(412, "precondition_failed");
        line.send(&Request::delete(MAIN).with("if-match", "\"2\"")).is(200);
    });
}

#[test]
fn what_is_deleted_is_gone_and_may_come_again() {
    over_each_way(|vault, line| {
        vault.create_org("acme");
        line.put(MAIN, &json!({"access_token": "at-1", "refresh_token": "rt-1"})).is(201);
        line.delete(&format!("{MAIN}?revoke=perhaps")).refused(400, "invalid_request");
        let gone = line.delete(&format!("{MAIN}?revoke=false")).is(200).json();
        assert_eq!(gone, json!({"deleted": true, "revoked": false, "revocation": "not_asked"}));
        for below in ["", "/token", "/refresh-token"] {
            line.get(&format!("{MAIN}{below}")).refused(404, "not_found");
        }
        line.delete(MAIN).refused(404, "not_found");
        line.put(MAIN, &json!({"access_token": "at-2"})).is(201);
        line.get(&format!("{MAIN}/refresh-token")).refused(404, "not_found");
    });
}

#[test]
fn a_list_comes_in_pages_that_miss_nothing_and_repeat_nothing() {
    over_each_way(|vault, line| {
        vault.create_org("acme");
        vault.create_org("other");
        vault.put("other", "github/main", &json!({"access_token": "t"}));
        let mut expected = BTreeSet::new();
        for at in 0..23 {
            let (provider, ends) = if at % 3 == 0 {
                ("slack", "2020-01-01T00:00:00Z")
            } else {
                ("github", "2099-01-01T00:00:00Z")
            };
            let id = format!("{provider}/c{at:02}");
            vault.put("acme", &id, &json!({"access_token": "t", "expires_at": ends}));
            expected.insert(id);
        }
        let pages = |filter: &str| {
            let (mut seen, mut after, mut pages) = (Vec::new(), String::new(), 0);
            loop {
                let page =
                    line.get(&format!("/v1/orgs/acme/connections?limit=5{filter}{after}")).is(200).json();
                let items = page["items"].as_array().unwrap();
                assert!(items.len() <= 5);
                let id = |item: &serde_json::Value| {
                    format!("{}/{}", item["provider"].as_str().unwrap(), item["name"].as_str().unwrap())
                };
                seen.extend(items.iter().map(id));
                pages += 1;
                match page["next"].as_str() {
                    Some(next) => after = format!("&after={next}"),
                    None => break,
                }
            }
            let set: BTreeSet<String> = seen.iter().cloned().collect();
            assert_eq!(set.len(), seen.len(), "nothing stands there twice");
            (set, pages)
        };
        assert_eq!(pages(""), (expected.clone(), 5));
        let only = |provider: &str| expected.iter().filter(|id| id.starts_with(provider)).cloned().collect();
        assert_eq!(pages("&provider=slack").0, only("slack"));
        assert_eq!(pages("&state=active").0, only("github"));
        assert_eq!(pages("&state=needs_reauth").0, only("slack"));
        assert_eq!(pages("&provider=github&state=needs_reauth").0, BTreeSet::new());
        for state in ["outcome_unknown", "refreshing"] {
            assert_eq!(pages(&format!("&state={state}")).0, BTreeSet::new());
        }
        for wrong in [
            "limit=0",
            "limit=1001",
            "limit=x",
            "after=x",
            "state=dead",
            "provider=A",
            "limt=5",
            "limit=5&limit=5",
        ] {
            line.get(&format!("/v1/orgs/acme/connections?{wrong}")).refused(400, "invalid_request");
        }
    });
}
