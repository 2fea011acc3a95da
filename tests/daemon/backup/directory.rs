//! Backups in a directory: all that was acknowledged comes back, as it was at a second; what was tampered with does not.

use std::fs;

use serde_json::json;

use super::kit::{BackedUp, now, outlive};
use crate::kit::Request;

fn errors(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_lost_machine_comes_back_as_it_was_at_a_second() {
    let mut backed_up = BackedUp::running();
    backed_up.vault.create_org("acme");
    for number in 0..20 {
        backed_up.vault.put_pair("acme", &format!("github/c{number}"), "at-old", "rt-old");
    }
    backed_up.vault.put_pair("acme", "github/gone", "at-gone", "rt-gone");
    let then = now();
    outlive(&then);
    backed_up.vault.put_pair("acme", "github/c0", "at-new", "rt-new");
    backed_up.vault.send(&Request::delete("/v1/orgs/acme/connections/github/gone?revoke=false")).is(200);
    backed_up.vault.put_pair("acme", "github/later", "at-later", "rt-later");
    backed_up.wait_for_all();
    backed_up.lose();

    backed_up.come_back(&["--at", &then]);
    let vault = &backed_up.vault;
    for number in 0..20 {
        assert_eq!(vault.access_token("acme", &format!("github/c{number}")), "at-old");
    }
    assert_eq!(vault.access_token("acme", "github/gone"), "at-gone");
    vault.token("acme", "github/later").refused(404, "not_found");
    // A copy may run somewhere: it spends nothing.
    let status = vault.admin().get("/v1/status").is(200).json();
    assert_eq!(status["quarantine"]["reason"], "restored", "{status}");
    vault.get("/v1/orgs/acme/connections/github/c1/refresh-token").refused(503, "quarantined");
    vault.audit_is_intact();

    // And it makes backups of its own again, in its own life.
    vault.put_pair("acme", "github/again", "at-again", "rt-again");
    backed_up.wait_for_all();
    backed_up.lose();
    backed_up.come_back(&[]);
    assert_eq!(backed_up.vault.access_token("acme", "github/again"), "at-again");
    assert_eq!(backed_up.vault.access_token("acme", "github/c0"), "at-old");
}

#[test]
fn all_that_was_shipped_comes_back() {
    let mut backed_up = BackedUp::running();
    backed_up.vault.create_org("acme");
    backed_up.vault.put_pair("acme", "github/main", "at-1", "rt-1");
    backed_up.vault.line().put("/v1/orgs/acme/secrets/key", &json!({ "value": "word" })).is(201);
    backed_up.wait_for_all();
    // A restart goes on with the same set.
    let set = backed_up.list()["set"].clone();
    backed_up.vault.restart();
    backed_up.vault.put_pair("acme", "github/main", "at-2", "rt-2");
    let newest = backed_up.wait_for_all();
    assert_eq!(newest["set"], set);
    assert_eq!(backed_up.task("verify")["error"], serde_json::Value::Null);
    backed_up.lose();
    backed_up.come_back(&[]);
    assert_eq!(backed_up.vault.access_token("acme", "github/main"), "at-2");
    let secret = backed_up.vault.get("/v1/orgs/acme/secrets/key").is(200).json();
    assert_eq!(secret["value"], "word");
}

#[test]
fn what_was_changed_removed_or_swapped_is_refused_and_no_vault_is_made_of_it() {
    let mut backed_up = BackedUp::running();
    backed_up.vault.create_org("acme");
    backed_up.vault.put_pair("acme", "github/main", "at-1", "rt-1");
    backed_up.wait_for_all();
    backed_up.vault.kill9();
    let files = backed_up.files();
    let last = files.iter().rposition(|file| file.extension().is_some_and(|end| end == "json"));
    for (number, file) in files.iter().enumerate() {
        let whole = fs::read(file).unwrap();
        let mut flipped = whole.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        // A last part that is gone cannot be told from one that was never made: it is only later.
        let gone = (Some(number) != last).then_some(None);
        for damage in
            [Some(Some(flipped)), Some(Some(whole[..whole.len() - 1].to_vec())), gone].into_iter().flatten()
        {
            match &damage {
                Some(bytes) => fs::write(file, bytes).unwrap(),
                None => fs::remove_file(file).unwrap(),
            }
            let into = backed_up.shelf.path().join("into");
            let told = backed_up.restore(&into, &[]);
            assert!(!told.status.success(), "{} {:?}", file.display(), damage.map(|bytes| bytes.len()));
            assert!(errors(&told).contains("mend: "), "{}", errors(&told));
            assert!(!into.join("vault.json").exists());
            if into.exists() {
                fs::remove_dir_all(&into).unwrap();
            }
            fs::write(file, &whole).unwrap();
        }
    }
    let into = backed_up.shelf.path().join("into");
    let told = backed_up.restore(&into, &[]);
    assert!(told.status.success(), "{}", errors(&told));
    // A second one does not touch the first.
    assert!(errors(&backed_up.restore(&into, &[])).contains("is not empty"));
}

#[test]
fn an_interrupted_restore_goes_on_where_it_ended() {
    let mut backed_up = BackedUp::running();
    backed_up.vault.create_org("acme");
    backed_up.vault.put_pair("acme", "github/main", "at-1", "rt-1");
    backed_up.wait_for_all();
    backed_up.vault.put_pair("acme", "github/main", "at-2", "rt-2");
    backed_up.wait_for_all();
    backed_up.vault.kill9();
    let objects: Vec<_> = backed_up
        .files()
        .into_iter()
        .filter(|file| file.extension().is_some_and(|end| end == "age"))
        .collect();
    let away = backed_up.shelf.path().join("away");
    fs::rename(objects.last().unwrap(), &away).unwrap();
    let into = backed_up.shelf.path().join("into");
    let told = backed_up.restore(&into, &[]);
    assert!(errors(&told).contains("is not there"), "{}", errors(&told));
    assert!(into.join("restore.json").exists() && !into.join("vault.json").exists());
    // What is there already is not asked for again.
    let first = objects.iter().find(|object| object.to_string_lossy().contains("-audit-")).unwrap();
    let kept = backed_up.shelf.path().join("kept");
    fs::rename(first, &kept).unwrap();
    fs::rename(&away, objects.last().unwrap()).unwrap();
    let told = backed_up.restore(&into, &[]);
    assert!(told.status.success(), "{}", errors(&told));
    assert!(into.join("vault.json").exists() && !into.join("restore.json").exists());
}

#[test]
fn without_the_identity_or_the_root_key_nothing_opens() {
    let mut backed_up = BackedUp::running();
    backed_up.vault.create_org("acme");
    backed_up.wait_for_all();
    backed_up.vault.kill9();
    let into = backed_up.shelf.path().join("into");
    let root = backed_up.vault.root_key();
    backed_up.vault.write_root_key(&[&crate::kit::vault::new_key()]);
    assert!(errors(&backed_up.restore(&into, &[])).contains("lacks key"));
    backed_up.vault.write_root_key(&[&root]);
    let other = "AGE-SECRET-KEY-1QQPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQ28W2Z8";
    fs::write(backed_up.shelf.path().join("identity.txt"), other).unwrap();
    let told = errors(&backed_up.restore(&into, &[]));
    assert!(told.contains("other recipients") || told.contains("no identity"), "{told}");
    assert!(!into.exists());
}
