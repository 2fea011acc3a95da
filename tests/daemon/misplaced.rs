//! Sealed values that were moved to where they do not belong, by somebody who has the whole state directory and
//! its keys, offline: refused as `integrity`, and recorded.

pub(crate) mod attacker;
mod bytes;
mod ciphertexts;
mod scrubbed;

use serde_json::json;

use self::attacker::Attacker;
use crate::kit::way::Way;
use crate::kit::{Configuration, Request, Response, TestVault, WAYS};

/// A vault in which two orgs keep connections and secrets, and whose daemon has stopped.
fn furnished() -> TestVault {
    furnished_by(WAYS[0])
}

fn furnished_by(way: Way) -> TestVault {
    let mut vault = TestVault::over(way, Configuration::default());
    for org in ["acme", "beta"] {
        vault.create_org(org);
        for name in ["one", "two", "bystander"] {
            let (access, refresh) = (format!("at-{org}-{name}"), format!("rt-{org}-{name}"));
            vault.put_pair(org, &format!("github/{name}"), &access, &refresh);
        }
        for name in ["first", "second"] {
            let url = format!("/v1/orgs/{org}/secrets/{name}");
            vault.line().put(&url, &json!({"value": format!("secret-{org}-{name}")})).is(201);
        }
    }
    vault.stop();
    vault
}

/// Reads everything of a connection in every form: whatever is given must be its own.
fn refused_everywhere(vault: &TestVault, org: &str, connection: &str, paths: &[&str]) {
    let url = format!("/v1/orgs/{org}/connections/github/{connection}");
    for path in paths {
        for accept in ["application/json", "text/plain"] {
            if path.is_empty() && accept == "text/plain" {
                continue;
            }
            let answer = vault.send(&Request::get(format!("{url}{path}")).with("accept", accept));
            let entry = vault.audited(&answer);
            assert_eq!(entry.outcome, "integrity", "{url}{path}: {entry:?}");
            assert_eq!((entry.org.as_deref(), entry.decision.as_str()), (Some(org), "allow"));
            assert_eq!(entry.target, Some(format!("github/{connection}")));
            assert!(!answer.text().contains("at-") && !answer.text().contains("rt-"), "{}", answer.shown());
            answer.refused(500, "integrity");
        }
    }
    if paths.contains(&"/token") {
        let id = json!({"provider": "github", "name": connection});
        let bystander = json!({"provider": "github", "name": "bystander"});
        let batch = json!({"connections": [id, bystander]});
        let batch = vault.line().post(&format!("/v1/orgs/{org}/tokens"), &batch).is(200).json();
        assert_eq!(batch["results"][0]["problem"]["code"], "integrity");
        assert_eq!(batch["results"][1]["token"]["access_token"], format!("at-{org}-bystander"));
        let refresh = vault.line().post(&format!("{url}/refresh"), &json!({"if_generation": 0}));
        refresh.refused(500, "integrity");
    }
}

fn others_are_unaffected(vault: &TestVault) {
    for org in ["acme", "beta"] {
        assert_eq!(vault.access_token(org, "github/bystander"), format!("at-{org}-bystander"));
        let refresh = vault.get(&format!("/v1/orgs/{org}/connections/github/bystander/refresh-token"));
        assert_eq!(refresh.json()["refresh_token"], format!("rt-{org}-bystander"));
    }
    vault.audit_is_intact();
}

/// The answer for the table of errors.
pub(crate) fn refusal(way: Way) -> Response {
    let mut vault = furnished_by(way);
    Attacker::enter(&vault).swap_records(("acme", "one"), ("acme", "two"));
    vault.start();
    vault.token("acme", "github/one")
}

#[test]
fn two_records_of_one_org_do_not_open_in_each_other_s_place() {
    let mut vault = furnished();
    Attacker::enter(&vault).swap_records(("acme", "one"), ("acme", "two"));
    vault.start();
    for name in ["one", "two"] {
        refused_everywhere(&vault, "acme", name, &["", "/token", "/refresh-token"]);
        // A new token set does not paper over it either: what is kept cannot be carried over.
        vault
            .try_put("acme", &format!("github/{name}"), &json!({"access_token": "new"}))
            .refused(500, "integrity");
    }
    vault.get("/v1/orgs/acme/connections").refused(500, "integrity");
    assert_eq!(vault.access_token("beta", "github/one"), "at-beta-one");
    others_are_unaffected(&vault);
}

