//! Drills: held on demand, by the vault itself, and seen to fail where they must.

use std::fs;

use serde_json::Value;

use super::kit::BackedUp;
use crate::kit::poll;

fn filled() -> BackedUp {
    let backed_up = BackedUp::running();
    backed_up.vault.create_org("acme");
    for number in 0..30 {
        backed_up.vault.put_pair("acme", &format!("github/c{number}"), "at", &format!("rt-{number}"));
    }
    backed_up.wait_for_all();
    backed_up
}

fn level(backed_up: &BackedUp, check: &str) -> String {
    let findings = backed_up.vault.admin().get("/admin/v1/doctor").is(200).json();
    let found =
        findings["findings"].as_array().expect("findings").iter().find(|found| found["check"] == check);
    found.and_then(|found| found["level"].as_str()).unwrap_or_else(|| panic!("no {check}")).to_owned()
}

#[test]
fn a_drill_opens_every_record_and_says_how_long_it_took_and_how_old_it_was() {
    let backed_up = filled();
    let run = backed_up.task("drill");
    assert_eq!(run["error"], Value::Null, "{run}");
    let detail = run["detail"].as_str().expect("text");
    // Of each connection its metadata and two tokens, of the org its key and its metadata.
    assert!(detail.contains("92 values in 61 records"), "{detail}");
    assert!(detail.contains("(RTO)") && detail.contains("(RPO)"), "{detail}");
    assert!(!backed_up.vault.state().join("drill").exists());
    let page = backed_up.vault.admin().get("/metrics").is(200);
    let page = page.text();
    assert!(page.contains("tokenkeep_backup_runs_total{task=\"drill\",outcome=\"ok\"} 1"), "{page}");
    assert!(!page.contains("tokenkeep_backup_drill_timestamp_seconds 0"), "{page}");
    assert_eq!((level(&backed_up, "backup"), level(&backed_up, "backup_drill")), ("ok".into(), "ok".into()));
    let audited = backed_up.vault.audit();
    assert!(
        audited.iter().any(|entry| entry.action == "backup:make" && entry.target.as_deref() == Some("drill"))
    );
}

#[test]
fn a_drill_fails_where_an_object_was_changed_or_is_gone() {
    let backed_up = filled();
    let journal = |file: &&std::path::PathBuf| file.to_string_lossy().contains("-journal-");
    let files = backed_up.files();
    let object = files.iter().find(journal).expect("an object");
    let whole = fs::read(object).expect("readable");
    let mut flipped = whole.clone();
    flipped[whole.len() - 5] ^= 1;
    fs::write(object, flipped).expect("written");
    assert!(backed_up.task("drill")["error"].as_str().is_some_and(|why| why.contains(".age")));
    assert!(
        backed_up.task("verify")["error"].as_str().is_some_and(|why| why.contains("not what was written"))
    );
    assert_eq!(level(&backed_up, "backup_drill"), "fail");
    assert!(!backed_up.vault.state().join("drill").exists());
    fs::remove_file(object).expect("removed");
    assert!(backed_up.task("drill")["error"].is_string());
    // A new set has all of it again.
    assert_eq!(backed_up.task("create")["error"], Value::Null);
    assert_eq!(backed_up.task("drill")["error"], Value::Null);
    assert_eq!(level(&backed_up, "backup_drill"), "ok");
}

#[test]
fn where_backups_go_nowhere_it_is_said_and_mended_by_itself() {
    let backed_up = filled();
    let away = backed_up.shelf.path().join("unmounted");
    fs::rename(backed_up.backups(), &away).expect("moved");
    backed_up.vault.put_pair("acme", "github/main", "at", "rt-new");
    poll("doctor to say it", || (level(&backed_up, "backup") != "ok").then_some(()));
    fs::rename(&away, backed_up.backups()).expect("moved");
    poll("doctor to be content", || (level(&backed_up, "backup") == "ok").then_some(()));
    backed_up.wait_for_all();
}
