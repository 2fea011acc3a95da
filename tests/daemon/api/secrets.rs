//! Secrets of an org: versions, forms, lists.

use serde_json::json;

use crate::kit::{Request, over_each_way};

const KEY: &str = "/v1/orgs/acme/secrets/stripe";

#[test]
fn a_secret_has_versions_and_the_last_sixteen_stay() {
    over_each_way(|vault, line| {
        vault.create_org("acme");
        line.get(KEY).refused(404, "not_found");
        let first = line.put(KEY, &json!({"value": "v1", "labels": {"a": "b"}})).is(201);
        assert_eq!(first.header("etag"), Some("\"1\""));
        assert!(!first.text().contains("v1"), "what is stored is not said back");
        let second = line.put(KEY, &json!({"value": "v2"})).is(200).json();
        assert_eq!((&second["version"], &second["labels"]), (&json!(2), &json!({"a": "b"})));
        let read = line.get(KEY).is(200);
        assert_eq!((read.header("etag"), &read.json()["value"]), (Some("\"2\""), &json!("v2")));
        assert_eq!(line.get(&format!("{KEY}?version=1")).json()["value"], "v1");
        line.get(&format!("{KEY}?version=3")).refused(404, "not_found");
        line.get(&format!("{KEY}?version=x")).refused(400, "invalid_request");
        for version in 3..=18 {
            line.put(KEY, &json!({"value": format!("v{version}")})).is(200);
        }
        line.get(&format!("{KEY}?version=2")).refused(404, "not_found");
        for version in 3..=18 {
            let value = line.get(&format!("{KEY}?version={version}")).json();
            assert_eq!(value["value"], format!("v{version}"));
        }
    });
}

#[test]
fn values_come_back_as_they_were() {
    over_each_way(|vault, line| {
        vault.create_org("acme");
        let long = "x".repeat(64 * 1024);
        for value in ["", " ", "line\nbreak\ttab \"quoted\" \\ \u{1} ünï ¢ 🔑", &long] {
            let put = line.put(KEY, &json!({"value": value}));
            if value.is_empty() {
                put.refused(400, "invalid_request");
                continue;
            }
            assert!(put.status < 300, "{}", put.shown());
            assert_eq!(line.get(KEY).json()["value"], value);
            let bare = line.send(&Request::get(KEY).with("accept", "text/plain"));
            assert_eq!(bare.is(200).text(), value);
        }
        let larger = json!({"value": "x".repeat(64 * 1024 + 1)});
        assert!(matches!(line.put(KEY, &larger).status, 400 | 413));
        assert_eq!(line.get(KEY).json()["value"], long);
    });
}

#[test]
fn secrets_are_listed_without_values_and_deleted_with_all_versions() {
    over_each_way(|vault, line| {
        vault.create_org("acme");
        for name in ["one", "two", "three"] {
            line.put(&format!("/v1/orgs/acme/secrets/{name}"), &json!({"value": format!("hidden-{name}")}))
                .is(201);
        }
        line.put("/v1/orgs/acme/secrets/one", &json!({"value": "hidden-again"})).is(200);
        let (mut names, mut after) = (Vec::new(), String::new());
        loop {
            let page = line.get(&format!("/v1/orgs/acme/secrets?limit=2{after}")).is(200);
            assert!(!page.text().contains("hidden"));
            let page = page.json();
            names.extend(page["items"].as_array().unwrap().iter().map(|item| item["name"].clone()));
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
        }
        names.sort_by_key(|name| name.as_str().map(str::to_owned));
        assert_eq!(names, ["one", "three", "two"]);
        line.delete("/v1/orgs/acme/secrets/one").is(200);
        for version in ["", "?version=1", "?version=2"] {
            line.get(&format!("/v1/orgs/acme/secrets/one{version}")).refused(404, "not_found");
        }
        line.delete("/v1/orgs/acme/secrets/one").refused(404, "not_found");
        let again = line.put("/v1/orgs/acme/secrets/one", &json!({"value": "new"})).is(201).json();
        assert_eq!(again["version"], 1);
        line.get("/v1/orgs/acme/secrets/one?version=2").refused(404, "not_found");
    });
}
