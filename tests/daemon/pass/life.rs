//! The life of a pass: asked for, shown, made into a smaller one, over.

use serde_json::{Value, json};
use tokenkeep_client::moment::Moment;

use super::{ask, issue, refused_for, strict, text, with};
use crate::kit::vault::new_key;
use crate::kit::{Client, Configuration, Request, TestVault, over_each_protocol, poll};
use crate::mtls::Second;

const TOKEN: &str = "/v1/orgs/acme/connections/github/main/token";
const SECRET: &str = "/v1/orgs/acme/secrets/key";

fn seeded(configuration: Configuration) -> TestVault {
    let mut vault = TestVault::stopped(Configuration::default());
    vault.start();
    for org in ["acme", "beta"] {
        vault.create_org(org);
        vault.put_pair(org, "github/main", &format!("at-{org}"), "rt");
        let secret = format!("/v1/orgs/{org}/secrets/key");
        vault.send(&Request::put(secret, &json!({"value": "s"}))).is(201);
    }
    vault.stop();
    vault.configuration = configuration;
    vault.start();
    vault
}

fn end_of(answer: &Value) -> u64 {
    Moment::parse(answer["expires_at"].as_str().unwrap()).unwrap().unix()
}

fn now() -> u64 {
    Moment::from(std::time::SystemTime::now()).unix()
}

#[test]
fn a_pass_lives_as_long_as_was_asked() {
    over_each_protocol(|vault, line| {
        let asked = |body: Value| line.post("/v1/orgs/acme/passes", &body);
        for (body, ttl) in [
            (json!({"actions": ["token:read"]}), 300),
            (json!({"actions": ["token:read", "token:read"], "ttl": 1}), 1),
            (json!({"actions": ["token:read", "org:create"], "ttl": 3600}), 3600),
        ] {
            let before = now();
            let answer = asked(body).is(200);
            let end = end_of(&answer.json());
            assert!((before + ttl..=now() + ttl).contains(&end), "{}", answer.shown());
            let entry = vault.audited(&answer);
            assert_eq!((entry.action.as_str(), entry.outcome.as_str()), ("pass:issue", "ok"));
            assert!(entry.target.unwrap().contains("token:read"), "what it hands on is recorded");
        }
        for body in [
            json!({"actions": ["token:read"], "ttl": 0}),
            json!({"actions": ["token:read"], "ttl": 3601}),
            json!({"actions": ["token:read"], "ttl": -1}),
            json!({"actions": ["token:read"], "ttl": "60"}),
            json!({"actions": ["token:read"], "org": "beta"}),
            json!({"actions": []}),
            json!({"actions": ["*"]}),
            json!({"actions": ["token:*"]}),
            json!({"actions": ["token:write"]}),
            json!({"ttl": 60}),
        ] {
            let answer = asked(body);
            answer.clone().refused(400, "invalid_request");
            assert_eq!(vault.audited(&answer).decision, "deny");
        }
        for action in ["audit:read", "key:rotate", "org:list", "pass:issue", "unparsed", "vault:run"] {
            asked(json!({"actions": ["token:read", action]})).refused(403, "forbidden");
        }
    });
}

#[test]
fn a_pass_is_shown_over_each_protocol() {
    over_each_protocol(|vault, line| {
        vault.create_org("acme");
        vault.put_pair("acme", "github/main", "at", "rt");
        let pass = text(&line.send(&ask("acme", &["token:read"], 60)).json());
        line.send(&with(Request::get(TOKEN), &pass)).is(200);
        let twice = with(with(Request::get(TOKEN), &pass), &pass);
        refused_for(vault, line.send(&twice), 401, "unauthenticated", "pass_malformed");
    });
}

#[test]
fn where_no_pass_is_demanded_one_that_is_shown_binds_all_the_same() {
    let vault = seeded(Configuration::default());
    vault.get(TOKEN).is(200);
    let pass = issue(&vault, "acme", &["token:read"], 60);
    let shown = |path: &str| vault.send(&with(Request::get(path), &pass));
    shown(TOKEN).is(200);
    let other = shown("/v1/orgs/beta/connections/github/main/token");
    refused_for(&vault, other, 403, "cross_org", "pass_for_other_org");
    refused_for(&vault, shown(SECRET), 403, "forbidden", "pass_lacks_action");
    let batch = json!({"connections": [{"provider": "github", "name": "main"}]});
    let batch = |org: &str| vault.send(&with(Request::post(format!("/v1/orgs/{org}/tokens"), &batch), &pass));
    assert_eq!(batch("acme").json()["results"][0]["token"]["access_token"], "at-acme");
    refused_for(&vault, batch("beta"), 403, "cross_org", "pass_for_other_org");
}

#[test]
fn a_pass_is_made_into_a_smaller_one_and_never_into_a_larger() {
    let vault = seeded(strict());
    let first = vault.send(&ask("acme", &["token:read", "secret:read"], 60)).is(200);
    let pass = text(&first.json());
    let from = |pass: &str, request: Request| vault.send(&with(request, pass));

    let second = from(&pass, ask("acme", &["token:read"], 3600)).is(200);
    assert_eq!(end_of(&second.json()), end_of(&first.json()), "it does not outlive the one it was made from");
    let smaller = text(&second.json());
    from(&smaller, Request::get(TOKEN)).is(200);
    refused_for(&vault, from(&smaller, Request::get(SECRET)), 403, "forbidden", "pass_lacks_action");
    let back = from(&smaller, ask("acme", &["token:read", "secret:read"], 60));
    refused_for(&vault, back, 403, "forbidden", "pass_lacks_action");
    let other = from(&smaller, ask("beta", &["token:read"], 60));
    refused_for(&vault, other, 403, "cross_org", "pass_for_other_org");
    let shorter = from(&pass, ask("acme", &["secret:read"], 5)).is(200).json();
    assert!(end_of(&shorter) < end_of(&first.json()));
    from(&text(&shorter), Request::get(SECRET)).is(200);

    // From each use the log leads to where the pass came from.
    let used = vault.audited(&from(&smaller, Request::get(TOKEN)));
    assert_eq!(used.pass.as_deref(), second.header("x-request-id"));
    assert_eq!(vault.audited(&second).pass.as_deref(), first.header("x-request-id"));
    assert_eq!(vault.audited(&first).pass, None);
}

