//! The two logs witness each other: what was acknowledged is there after a kill, and what the crash kept from
//! the audit log is entered at the next start.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::kit::http::Wire;
use crate::kit::vault::write_private;
use crate::kit::{Request, TestVault, own_uid, poll};
use crate::misplaced::attacker::Attacker;

const ROUNDS: usize = 10;
const WRITERS: usize = 4;

fn put(writer: usize, turn: u64) -> Request {
    let set =
        json!({"access_token": format!("w{writer}-{turn}"), "refresh_token": format!("r{writer}-{turn}")});
    Request::put(format!("/v1/orgs/acme/connections/github/w{writer}"), &set)
}

/// Writes until the daemon is gone; gives the last turn that was acknowledged.
fn write_on(vault: &TestVault, writer: usize, mut turn: u64, count: &AtomicU64, gone: &AtomicBool) -> u64 {
    let Ok(mut wire) = Wire::connect(&vault.socket()) else { return turn };
    while !gone.load(Ordering::Relaxed) {
        match wire.send(&put(writer, turn + 1)) {
            Ok(answer) => {
                assert!(answer.status < 300, "{}", answer.shown());
                turn += 1;
                count.fetch_add(1, Ordering::Relaxed);
            }
            Err(_) => return turn,
        }
    }
    turn
}

#[test]
fn nothing_acknowledged_is_lost_to_a_kill() {
    let mut vault = TestVault::running();
    vault.create_org("acme");
    let mut acknowledged = [0_u64; WRITERS];
    for round in 0..ROUNDS {
        let (count, gone) = (AtomicU64::new(0), AtomicBool::new(false));
        acknowledged = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..WRITERS)
                .map(|writer| {
                    let (vault, count, gone, from) = (&vault, &count, &gone, acknowledged[writer]);
                    scope.spawn(move || write_on(vault, writer, from, count, gone))
                })
                .collect();
            // In the midst of it, and not at the same place each round.
            let enough = 8 + 7 * round as u64;
            poll("some writes", || (count.load(Ordering::Relaxed) >= enough).then_some(()));
            let pid = nix::unistd::Pid::from_raw(vault.pid().try_into().unwrap());
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
            gone.store(true, Ordering::Relaxed);
            let last: Vec<u64> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
            last.try_into().unwrap()
        });
        vault.kill9();
        vault.start();
        for (writer, turn) in acknowledged.iter_mut().enumerate() {
            let token = vault.access_token("acme", &format!("github/w{writer}"));
            let kept: u64 = token.strip_prefix(&format!("w{writer}-")).unwrap().parse().unwrap();
            assert!(kept == *turn || kept == *turn + 1, "round {round}: {token}, acknowledged was {turn}");
            let url = format!("/v1/orgs/acme/connections/github/w{writer}/refresh-token");
            assert_eq!(vault.get(&url).json()["refresh_token"], format!("r{writer}-{kept}"), "whole");
            *turn = kept;
        }
        vault.audit_is_intact();
    }
    each_change_is_recorded_once(&vault);
}

/// Over all kills: as many entries as there are changes in the journal, each with its own place there.
fn each_change_is_recorded_once(vault: &TestVault) {
    let mut marks = BTreeMap::new();
    for line in audit_lines(vault) {
        let is_change = line["action"] == "connection:write" && line["journal"].is_object();
        if is_change {
            let sequence = line["journal"]["sequence"].as_u64().unwrap();
            let before = marks.insert(sequence, line["request_id"].clone());
            assert_eq!(before, None, "journal record {sequence} has two entries");
        }
    }
    let sequence = vault.get("/v1/status").json()["store"]["sequence"].as_u64().unwrap();
    // The first record of the journal is the org.
    let expected: Vec<u64> = (2..=sequence).collect();
    assert_eq!(marks.into_keys().collect::<Vec<_>>(), expected);
}

