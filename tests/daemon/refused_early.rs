//! What is refused before the vault is asked is an attempt all the same: recorded, and a stranger learns nothing.

use crate::kit::{Client, Configuration, Request, over_each_way, over_each_way_with};

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
        Request::delete(format!("{connection}?revoke=true")),
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
        for target in ["orgs?limit=0", "audit?last=0", "audit?since=x", "audit?action=x", "audit?after=x"] {
            let answer = vault.admin().get(&format!("/admin/v1/{target}")).is(400);
            assert_eq!(vault.audited(&answer).outcome, "invalid_request", "{target}");
        }
    });
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
