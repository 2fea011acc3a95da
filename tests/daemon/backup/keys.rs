//! What kept backups need of the keys: a root key stays until the last set that it restores is gone; an org's key is in each set.
//!
//! Never believes what is said: what a set needs is shown by a restore without it.

use std::fs;

use serde_json::{Value, json};

use super::kit::{BackedUp, now, outlive};
use crate::kit::vault::new_key;
use crate::kit::{Request, Response, TestVault, poll};

fn keys(vault: &TestVault, of: &str) -> Value {
    vault.admin().get(&format!("/admin/v1/keys/orgs{of}")).is(200).json()
}

pub(super) fn retire(vault: &TestVault, id: &str, destroy: bool) -> Response {
    vault.admin().post("/admin/v1/keys/retire", &json!({ "id": id, "destroy": destroy }))
}

fn reload(vault: &TestVault, list: &[&str]) {
    vault.write_root_key(list);
    vault.admin().send(&Request::new("POST", "/admin/v1/keys/reload")).is(200);
}

/// Puts another root key in the place of the one there is, and gives the id of the old one, and the new one.
pub(super) fn replace_root_key(vault: &TestVault) -> (String, String) {
    let (old, new) = (vault.root_key(), new_key());
    reload(vault, &[&new, &old]);
    vault.admin().send(&Request::new("POST", "/admin/v1/keys/rotate")).is(202);
    let keys = poll("the end of the rotation", || {
        let now = vault.admin().get("/admin/v1/keys").is(200).json();
        (now["remaining"] == 0 && now["rotating"] == false).then_some(now)
    });
    (keys["root_keys"][1]["id"].as_str().expect("an id").to_owned(), new)
}

fn finding(vault: &TestVault) -> Option<Value> {
    let found = vault.admin().get("/admin/v1/doctor").is(200).json();
    found["findings"].as_array()?.iter().find(|finding| finding["check"] == "backup_keys").cloned()
}

#[test]
fn a_root_key_stays_until_no_kept_set_is_restored_with_it() {
    let backed_up = BackedUp::running();
    let vault = &backed_up.vault;
    vault.create_org("acme");
    vault.put_pair("acme", "github/main", "at-1", "rt-1");
    let first = backed_up.wait_for_all()["set"].as_str().expect("a name").to_owned();
    let old = vault.root_key();
    let (old_id, new) = replace_root_key(vault);
    let refused = retire(vault, &old_id, false).refused(409, "conflict");
    assert_eq!(refused.reason.as_deref(), Some("key_in_backups"));
    assert!(refused.detail.contains(&first), "{}", refused.detail);

    // A set that is begun afterwards does not need it; the one before goes on needing it.
    assert_eq!(backed_up.task("create")["error"], Value::Null);
    let second = backed_up.wait_for_all()["set"].clone();
    assert_ne!(second, first);
    let need = |id: &str| {
        let now = keys(vault, "");
        let of_root = now["backups"]["root_keys"].as_array().expect("a list").clone();
        of_root.into_iter().find(|key| key["id"] == id)
    };
    let needed = need(&old_id).expect("it is needed");
    assert_eq!((&needed["listed"], &needed["sets"]), (&json!(true), &json!(1)), "{needed}");
    assert_eq!(needed["last_set"], first, "{needed}");
    let until = needed["until"].as_str().expect("a moment").to_owned();
    let refused = retire(vault, &old_id, false).refused(409, "conflict");
    assert!(refused.detail.contains(&first) && refused.detail.contains(&until), "{}", refused.detail);

    // Taken off the list all the same: the daemon serves on, that set does not open, and doctor says so.
    poll("a look at the backups", || finding(vault).filter(|found| found["level"] == "ok"));
    reload(vault, &[&new]);
    let found = poll("a finding", || finding(vault).filter(|found| found["level"] == "warn"));
    let detail = found["detail"].as_str().expect("words");
    assert!(detail.contains(&old_id) && detail.contains(&first) && detail.contains(&until), "{detail}");
    assert_eq!(need(&old_id).expect("it is needed")["listed"], false);
    let into = backed_up.shelf.path().join("into");
    let then = needed["last_set"].as_str().expect("a name");
    let told = backed_up.restore(&into, &["--set", then, "--at", &begun_at(&backed_up, then)]);
    let errors = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(!told.status.success() && errors.contains(&old_id), "{errors}");

    // Gone, as it goes by itself in its time.
    reload(vault, &[&new, &old]);
    let folder = backed_up.list()["vault"].as_str().expect("a folder").to_owned();
    fs::remove_dir_all(backed_up.backups().join(folder).join(&first)).expect("removed");
    assert!(need(&old_id).is_none());
    assert_eq!(retire(vault, &old_id, false).is(200).json()["state"], "unneeded");
}

