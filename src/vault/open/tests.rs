//! What a start makes of what the run before left.
//!
//! Never waits: each run ends where the test says so.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;

use super::*;
use crate::audit::Filter;
use crate::clock::ManualClock;
use crate::store::Batch;

const KEY: &[u8] = b"cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=";

async fn open(directory: &Path) -> (Arc<Vault>, Arc<EmbeddedStore>) {
    Vault::open(Options {
        state_directory: directory.to_owned(),
        audit_directory: directory.join("audit"),
        audit_sync: Sync::DEFAULT,
        environment: "test".to_owned(),
        root_keys: RootKeys::parse(KEY).unwrap(),
        policy: Policy::new(Vec::new()).unwrap(),
        providers: Providers::Any(Vec::new()),
        application_keys: ApplicationKeys::default(),
        org_keys: Bounds::default(),
        machine: "this one".to_owned(),
        own_uid: 1000,
        clock: Arc::new(ManualClock::at(UNIX_EPOCH + Duration::from_secs(1_795_284_000))),
        store: crate::store::embedded::Sizes::default(),
        retention: crate::store::embedded::Retention::Covered,
        progress: Box::new(|_| {}),
    })
    .await
    .unwrap()
}

fn entries(vault: &Vault) -> Vec<Value> {
    let page = vault.audit().query(&Filter::default(), 0, 100).unwrap();
    page.entries.iter().map(|entry| serde_json::from_str(entry).unwrap()).collect()
}

/// A change that outlives the drain is in the journal and not in the audit log when the daemon says that it stops.
#[tokio::test]
async fn what_the_daemon_says_of_its_own_runs_vouches_for_no_change() {
    let directory = tempfile::tempdir().unwrap();
    let (vault, store) = open(directory.path()).await;
    let late = store.commit(Batch { note: b"late".to_vec(), ..Batch::default() }).await.unwrap();
    vault.record_run("stop").await.unwrap();
    store.close();
    vault.audit().close();
    drop((vault, store));
    for _ in 0..2 {
        let (vault, store) = open(directory.path()).await;
        let entries = entries(&vault);
        let recovered: Vec<_> = entries.iter().filter(|entry| entry["outcome"] == "recovered").collect();
        assert_eq!(recovered.len(), 1, "{entries:?}");
        assert_eq!(recovered[0]["journal"]["sequence"], late.sequence);
        store.close();
    }
}
