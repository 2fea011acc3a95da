//! What a restore owes to others: orgs that were deleted stay deleted, no provider is asked, and what was acknowledged a
//! minute before the end is there.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokenkeep::chain::Mark;
use tokenkeep::clock::SystemClock;
use tokenkeep::crypto::key_list::RootKeys;
use tokenkeep::store::embedded::{EmbeddedStore, Options};
use tokenkeep::store::{Batch, Change, Store, Witness};
use tokenkeep::vault::header::Header;
use tokenkeep::vault::place::{Blind, Table, org_prefix};
use tokenkeep_client::ids::OrgId;

use super::kit::{BackedUp, IDENTITY, RECIPIENT, now, outlive};

struct Blank;

impl Witness for Blank {
    fn durable_head(&self) -> Mark {
        Mark::START
    }
}

/// Deletes an org in the stopped vault, as a purge would: its record, and all that is its own.
fn delete_org(backed_up: &BackedUp, org: &str) {
    let (state, root) = (backed_up.vault.state(), backed_up.vault.root_key());
    let root = RootKeys::parse(root.as_bytes()).expect("a key list");
    let (header, keys) = Header::open(state, "development", &root).expect("it opens").expect("it is there");
    let options = Options::new(
        state.to_owned(),
        header.vault_id,
        keys.journal.clone(),
        Arc::new(Blank),
        Mark::START,
        Arc::new(SystemClock),
    );
    let (store, _) = EmbeddedStore::open(options).expect("it opens");
    let blind = Blind::new(keys.index).org(&OrgId::parse(org).expect("an org"));
    let mut changes = Vec::new();
    for table in [Table::Org, Table::Connection] {
        let records = store.scan(&org_prefix(table, blind), None, 1000).expect("readable");
        changes.extend(records.into_iter().map(|(key, _)| Change::Delete(key)));
    }
    assert!(changes.len() > 1, "there is nothing of {org}");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(store.commit(Batch { changes, ..Batch::default() })).expect("committed");
    store.close();
}

#[test]
fn an_org_that_was_deleted_later_stays_deleted() {
    let mut backed_up = BackedUp::running();
    for org in ["acme", "globex"] {
        backed_up.vault.create_org(org);
        backed_up.vault.put_pair(org, "github/main", &format!("at-{org}"), &format!("rt-{org}"));
    }
    backed_up.wait_for_all();
    let then = now();
    outlive(&then);
    backed_up.vault.stop();
    delete_org(&backed_up, "globex");
    backed_up.vault.start();
    backed_up.vault.token("globex", "github/main").refused(404, "not_found");
    backed_up.wait_for_all();
    // What speaks of it may stand in a later set.
    assert_eq!(backed_up.task("create")["error"], serde_json::Value::Null);
    backed_up.lose();
    backed_up.come_back(&["--at", &then]);
    assert_eq!(backed_up.vault.access_token("acme", "github/main"), "at-acme");
    backed_up.vault.token("globex", "github/main").refused(404, "not_found");
    let audited = backed_up.vault.audit_from_the_start();
    let erased = audited.iter().find(|entry| entry.target.as_deref() == Some("erased")).expect("recorded");
    assert_eq!((erased.principal.name.as_str(), erased.outcome.as_str()), ("task:restore", "recovered"));
}

/// The live vault is written to all the time, and then everything of it is gone at once.
#[test]
fn all_that_was_acknowledged_a_minute_before_the_end_is_there() {
    let mut backed_up = BackedUp::running();
    backed_up.vault.create_org("acme");
    let acknowledged: Mutex<Vec<(String, String)>> = Mutex::default();
    let is_over = AtomicBool::new(false);
    // A minute is the promise; what is shipped each second here was acknowledged two turns before.
    let deadline = std::thread::scope(|scope| {
        for writer in 0..4 {
            let (vault, acknowledged, is_over) = (&backed_up.vault, &acknowledged, &is_over);
            scope.spawn(move || {
                for number in (0..).take_while(|_| !is_over.load(Ordering::Relaxed)) {
                    let name = format!("w{writer}-{number}");
                    vault.put_pair(
                        "acme",
                        &format!("github/{name}"),
                        &format!("at-{name}"),
                        &format!("rt-{name}"),
                    );
                    acknowledged.lock().expect("nobody panicked").push((now(), name));
                }
            });
        }
        let second = now();
        outlive(&second);
        // The first of them that is whole, and shipped while others go on.
        let second = now();
        outlive(&second);
        backed_up.wait_for_all();
        is_over.store(true, Ordering::Relaxed);
        second
    });
    backed_up.lose();
    backed_up.come_back(&["--at", &deadline]);
    let acknowledged = acknowledged.into_inner().expect("nobody panicked");
    let by_then: Vec<_> = acknowledged.iter().filter(|(at, _)| *at <= deadline).collect();
    assert!(by_then.len() > 10, "{}", by_then.len());
    for (_, name) in by_then {
        assert_eq!(backed_up.vault.access_token("acme", &format!("github/{name}")), format!("at-{name}"));
    }
    backed_up.vault.audit_is_intact();
    let asked = backed_up.vault.audit_from_the_start();
    assert!(!asked.iter().any(|entry| entry.action == "token:refresh" || entry.action == "provider:check"));
}

#[test]
fn an_escrow_of_the_root_keys_opens_what_the_lost_secret_manager_did() {
    let mut backed_up = BackedUp::running();
    backed_up.vault.create_org("acme");
    backed_up.vault.put_pair("acme", "github/main", "at-1", "rt-1");
    backed_up.wait_for_all();
    let escrow: PathBuf = backed_up.shelf.path().join("escrow.age");
    let made = Command::new(env!("CARGO_BIN_EXE_tokenkeep"))
        .args(["key", "escrow", "--recipient", RECIPIENT, "--to"])
        .arg(&escrow)
        .arg("--file")
        .arg(backed_up.vault.root_key_file())
        .output()
        .expect("it runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let sealed = std::fs::read(&escrow).expect("there");
    assert!(!String::from_utf8_lossy(&sealed).contains(&backed_up.vault.root_key()));
    backed_up.vault.kill9();
    // The secret manager is gone, and so is the file that stands for it.
    std::fs::rename(&escrow, backed_up.vault.root_key_file()).expect("moved");
    let into = backed_up.shelf.path().join("into");
    let told = backed_up.restore(&into, &[]);
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    assert!(into.join("vault.json").exists() && !IDENTITY.is_empty());
}