#[test]
fn records_of_two_orgs_do_not_open_in_each_other_s_place() {
    let mut vault = furnished();
    Attacker::enter(&vault).swap_records(("acme", "one"), ("beta", "one"));
    vault.start();
    for org in ["acme", "beta"] {
        refused_everywhere(&vault, org, "one", &["", "/token", "/refresh-token"]);
        assert_eq!(vault.access_token(org, "github/two"), format!("at-{org}-two"));
    }
    others_are_unaffected(&vault);
}

/// The key id outside the seal is only a hint: naming the other org's key there helps nobody.
#[test]
fn a_record_of_another_org_that_names_this_org_s_key_does_not_open() {
    let mut vault = furnished();
    let attacker = Attacker::enter(&vault);
    attacker.copy_record_under_the_key_id_of(("beta", "one"), ("acme", "one"));
    drop(attacker);
    vault.start();
    refused_everywhere(&vault, "acme", "one", &["", "/token", "/refresh-token"]);
    assert_eq!(vault.access_token("beta", "github/one"), "at-beta-one");
    others_are_unaffected(&vault);
}

#[test]
fn a_refresh_token_is_never_given_as_an_access_token() {
    let mut vault = furnished();
    Attacker::enter(&vault).swap_fields(("acme", "one"));
    vault.start();
    refused_everywhere(&vault, "acme", "one", &["/token", "/refresh-token"]);
    assert_eq!(vault.get("/v1/orgs/acme/connections/github/one").is(200).json()["generation"], 1);
    others_are_unaffected(&vault);
}

#[test]
fn the_access_token_of_another_connection_does_not_open_in_this_one() {
    let mut vault = furnished();
    Attacker::enter(&vault).swap_access_tokens(("acme", "one"), ("acme", "two"));
    vault.start();
    for name in ["one", "two"] {
        refused_everywhere(&vault, "acme", name, &["/token"]);
        let refresh = vault.get(&format!("/v1/orgs/acme/connections/github/{name}/refresh-token"));
        assert_eq!(refresh.json()["refresh_token"], format!("rt-acme-{name}"), "the rest is its own still");
    }
    others_are_unaffected(&vault);
}

#[test]
fn an_older_access_token_does_not_open_in_a_newer_record() {
    let mut vault = furnished();
    let old = Attacker::enter(&vault).read(("acme", "one"));
    vault.start();
    vault.put("acme", "github/one", &json!({"access_token": "at-acme-one-newer"}));
    vault.stop();
    Attacker::enter(&vault).put_back_access_token(("acme", "one"), &old);
    vault.start();
    refused_everywhere(&vault, "acme", "one", &["/token"]);
    assert_eq!(vault.get("/v1/orgs/acme/connections/github/one").is(200).json()["generation"], 2);
    others_are_unaffected(&vault);
}

#[test]
fn secrets_do_not_open_in_each_other_s_place() {
    let mut vault = furnished();
    Attacker::enter(&vault).swap_secret_values(("acme", "first"), ("acme", "second"));
    vault.start();
    for name in ["first", "second"] {
        let answer = vault.get(&format!("/v1/orgs/acme/secrets/{name}"));
        assert_eq!(vault.audited(&answer).outcome, "integrity");
        answer.refused(500, "integrity");
        let beta = vault.get(&format!("/v1/orgs/beta/secrets/{name}")).json();
        assert_eq!(beta["value"], format!("secret-beta-{name}"));
    }
    others_are_unaffected(&vault);
}

#[test]
fn an_org_key_does_not_open_in_another_org_s_place() {
    let mut vault = furnished();
    Attacker::enter(&vault).swap_orgs("acme", "beta");
    vault.start();
    for org in ["acme", "beta"] {
        vault.token(org, "github/one").refused(500, "integrity");
        vault.get(&format!("/v1/orgs/{org}")).refused(500, "integrity");
        vault.get(&format!("/v1/orgs/{org}/connections")).refused(500, "integrity");
    }
    vault.audit_is_intact();
}

/// What the attacker did through the journal is in the audit log: as a change that nobody asked for.
#[test]
fn a_change_behind_the_daemon_s_back_is_recorded_at_the_next_start() {
    let mut vault = furnished();
    Attacker::enter(&vault).swap_records(("acme", "one"), ("acme", "two"));
    vault.start();
    let recovered: Vec<_> = vault.audit().into_iter().filter(|entry| entry.outcome == "recovered").collect();
    assert_eq!(recovered.len(), 1);
    assert_eq!(recovered[0].principal.name, "unknown");
}
