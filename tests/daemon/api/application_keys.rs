//! Retired application keys: what an application had sealed by itself is opened, for the orgs that are named.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use fernet::Fernet;
use serde_json::json;

use super::crypt::results;
use crate::kit::vault::{new_key, write_private};
use crate::kit::{Client, Configuration, Request, Response, TestVault};

/// A daemon with an application key `django`, for these orgs; it is not started yet.
fn configured(orgs: &[&str], list: &str) -> TestVault {
    let mut vault = TestVault::stopped(Configuration::default());
    let file = vault.room().join("django.keys");
    write_private(&file, list.as_bytes());
    let text =
        format!("[[application_key]]\nname = \"django\"\npath = \"{}\"\norgs = {orgs:?}\n", file.display());
    vault.configuration.more = text.leak();
    vault
}

fn decrypt(vault: &TestVault, org: &str, key: &str, ciphertexts: &[String]) -> Response {
    let body = json!({"ciphertexts": ciphertexts, "key": key});
    vault.send(&Request::post(format!("/v1/orgs/{org}/decrypt"), &body))
}

#[test]
fn every_key_of_the_list_opens_whatever_the_clock_says() {
    let keys: Vec<String> = (0..3).map(|_| new_key()).collect();
    let mut vault = configured(&["acme"], &format!("# newest first\n{}\n\n", keys.join("\n")));
    vault.start();
    vault.create_org("acme");
    vault.create_org("beta");
    let sealed =
        |key: &str, text: &str, at: u64| Fernet::new(key).unwrap().encrypt_at_time(text.as_bytes(), at);
    let ciphertexts = [
        sealed(&keys[0], "new", 1_700_000_000),
        sealed(&keys[2], "old", 0),
        sealed(&keys[2], "", 1_500_000_000),
        sealed(&new_key(), "of nobody", 1_700_000_000),
        sealed(&keys[1], "of the future", 9_000_000_000),
        "not one".to_owned(),
        sealed(&keys[0], "again", 1_700_000_000),
    ];
    let answer = decrypt(&vault, "acme", "django", &ciphertexts).is(200);
    let opened: Vec<_> = results(&answer.json())
        .into_iter()
        .map(|result| result.map_or_else(|why| why, |bytes| String::from_utf8(bytes).unwrap()))
        .collect();
    let invalid = "invalid_request ciphertext_invalid";
    assert_eq!(opened, ["new", "old", "", invalid, "of the future", invalid, "again"]);
    let entry = vault.audited(&answer);
    assert!(entry.target.unwrap().starts_with("django/"), "the key stands in the log");

    // Under the org's own key none of them opens, and what the org's key made does not open under this one.
    let body = json!({"ciphertexts": ciphertexts});
    let own = vault.send(&Request::post("/v1/orgs/acme/decrypt", &body)).is(200).json();
    assert!(results(&own).iter().all(|result| result.as_ref().is_err_and(|why| why == invalid)));
    let made = vault.send(&Request::post("/v1/orgs/acme/encrypt", &json!({"plaintexts": ["Zm9v"]}))).json();
    let made = made["ciphertexts"][0].as_str().unwrap().to_owned();
    let answer = decrypt(&vault, "acme", "django", &[made]).json();
    assert_eq!(results(&answer), [Err(invalid.to_owned())]);
}

#[test]
fn an_org_that_is_not_named_is_refused_and_so_is_an_unknown_key() {
    let key = new_key();
    let mut vault = configured(&["acme"], &key);
    vault.start();
    vault.create_org("acme");
    vault.create_org("beta");
    let ciphertext = [Fernet::new(&key).unwrap().encrypt(b"of acme")];
    let answer = decrypt(&vault, "beta", "django", &ciphertext);
    let entry = vault.audited(&answer);
    assert_eq!((entry.decision.as_str(), entry.outcome.as_str()), ("deny", "cross_org"));
    assert_eq!((entry.org.as_deref(), entry.target.as_deref()), (Some("beta"), Some("django")));
    answer.refused(403, "cross_org");
    decrypt(&vault, "acme", "flask", &ciphertext).refused(404, "not_found");
    decrypt(&vault, "acme", "django", &ciphertext).is(200);
    // Who may not decrypt at all learns nothing of names.
    vault.stop();
    vault.configuration.clients = vec![Client { allow: &["crypt:encrypt"], ..Client::own() }];
    vault.start();
    for key in ["django", "flask"] {
        decrypt(&vault, "acme", key, &ciphertext).refused(403, "forbidden");
    }
}

#[test]
fn a_list_that_is_loose_absent_or_none_keeps_the_daemon_from_starting() {
    let mut vault = configured(&["*"], &new_key());
    let file = vault.room().join("django.keys");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    vault.start_in_vain().with(77, &["application key django", "django.keys", "chmod", "encrypt anew"]);
    write_private(&file, b"hunter2\n");
    vault.start_in_vain().with(78, &["application key django", "django.keys", "line 1"]);
    assert!(!vault.said().contains("hunter2"));
    write_private(&file, b"");
    vault.start_in_vain().with(78, &["application key django", "no key"]);
    fs::remove_file(&file).unwrap();
    vault.start_in_vain().with(78, &["application key django", "django.keys"]);
    std::os::unix::fs::symlink(vault.root_key_file(), &file).unwrap();
    vault.start_in_vain().with(77, &["application key django"]);
    vault.configuration.more = "[[application_key]]\nname = \"django\"\ncredential = \"d\"\norgs = [\"*\"]";
    vault.start_in_vain().with(78, &["application key django", "LoadCredential=d:"]);
}

#[test]
fn a_root_key_is_no_application_key() {
    let mut vault = configured(&["*"], &new_key());
    let (file, root) = (vault.room().join("django.keys"), vault.root_key());
    write_private(&file, format!("{}\n{root}\n", new_key()).as_bytes());
    vault.start_in_vain().with(78, &["application key django", "root key"]);

    // Nor does it become one while the daemon runs.
    let retired = new_key();
    write_private(&file, retired.as_bytes());
    vault.start();
    vault.write_root_key(&[&root, &retired]);
    vault.admin().send(&Request::new("POST", "/admin/v1/keys/reload")).refused(409, "conflict");
    vault.write_root_key(&[&root, &new_key()]);
    vault.admin().send(&Request::new("POST", "/admin/v1/keys/reload")).is(200);
}