#[test]
fn a_pass_hands_on_no_more_than_policy_allows() {
    let narrow = Client { orgs: &["acme"], allow: &["token:read", "secret:read"], ..Client::own() };
    let mut vault = seeded(Configuration { clients: vec![narrow.clone()], ..Configuration::default() });
    vault.send(&ask("acme", &["token:read", "secret:write"], 60)).refused(403, "forbidden");
    vault.send(&ask("beta", &["token:read"], 60)).refused(403, "cross_org");
    let pass = issue(&vault, "acme", &["token:read", "secret:read"], 3600);
    vault.send(&with(Request::get(SECRET), &pass)).is(200);

    // What policy takes away, no pass keeps; the pass itself outlives a start.
    vault.stop();
    vault.configuration.clients = vec![Client { allow: &["token:read"], ..narrow.clone() }];
    vault.start();
    vault.send(&with(Request::get(TOKEN), &pass)).is(200);
    let answer = vault.send(&with(Request::get(SECRET), &pass));
    assert_eq!(answer.refused(403, "forbidden").reason, None);
    vault.stop();
    vault.configuration.clients = vec![Client { orgs: &["beta"], ..narrow }];
    vault.start();
    vault.send(&with(Request::get(TOKEN), &pass)).refused(403, "cross_org");
}

#[test]
fn an_org_that_is_not_there_yet_can_have_a_pass() {
    let vault = TestVault::with(strict());
    let pass = issue(&vault, "newcomer", &["org:create", "org:read"], 60);
    let org = "/v1/orgs/newcomer";
    refused_for(&vault, vault.send(&Request::new("PUT", org)), 401, "unauthenticated", "pass_required");
    vault.send(&with(Request::get(org), &pass)).refused(404, "not_found");
    vault.send(&with(Request::new("PUT", org), &pass)).is(201);
    vault.send(&with(Request::get(org), &pass)).is(200);
}

#[test]
fn a_pass_outlives_a_rotation_of_the_root_key() {
    let vault = seeded(strict());
    let pass = issue(&vault, "acme", &["token:read"], 3600);
    vault.write_root_key(&[&new_key(), &vault.root_key()]);
    vault.admin().send(&Request::new("POST", "/admin/v1/keys/reload")).is(200);
    vault.admin().send(&Request::new("POST", "/admin/v1/keys/rotate")).is(202);
    poll("the rotation to end", || {
        (vault.admin().get("/admin/v1/keys").json()["remaining"] == 0).then_some(())
    });
    vault.send(&with(Request::get(TOKEN), &pass)).is(200);
}

#[test]
fn what_a_pass_is_wrong_for_is_said_before_what_else_is_wrong() {
    let vault = seeded(strict());
    for request in [
        Request::get(format!("{TOKEN}?min_ttl=x")),
        Request::get("/v1/nowhere"),
        Request::get("/admin/v1/keys"),
        Request::new("PATCH", TOKEN),
        Request::new("PUT", SECRET).json("{"),
        Request::new("PUT", SECRET).json("x".repeat(300_000)),
        Request::get(TOKEN).with("accept", "image/png"),
    ] {
        refused_for(&vault, vault.send(&with(request, "gAAAAA")), 401, "unauthenticated", "pass_invalid");
    }
}

#[test]
fn a_stranger_gains_nothing_by_a_pass() {
    let mut vault = seeded(Configuration::default());
    let pass = issue(&vault, "acme", &["token:read"], 3600);
    vault.stop();
    let elsewhere = Client { uid: crate::kit::configuration::NOBODY_S_UID, ..Client::own() };
    vault.configuration.clients = vec![elsewhere];
    vault.start();
    let answer = vault.send(&with(Request::get(TOKEN), &pass));
    assert_eq!(answer.refused(401, "unauthenticated").reason, None);
}

#[test]
fn a_pass_is_its_clients_by_whichever_door_it_comes() {
    let mut configuration = strict();
    configuration.clients.push(crate::mtls::client("other", "spiffe://example/other"));
    let second = Second::with(configuration);
    let (vault, web) = (&second.vault, second.web());
    let org = Request::get("/v1/orgs/acme");
    let by_socket = issue(vault, "acme", &["org:read"], 60);
    let by_certificate = text(&web.send(&ask("acme", &["org:read"], 60)).is(200).json());
    web.send(&with(org.clone(), &by_socket)).refused(404, "not_found");
    web.send_http2(&with(org.clone(), &by_socket)).refused(404, "not_found");
    vault.send(&with(org.clone(), &by_certificate)).refused(404, "not_found");
    let other = second.caller(&second.pki.client("spiffe://example/other"));
    for pass in [by_socket, by_certificate] {
        let answer = other.send(&with(org.clone(), &pass));
        refused_for(vault, answer, 403, "forbidden", "pass_of_other_principal");
    }
}
