//! Many tokens at once: in the order asked, each with its own answer.

use serde_json::{Value, json};

use crate::kit::over_each_way;

const TOKENS: &str = "/v1/orgs/acme/tokens";

#[test]
fn a_batch_answers_each_item_in_its_place() {
    over_each_way(|vault, line| {
        vault.create_org("acme");
        vault.create_org("other");
        vault.put("other", "github/theirs", &json!({"access_token": "theirs"}));
        vault.put("acme", "github/a", &json!({"access_token": "token-a"}));
        vault.put("acme", "slack/b", &json!({"access_token": "token-b", "expires_in": 300}));
        let ask = |names: &[(&str, &str)], min_ttl: u64| {
            let connections: Vec<Value> =
                names.iter().map(|(provider, name)| json!({"provider": provider, "name": name})).collect();
            line.post(TOKENS, &json!({"connections": connections, "min_ttl": min_ttl})).is(200).json()
        };
        let names =
            [("slack", "b"), ("github", "none"), ("github", "a"), ("github", "theirs"), ("slack", "b")];
        let answered = ask(&names, 600);
        let results = answered["results"].as_array().unwrap();
        for ((provider, name), result) in names.iter().zip(results) {
            assert_eq!((&result["provider"], &result["name"]), (&json!(provider), &json!(name)));
        }
        let codes: Vec<_> = results.iter().map(|r| r["problem"]["code"].as_str().unwrap_or("ok")).collect();
        assert_eq!(codes, ["needs_reauth", "not_found", "ok", "not_found", "needs_reauth"]);
        assert_eq!(results[2]["token"]["access_token"], "token-a");
        assert_eq!(results[2]["token"]["generation"], 1);
        assert!(
            !answered.to_string().contains("token-b")
                && !answered.to_string().contains("theirs\",\"token_type")
        );
        let served = ask(&names, 60);
        assert_eq!(served["results"][0]["token"]["access_token"], "token-b");
        assert_eq!(ask(&[], 60), json!({"results": []}));
    });
}

#[test]
fn a_thousand_are_answered_and_one_more_is_refused() {
    over_each_way(|vault, line| {
        vault.create_org("acme");
        for at in 0..4 {
            vault.put("acme", &format!("github/c{at}"), &json!({"access_token": format!("token-{at}")}));
        }
        let asked = |count: usize| {
            let item = |at: usize| json!({"provider": "github", "name": format!("c{}", at % 5)});
            let connections: Vec<Value> = (0..count).map(item).collect();
            line.post(TOKENS, &json!({"connections": connections}))
        };
        let answered = asked(1000).is(200).json();
        let results = answered["results"].as_array().unwrap();
        assert_eq!(results.len(), 1000);
        for (at, result) in results.iter().enumerate() {
            match at % 5 {
                4 => assert_eq!(result["problem"]["code"], "not_found", "item {at}"),
                own => assert_eq!(result["token"]["access_token"], format!("token-{own}"), "item {at}"),
            }
        }
        let entries = vault.audit();
        let read = entries.iter().filter(|entry| entry.action == "token:read" && entry.target.is_some());
        assert!(read.count() >= 990, "each item is in the audit log");
        asked(1001).refused(400, "invalid_request");
        let min_ttl = json!({"connections": [], "min_ttl": 86401});
        line.post(TOKENS, &min_ttl).refused(400, "invalid_request");
    });
}
