//! Keys of orgs: replaced while the daemon serves, retired when nothing needs them, destroyed when somebody says so.

use serde_json::{Value, json};

use crate::kit::vault::new_key;
use crate::kit::{Request, Response, TestVault, poll};

fn status(vault: &TestVault, org: &str) -> Value {
    vault.admin().get(&format!("/admin/v1/keys/orgs?org={org}")).is(200).json()
}

fn rotate(vault: &TestVault, wanted: &Value) -> Response {
    vault.admin().post("/admin/v1/keys/orgs/rotate", wanted)
}

fn retire(vault: &TestVault, id: &str, destroy: bool) -> Response {
    vault.admin().post("/admin/v1/keys/retire", &json!({ "id": id, "destroy": destroy }))
}

fn ended(vault: &TestVault) {
    poll("the end of a rotation", || {
        let now = vault.admin().get("/admin/v1/keys").is(200).json();
        assert_eq!(now["org_rotation"]["error"], Value::Null, "{now}");
        (now["org_rotation"]["running"] == false).then_some(())
    });
}

/// The ids of an org's keys, the current one first.
fn ids(vault: &TestVault, org: &str) -> Vec<String> {
    let keys = status(vault, org)["keys"].as_array().expect("keys").clone();
    keys.iter().map(|key| key["id"].as_str().expect("an id").to_owned()).collect()
}

fn encrypt(vault: &TestVault, org: &str, text: &str) -> String {
    let answer = vault.line().post(&format!("/v1/orgs/{org}/encrypt"), &json!({ "plaintexts": [text] }));
    answer.is(200).json()["ciphertexts"][0].as_str().expect("a ciphertext").to_owned()
}

fn decrypt(vault: &TestVault, org: &str, ciphertext: &str) -> Value {
    let asked = json!({ "ciphertexts": [ciphertext] });
    vault.line().post(&format!("/v1/orgs/{org}/decrypt"), &asked).is(200).json()["results"][0].clone()
}

/// One thing of every kind that an org has.
fn fill(vault: &TestVault, org: &str) {
    vault.create_org(org);
    vault.put_pair(org, "github/main", "at-1", "rt-1");
    vault.put_pair(org, "github/main", "at-2", "rt-2");
    vault.put_pair(org, "slack/main", "xoxb", "xoxr");
    for version in 1..=3 {
        let secret = json!({ "value": format!("whsec-{version}"), "labels": { "owner": "billing" } });
        vault.line().put(&format!("/v1/orgs/{org}/secrets/webhook"), &secret).is(if version == 1 {
            201
        } else {
            200
        });
    }
    let consent = json!({ "reference": "contract 7" });
    vault.admin().put(&format!("/admin/v1/orgs/{org}/consents/slack/main"), &consent).is(200);
}

fn is_whole(vault: &TestVault, org: &str) {
    assert_eq!(vault.access_token(org, "github/main"), "at-2");
    let refresh = vault.get(&format!("/v1/orgs/{org}/connections/github/main/refresh-token")).is(200).json();
    assert_eq!((refresh["refresh_token"].as_str(), refresh["generation"].as_u64()), (Some("rt-2"), Some(2)));
    for version in 1..=3 {
        let secret = vault.get(&format!("/v1/orgs/{org}/secrets/webhook?version={version}")).is(200).json();
        assert_eq!(secret["value"], format!("whsec-{version}"));
    }
    let consents = vault.admin().get(&format!("/admin/v1/orgs/{org}/consents")).is(200).json();
    assert_eq!(consents["items"][0]["reference"], "contract 7");
}

#[test]
fn an_org_gets_a_new_key_and_everything_under_the_old_one_follows() {
    let mut vault = TestVault::running();
    fill(&vault, "acme");
    fill(&vault, "other");
    let (old, untouched) = (ids(&vault, "acme")[0].clone(), ids(&vault, "other"));
    let kept_outside = encrypt(&vault, "acme", "b25l");
    // Two connections, a secret and its three versions, a consent.
    assert_eq!(status(&vault, "acme")["current_records"], 7);
    let refused = retire(&vault, &old, false).refused(409, "conflict");
    assert!(refused.detail.contains("current key"), "{}", refused.detail);

    rotate(&vault, &json!({ "org": "acme" })).is(202);
    ended(&vault);
    let now = status(&vault, "acme");
    assert_eq!((&now["current_records"], &now["earlier_records"]), (&json!(7), &json!(0)), "{now}");
    let keys = ids(&vault, "acme");
    assert_eq!(keys.len(), 2);
    assert_ne!(keys[0], old);
    assert_eq!(keys[1], old);
    assert_eq!((now["keys"][1]["state"].as_str(), &now["keys"][1]["records"]), (Some("former"), &json!(0)));
    assert_eq!(ids(&vault, "other"), untouched);
    is_whole(&vault, "acme");
    is_whole(&vault, "other");

    // It opens ciphertexts, and nothing else, over a restart; new ones are under the new key.
    assert_eq!(retire(&vault, &old, false).is(200).json()["state"], "retired");
    assert_eq!(status(&vault, "acme")["keys"][1]["state"], "retired");
    vault.restart();
    is_whole(&vault, "acme");
    assert_eq!(decrypt(&vault, "acme", &kept_outside)["plaintext"], "b25l");
    let newer = encrypt(&vault, "acme", "dHdv");

    // Until somebody says that there are none.
    assert_eq!(retire(&vault, &old, true).is(200).json()["state"], "destroyed");
    assert_eq!(ids(&vault, "acme"), [keys[0].clone()]);
    assert_eq!(decrypt(&vault, "acme", &kept_outside)["problem"]["code"], "invalid_request");
    assert_eq!(decrypt(&vault, "acme", &newer)["plaintext"], "dHdv");
    retire(&vault, &old, false).refused(404, "not_found");
    is_whole(&vault, "acme");
    vault.audit_is_intact();
}

