//! Root keys: wrong, incomplete, absent, of another environment.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::{kept, nothing_is_lost};
use crate::kit::TestVault;
use crate::kit::vault::{new_key, write_private};

#[test]
fn a_wrong_root_key_is_refused_by_id() {
    let mut vault = kept();
    let right = vault.root_key();
    let header = fs::read_to_string(vault.state().join("vault.json")).unwrap();
    let header: serde_json::Value = serde_json::from_str(&header).unwrap();
    let id = header["system_key"]["key_id"].as_str().unwrap().to_owned();
    vault.write_root_key(&[&new_key()]);
    vault.start_in_vain().with(65, &["root key", &id, "put that key back"]);
    vault.write_root_key(&[&new_key(), &right]);
    nothing_is_lost(&mut vault);
}

/// A list may lack a key in use although the system key opens: org keys are wrapped one by one.
#[test]
fn a_list_that_lacks_a_key_in_use_is_refused_with_id_and_count() {
    let mut vault = TestVault::stopped(crate::kit::Configuration::default());
    let old = vault.root_key();
    vault.start();
    for org in ["acme", "beta", "gamma"] {
        vault.create_org(org);
    }
    vault.put("acme", "github/main", &serde_json::json!({"access_token": "kept"}));
    let old_id = vault.get("/v1/orgs/acme").json()["root_key_id"].as_str().unwrap().to_owned();
    vault.stop();
    let new = new_key();
    vault.write_root_key(&[&new, &old]);
    vault.start();
    vault.create_org("delta");
    vault.stop();
    vault.write_root_key(&[&new]);
    vault.start_in_vain().with(65, &[&old_id, "put that key back"]);

    // With the system key under the new one, the three org keys are what is left under the old one.
    rewrap_system_key(&vault, &[&new, &old]);
    vault.start_in_vain().with(65, &[&old_id, "still wraps 3 keys", "put that key back"]);
    vault.write_root_key(&[&new, &old]);
    nothing_is_lost(&mut vault);
}

/// As a rotation that was cut short after its first step would have.
fn rewrap_system_key(vault: &TestVault, keys: &[&str]) {
    let keys = tokenkeep::crypto::key_list::RootKeys::parse(keys.join("\n").as_bytes()).unwrap();
    let opened = tokenkeep::vault::header::Header::open(vault.state(), "development", &keys).unwrap();
    let (mut header, _) = opened.unwrap();
    header.rewrap(&keys).unwrap();
}

#[test]
fn a_root_key_that_is_not_there_is_not_to_be_had() {
    let mut vault = kept();
    let key = vault.root_key();
    fs::remove_file(vault.root_key_file()).unwrap();
    vault.start_in_vain().with(69, &["root key", "root.key"]);
    vault.write_root_key(&[&key]);
    nothing_is_lost(&mut vault);
}

#[test]
fn a_file_without_keys_is_a_wrong_root_key_and_is_not_repeated() {
    let mut vault = kept();
    let key = vault.root_key();
    write_private(&vault.root_key_file(), b"hunter2-is-no-key\n");
    vault.start_in_vain().with(65, &["line 1", "Fernet key"]);
    assert!(!vault.said().contains("hunter2"));
    write_private(&vault.root_key_file(), b"# nothing yet\n");
    vault.start_in_vain().with(65, &["no key"]);
    write_private(&vault.root_key_file(), format!("{key}\n{key}\n").as_bytes());
    vault.start_in_vain().with(65, &["line 2", "repeats"]);
    assert!(!vault.said().contains(&key));
    vault.write_root_key(&[&key]);
    nothing_is_lost(&mut vault);
}

#[test]
fn a_loose_root_key_is_refused_for_safety() {
    let mut vault = kept();
    let path = vault.root_key_file();
    for mode in [0o640, 0o604, 0o660] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        vault.start_in_vain().with(77, &["root.key", "chmod"]);
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let elsewhere = vault.room().join("elsewhere.key");
    fs::rename(&path, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    vault.start_in_vain().with(77, &["root.key", "symlink"]);
    fs::rename(&elsewhere, &path).unwrap();
    nothing_is_lost(&mut vault);
}
