//! What is refused before the vault is asked is an attempt all the same: recorded, and a stranger learns nothing.

use serde_json::json;

use crate::kit::http::Wire;
use crate::kit::{Client, Configuration, Request, TestVault, over_each_way, over_each_way_with};

/// One for each place in which a request is taken apart, with what is wrong in it.
fn asked_wrongly() -> Vec<Request> {
    let connection = "/v1/orgs/acme/connections/github/main";
    let get = |target: &str| Request::get(target);
    vec![
        get(&format!("{connection}/token?min_ttl=x")),
        get("/v1/orgs/acme/connections?limit=0"),
        get("/v1/orgs/acme/connections?state=odd"),
        get("/v1/orgs/acme/connections?provider=UP"),
        get("/v1/orgs/acme/secrets?after=x"),
        get("/v1/orgs/acme/secrets/key?version=x"),
        Request::delete(format!("{connection}?revoke=perhaps")),
        Request::delete(connection).with("If-Match", "7"),
    ]
}

#[test]
fn a_value_that_does_not_parse_is_recorded() {
    over_each_way(|vault, line| {
        for request in asked_wrongly() {
            let answer = line.send(&request).is(400);
            let entry = vault.audited(&answer);
            assert_eq!((entry.decision.as_str(), entry.outcome.as_str()), ("deny", "invalid_request"));
        }
        let wrong = ["orgs?limit=0", "audit?last=0", "audit?since=x", "audit?action=x", "audit?after=x"];
        for target in wrong.into_iter().chain(["audit?last=5&since=x", "audit?last=5&limit="]) {
            let answer = vault.admin().get(&format!("/admin/v1/{target}")).is(400);
            assert_eq!(vault.audited(&answer).outcome, "invalid_request", "{target}");
        }
    });
}

/// What a client sends behind bytes that nobody read would be taken for a part of them.
#[test]
fn a_connection_on_which_a_body_was_left_is_not_used_again() {
    let vault = TestVault::running();
    let connection = "/v1/orgs/acme/connections/github/main";
    let large = json!({ "access_token": "a".repeat(16_000) });
    let left = [
        Request::put(connection, &large).with("If-Match", "7"),
        Request::put("/v1/orgs/acme/connections", &large),
        Request::put(connection, &large).with("Origin", "null"),
        Request::post("/v1/status", &large),
        Request::new("GET", connection).json("{}"),
    ];
    for request in left {
        let mut wire = Wire::connect(&vault.socket()).expect("connects");
        let answer = wire.send(&request).expect("an answer");
        assert!((400..500).contains(&answer.status), "{}", answer.shown());
        assert_eq!(answer.header("connection"), Some("close"), "{}", answer.shown());
    }
    let mut wire = Wire::connect(&vault.socket()).expect("connects");
    for body in [json!({ "access_token": 7 }), large] {
        let answer = wire.send(&Request::put(connection, &body)).expect("an answer on the same connection");
        assert!(answer.status >= 400 && answer.header("connection").is_none(), "{}", answer.shown());
    }
}

#[test]
fn a_stranger_is_only_told_that_it_is_one() {
    let nobody = Client { name: "elsewhere", uid: u32::MAX - 7, ..Client::own() };
    let configuration = Configuration { clients: vec![nobody], ..Configuration::default() };
    over_each_way_with(&configuration, |vault, line| {
        for request in asked_wrongly() {
            let answer = line.send(&request);
            answer.clone().refused(401, "unauthenticated");
            let entry = vault.audited(&answer);
            assert_eq!(entry.outcome, "unauthenticated");
            line.is_recorded_as("unknown", &entry.principal);
        }
    });
}