#[test]
fn a_key_that_something_is_under_stays_and_a_hurry_is_heeded() {
    let vault = TestVault::running();
    vault.create_org("acme");
    // More than one part, so that the rate is felt between two.
    for part in 0..3 {
        let item = |n: usize| json!({ "org": "acme", "provider": "github", "name": format!("c{part}-{n}"), "tokens": { "access_token": "at" } });
        let terms = json!({ "mode": "write", "different": "refuse", "missing_org": "refuse" });
        let items: Vec<Value> = (0..150).map(item).collect();
        vault.admin().post("/admin/v1/import", &json!({ "terms": terms, "items": items })).is(200);
    }
    let old = ids(&vault, "acme")[0].clone();
    rotate(&vault, &json!({ "org": "acme", "records_per_second": 1 })).is(202);
    poll("the first part", || {
        let now = status(&vault, "acme");
        (now["rotation"]["done"].as_u64()? > 0).then_some(())
    });
    let left = status(&vault, "acme")["earlier_records"].as_u64().expect("a count");
    assert!(left > 0 && left < 450, "{left}");
    let refused = retire(&vault, &old, true).refused(409, "conflict");
    assert_eq!(refused.reason.as_deref(), Some("key_in_use"));
    assert!(refused.detail.contains(&format!("{left} records")), "{}", refused.detail);
    // What is written meanwhile is under the new key at once; a second beginning is the same rotation.
    vault.put("acme", "github/c2-149", &json!({ "access_token": "newer" }));
    rotate(&vault, &json!({ "org": "acme", "records_per_second": 1_000_000 })).is(202);
    ended(&vault);
    assert_eq!(ids(&vault, "acme").len(), 2);
    assert_eq!(vault.access_token("acme", "github/c2-149"), "newer");
    retire(&vault, &old, true).is(200);
    assert_eq!(status(&vault, "acme")["current_records"], 450);
}

#[test]
fn what_is_asked_amiss_is_refused() {
    let vault = TestVault::running();
    vault.create_org("acme");
    for wanted in [
        json!({}),
        json!({ "all": true, "org": "acme" }),
        json!({ "org": "acme", "records_per_second": 0 }),
        json!({ "org": "acme", "records_per_second": 1_000_001 }),
    ] {
        rotate(&vault, &wanted).refused(400, "invalid_request");
    }
    rotate(&vault, &json!({ "org": "gone" })).refused(404, "not_found");
    retire(&vault, "no key", false).refused(400, "invalid_request");
    retire(&vault, "0123456789abcdef", false).refused(404, "not_found");
    vault.admin().get("/admin/v1/keys/orgs?org=gone").refused(404, "not_found");
    let id = vault.admin().get("/admin/v1/keys").is(200).json()["root_keys"][0]["id"].clone();
    let refused = retire(&vault, id.as_str().expect("an id"), false).refused(409, "conflict");
    assert!(refused.detail.contains("first of the list"), "{}", refused.detail);
}

#[test]
fn all_orgs_and_the_root_key_are_rotated_at_once() {
    let mut vault = TestVault::running();
    let orgs: Vec<String> = (0..150).map(|n| format!("o{n}")).collect();
    orgs.iter().for_each(|org| vault.create_org(org));
    fill(&vault, "acme");
    let (old, new) = (vault.root_key(), new_key());
    let kept_outside = encrypt(&vault, "acme", "b25l");
    vault.write_root_key(&[&new, &old]);
    vault.admin().send(&Request::new("POST", "/admin/v1/keys/reload")).is(200);
    rotate(&vault, &json!({ "all": true })).is(202);
    vault.admin().send(&Request::new("POST", "/admin/v1/keys/rotate")).is(202);
    vault.create_org("late");
    ended(&vault);
    let keys = poll("the end of the root key's rotation", || {
        let now = vault.admin().get("/admin/v1/keys").is(200).json();
        assert_eq!(now["rotation_error"], Value::Null);
        (now["remaining"] == 0 && now["rotating"] == false).then_some(now)
    });
    let old_id = keys["root_keys"][1]["id"].as_str().expect("an id").to_owned();
    assert_eq!(retire(&vault, &old_id, false).is(200).json()["state"], "unneeded");
    vault.write_root_key(&[&new]);
    vault.admin().send(&Request::new("POST", "/admin/v1/keys/reload")).is(200);
    vault.restart();
    let all = vault.admin().get("/admin/v1/keys/orgs").is(200).json();
    assert_eq!(all["earlier_records"], 0);
    assert!(all["earlier_keys"].as_u64().expect("a count") >= 151, "{}", all["earlier_keys"]);
    is_whole(&vault, "acme");
    assert_eq!(decrypt(&vault, "acme", &kept_outside)["plaintext"], "b25l");
    orgs.iter().for_each(|org| drop(vault.get(&format!("/v1/orgs/{org}")).is(200)));
    vault.audit_is_intact();
}