fn audit_lines(vault: &TestVault) -> Vec<Value> {
    let text: String = vault.audit_files().iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Takes the last lines of the log away, as a crash does that comes before they are written.
fn take_last_lines(vault: &TestVault, count: usize) {
    let log = vault.audit_files().pop().unwrap();
    let text = fs::read_to_string(&log).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let kept = lines[..lines.len() - count].join("\n") + "\n";
    write_private(&log, kept.as_bytes());
}

#[test]
fn a_change_that_a_crash_kept_from_the_audit_log_is_entered_at_the_next_start() {
    let deeds: [(&str, &str, Option<&str>, Request); 5] = [
        (
            "connection:write",
            "acme",
            Some("github/main"),
            Request::put("/v1/orgs/acme/connections/github/main", &json!({"access_token": "t2"})),
        ),
        (
            "connection:delete",
            "acme",
            Some("github/main"),
            Request::delete("/v1/orgs/acme/connections/github/main"),
        ),
        (
            "secret:write",
            "acme",
            Some("stripe"),
            Request::put("/v1/orgs/acme/secrets/stripe", &json!({"value": "v"})),
        ),
        ("secret:delete", "acme", Some("old"), Request::delete("/v1/orgs/acme/secrets/old")),
        ("org:create", "beta", None, Request::new("PUT", "/v1/orgs/beta")),
    ];
    for (action, org, target, request) in deeds {
        let mut vault = TestVault::running();
        vault.create_org("acme");
        vault.put("acme", "github/main", &json!({"access_token": "t1"}));
        vault.line().put("/v1/orgs/acme/secrets/old", &json!({"value": "v"})).is(201);
        let answer = vault.send(&request);
        assert!(answer.status < 300, "{}", answer.shown());
        let request_id = answer.header("x-request-id").unwrap().to_owned();
        vault.kill9();
        take_last_lines(&vault, 1);
        assert!(audit_lines(&vault).iter().all(|line| line["request_id"] != request_id), "its entry is gone");
        vault.start();
        let entry = vault.audited(&answer);
        assert_eq!((entry.outcome.as_str(), entry.decision.as_str()), ("recovered", "allow"), "{action}");
        assert_eq!((entry.action.as_str(), entry.org.as_deref()), (action, Some(org)));
        assert_eq!(entry.target.as_deref(), target);
        assert_eq!((entry.principal.name.as_str(), entry.principal.proof.as_str()), ("app", "unix"));
        assert_eq!((entry.principal.uid, entry.principal.pid), (Some(own_uid()), Some(std::process::id())));
        vault.audit_is_intact();
        // Once is enough.
        vault.restart();
        let recovered = vault.audit().into_iter().filter(|entry| entry.outcome == "recovered").count();
        assert_eq!(recovered, 1, "{action}");
    }
}

/// Of changes that are made at once, the later one may be written down first.
#[test]
fn a_change_that_was_overtaken_in_the_audit_log_is_recovered_too() {
    let mut vault = TestVault::running();
    vault.create_org("acme");
    vault.put("acme", "github/main", &json!({"access_token": "t"}));
    vault.stop();
    let first = Attacker::enter(&vault).change_twice_and_record_the_second(("acme", "main"));
    for _ in 0..2 {
        vault.start();
        let lines = audit_lines(&vault);
        let recovered = lines.iter().filter(|line| line["outcome"] == "recovered");
        let recovered: Vec<&Value> = recovered.map(|line| &line["journal"]["sequence"]).collect();
        assert_eq!(recovered, [&json!(first)], "entered once, and not again");
        vault.audit_is_intact();
        vault.stop();
    }
}

/// A line that was being written when the crash came is cut off, and its change entered anew.
#[test]
fn a_torn_last_line_is_mended_and_its_change_recovered() {
    let mut vault = TestVault::running();
    vault.create_org("acme");
    vault.put("acme", "github/main", &json!({"access_token": "t1"}));
    let answer = vault.try_put("acme", "github/main", &json!({"access_token": "t2"})).is(200);
    vault.kill9();
    let log = vault.audit_files().pop().unwrap();
    let text = fs::read(&log).unwrap();
    write_private(&log, &text[..text.len() - 30]);
    vault.start();
    assert_eq!(vault.audited(&answer).outcome, "recovered");
    assert_eq!(vault.access_token("acme", "github/main"), "t2");
    vault.audit_is_intact();
}

/// Two changes one after the other: the second one's journal record has seen the first one's entry on the disk.
#[test]
fn an_audit_log_that_lost_what_the_journal_has_seen_is_damage() {
    let mut vault = TestVault::running();
    vault.create_org("acme");
    vault.put("acme", "github/main", &json!({"access_token": "t1"}));
    vault.put("acme", "github/main", &json!({"access_token": "t2"}));
    vault.kill9();
    let log = vault.audit_files().pop().unwrap();
    let right = fs::read(&log).unwrap();
    take_last_lines(&vault, 2);
    vault.start_in_vain().with(74, &["audit log is cut off or replaced", "restore the audit directory"]);
    write_private(&log, &right);
    vault.start();
    assert_eq!(vault.access_token("acme", "github/main"), "t2");
    vault.audit_is_intact();
}

/// The older state of the whole directory but for one log: each log gives the other away.
#[test]
fn one_log_put_back_to_an_older_state_is_noticed() {
    let mut vault = TestVault::running();
    vault.create_org("acme");
    vault.put("acme", "github/main", &json!({"access_token": "t1"}));
    vault.stop();
    let (old_audit, old_journal) = (vault.room().join("audit"), vault.room().join("journal"));
    crate::kit::files::copy(&vault.audit_directory(), &old_audit);
    crate::kit::files::copy(&vault.state().join("journal"), &old_journal);
    vault.start();
    vault.put("acme", "github/main", &json!({"access_token": "t2"}));
    vault.put("acme", "github/main", &json!({"access_token": "t3"}));
    vault.stop();
    for (old, place) in [(old_audit, vault.audit_directory()), (old_journal, vault.state().join("journal"))] {
        let aside = vault.room().join("aside");
        fs::rename(&place, &aside).unwrap();
        crate::kit::files::copy(&old, &place);
        vault.start_in_vain().with(74, &["restore"]);
        fs::remove_dir_all(&place).unwrap();
        fs::rename(&aside, &place).unwrap();
    }
    vault.start();
    assert_eq!(vault.access_token("acme", "github/main"), "t3");
    vault.audit_is_intact();
}