#[test]
fn a_root_key_that_came_and_went_within_a_set_is_needed_by_it() {
    let backed_up = BackedUp::running();
    backed_up.vault.create_org("acme");
    let set = backed_up.wait_for_all()["set"].as_str().expect("a name").to_owned();
    replace_root_key(&backed_up.vault);
    backed_up.wait_for_all();
    let (second, _) = replace_root_key(&backed_up.vault);
    backed_up.wait_for_all();
    let refused = retire(&backed_up.vault, &second, false).refused(409, "conflict");
    assert_eq!(refused.reason.as_deref(), Some("key_in_backups"), "{}", refused.detail);
    assert!(refused.detail.contains(&set), "{}", refused.detail);
}

fn begun_at(backed_up: &BackedUp, set: &str) -> String {
    let list = backed_up.list();
    let found = list["items"].as_array().expect("sets").iter().find(|item| item["set"] == set).cloned();
    found.expect("the set")["begun_at"].as_str().expect("a moment").to_owned()
}

#[test]
fn backups_that_cannot_be_read_keep_a_root_key_and_hold_up_nothing_else() {
    let backed_up = BackedUp::running();
    let vault = &backed_up.vault;
    vault.create_org("acme");
    vault.put_pair("acme", "github/main", "at-1", "rt-1");
    backed_up.wait_for_all();
    let (old_id, _) = replace_root_key(vault);
    let away = backed_up.shelf.path().join("away");
    fs::rename(backed_up.backups(), &away).expect("renamed");
    // As a mount that is away looks: nothing is there, and everything can be read.
    for is_empty in [false, true] {
        if is_empty {
            fs::create_dir(backed_up.backups()).expect("a directory");
        }
        let refused = retire(vault, &old_id, false).refused(409, "conflict");
        assert_eq!(refused.reason.as_deref(), Some("backups_unread"), "{}", refused.detail);
        let now = keys(vault, "?org=acme");
        assert!(now["backups"]["error"].is_string(), "{now}");
        assert_eq!((&now["current_records"], &now["keys"][0]["backup_records"]), (&json!(1), &Value::Null));
        assert_eq!(vault.access_token("acme", "github/main"), "at-1");
    }
    drop(fs::remove_dir_all(backed_up.backups()));
    fs::rename(&away, backed_up.backups()).expect("renamed");
    assert_eq!(
        retire(vault, &old_id, false).refused(409, "conflict").reason.as_deref(),
        Some("key_in_backups")
    );
}

#[test]
fn a_set_brings_the_keys_of_its_orgs_along_and_says_how_much_is_under_each() {
    let mut backed_up = BackedUp::running();
    let vault = &backed_up.vault;
    vault.create_org("acme");
    for number in 0..5 {
        vault.put_pair("acme", &format!("github/c{number}"), "at-old", "rt-old");
    }
    assert_eq!(backed_up.task("create")["error"], Value::Null);
    backed_up.wait_for_all();
    let then = now();
    outlive(&then);
    let old = keys(vault, "?org=acme")["keys"][0].clone();
    assert_eq!((&old["state"], &old["backup_records"]), (&json!("current"), &json!(5)), "{old}");
    vault.admin().post("/admin/v1/keys/orgs/rotate", &json!({ "org": "acme" })).is(202);
    poll("the end of a rotation", || {
        let now = vault.admin().get("/admin/v1/keys").is(200).json();
        (now["org_rotation"]["running"] == false).then_some(())
    });
    // Where it got its successor in the second in which a set was begun, it may be in that too.
    outlive(&now());
    assert_eq!(backed_up.task("create")["error"], Value::Null);
    backed_up.wait_for_all();
    let listed = keys(vault, "?org=acme")["keys"].clone();
    let of = |id: &Value| {
        listed.as_array().expect("keys").iter().find(|key| key["id"] == *id).expect("the key").clone()
    };
    let former = of(&old["id"]);
    assert_eq!((&former["records"], &former["backup_records"]), (&json!(0), &json!(5)), "{former}");
    // Born in the first set, counted by the second; the third has nothing under it.
    assert_eq!(former["backup_sets"], 2, "{former}");
    assert_eq!(listed[0]["backup_records"], 5, "{listed}");

    // It is destroyed here, and comes back with what it opens.
    let out = retire(vault, former["id"].as_str().expect("an id"), true).is(200).json();
    assert_eq!(out["state"], "destroyed");
    assert_eq!(out["in_backups_until"], former["in_backups_until"], "{out}");
    vault.put_pair("acme", "github/c0", "at-new", "rt-new");
    backed_up.wait_for_all();
    backed_up.lose();
    backed_up.come_back(&["--at", &then]);
    for number in 0..5 {
        assert_eq!(backed_up.vault.access_token("acme", &format!("github/c{number}")), "at-old");
    }
    let back = keys(&backed_up.vault, "?org=acme")["keys"].clone();
    assert_eq!((&back[0]["id"], &back[0]["state"]), (&old["id"], &json!("current")), "{back}");
}
