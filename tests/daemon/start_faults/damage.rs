//! Storage that is not what was written: refused with file and place, and never a new vault over an old one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::json;

use super::{kept, nothing_is_lost};
use crate::kit::files;
use crate::kit::vault::{TestVault, write_private};

#[test]
fn a_newer_store_is_refused() {
    let mut vault = kept();
    let header = vault.state().join("vault.json");
    let right = fs::read_to_string(&header).unwrap();
    // A later program may have more fields than this one knows.
    let newer = right.replace("\"format\": 1,", "\"format\": 2,\n  \"later\": true,");
    assert_ne!(newer, right);
    write_private(&header, newer.as_bytes());
    vault.start_in_vain().with(74, &["format 2", "start the newer program"]);
    write_private(&header, right.as_bytes());
    nothing_is_lost(&mut vault);
}

#[test]
fn a_damaged_header_is_refused() {
    let mut vault = kept();
    let header = vault.state().join("vault.json");
    let right = fs::read(&header).unwrap();
    let sealed = files::find(&right, b"gAAAA").unwrap();
    for (at, byte) in [(0, b'x'), (sealed + 40, b'!'), (right.len() / 2, b'#')] {
        let mut wrong = right.clone();
        wrong[at] = byte;
        write_private(&header, &wrong);
        vault.start_in_vain().with(74, &["vault.json is damaged", "restore"]);
    }
    for length in [0, 1, right.len() / 2, right.len() - 3] {
        write_private(&header, &right[..length]);
        vault.start_in_vain().with(74, &["vault.json is damaged", "restore"]);
    }
    write_private(&header, &right);
    nothing_is_lost(&mut vault);
}

#[test]
fn a_vault_without_its_header_is_not_a_new_one() {
    let mut vault = kept();
    let (header, aside) = (vault.state().join("vault.json"), vault.room().join("aside"));
    fs::rename(&header, &aside).unwrap();
    vault.start_in_vain().with(74, &["vault.json is missing", "restore"]);
    assert!(!header.exists(), "no new header over an old vault");
    fs::rename(&aside, &header).unwrap();
    nothing_is_lost(&mut vault);
}

#[test]
fn an_audit_log_that_is_gone_is_damage() {
    let mut vault = kept();
    let (audit, aside) = (vault.audit_directory(), vault.room().join("aside"));
    fs::rename(&audit, &aside).unwrap();
    vault.start_in_vain().with(74, &["audit log", "missing", "restore"]);
    // Nor does an empty one stand in for it, however often it is tried.
    vault.start_in_vain().with(74, &["audit log", "restore"]);
    fs::remove_dir_all(&audit).unwrap();
    fs::rename(&aside, &audit).unwrap();
    nothing_is_lost(&mut vault);
}

#[test]
fn a_journal_that_is_gone_is_damage() {
    let mut vault = kept();
    let (journal, aside) = (vault.state().join("journal"), vault.room().join("aside"));
    fs::rename(&journal, &aside).unwrap();
    vault.start_in_vain().with(74, &["journal", "restore"]);
    fs::remove_dir_all(&journal).unwrap();
    fs::rename(&aside, &journal).unwrap();
    nothing_is_lost(&mut vault);
}

/// Where the records of a segment end: behind them there are zeros.
fn end_of_records(segment: &[u8]) -> usize {
    segment.iter().rposition(|byte| *byte != 0).unwrap() + 1
}

#[test]
fn a_journal_that_was_cut_is_refused_with_its_place() {
    let mut vault = kept();
    let segment = vault.journal_files().pop().unwrap();
    let right = fs::read(&segment).unwrap();
    let end = end_of_records(&right);
    let name = segment.file_name().unwrap().to_str().unwrap().to_owned();
    let mut zeroed = right.clone();
    zeroed[end - 40..end].fill(0);
    for (wrong, what) in [
        (zeroed, "zeros where the last record ended"),
        (right[..end - 1].to_vec(), "one byte too short"),
        (right[..end - 200].to_vec(), "cut in the middle"),
        (right[..5000].to_vec(), "cut near the start"),
    ] {
        write_private(&segment, &wrong);
        let ended = vault.start_in_vain().with(74, &["journal damaged", &name, "at byte", "restore"]);
        assert!(ended.line.contains("the audit log has seen record"), "{what}: {}", ended.line);
        assert_eq!(fs::read(&segment).unwrap(), wrong, "the evidence stays as it is: {what}");
    }
    write_private(&segment, &right);
    nothing_is_lost(&mut vault);
}

#[test]
fn a_flipped_bit_in_the_journal_is_refused_with_its_place() {
    let mut vault = kept();
    let segment = vault.journal_files().pop().unwrap();
    let right = fs::read(&segment).unwrap();
    let end = end_of_records(&right);
    for at in [0, 20, 60, 4100, 4200, (4096 + end) / 2, end - 50, end - 2] {
        let mut wrong = right.clone();
        wrong[at] ^= 0x10;
        write_private(&segment, &wrong);
        // A journal that the index and the audit log vouch for is read behind the start, not before it.
        let ended = fails_sooner_or_later(&mut vault, at);
        assert!(ended.contains("journal"), "byte {at}: {ended}");
    }
    write_private(&segment, &right);
    nothing_is_lost(&mut vault);
}

fn fails_sooner_or_later(vault: &mut TestVault, at: usize) -> String {
    let ended = vault.start_in_vain();
    assert_eq!(ended.code, Some(74), "byte {at}: {ended:?}");
    ended.line
}

#[test]
fn an_audit_log_that_was_cut_is_refused() {
    let mut vault = TestVault::running();
    vault.create_org("acme");
    for _ in 0..4 {
        vault.put("acme", "github/main", &json!({"access_token": "kept"}));
    }
    vault.stop();
    let log = vault.audit_files().pop().unwrap();
    let right = fs::read_to_string(&log).unwrap();
    let lines: Vec<&str> = right.lines().collect();
    // The last entries are the start, the org, four changes and the stop.
    for kept in [1, 2, lines.len() - 4, lines.len() - 3] {
        write_private(&log, (lines[..kept].join("\n") + "\n").as_bytes());
        let ended = vault.start_in_vain().with(74, &["restore"]);
        assert!(ended.line.contains("audit log is"), "{}", ended.line);
    }
    write_private(&log, right.as_bytes());
    nothing_is_lost(&mut vault);
}

#[test]
fn an_audit_line_that_was_changed_or_dropped_is_refused() {
    let mut vault = kept();
    let log = vault.audit_files().pop().unwrap();
    let right = fs::read_to_string(&log).unwrap();
    let lines: Vec<&str> = right.lines().collect();
    let name = log.file_name().unwrap().to_str().unwrap();
    let changed = right.replacen("\"outcome\":\"ok\"", "\"outcome\":\"no\"", 1);
    let dropped: Vec<&str> = [&lines[..2], &lines[3..]].concat();
    let swapped: Vec<&str> = [&lines[..2], &[lines[3], lines[2]], &lines[4..]].concat();
    for wrong in [changed, dropped.join("\n") + "\n", swapped.join("\n") + "\n"] {
        assert_ne!(wrong, right);
        write_private(&log, wrong.as_bytes());
        vault.start_in_vain().with(74, &["the audit log is damaged", name]);
    }
    write_private(&log, right.as_bytes());
    nothing_is_lost(&mut vault);
}

/// The index is made anew from the journal, so nothing about it can be fatal.
#[test]
fn an_index_that_is_damaged_or_gone_is_made_anew() {
    let mut vault = kept();
    let index = vault.state().join("index");
    fs::remove_dir_all(&index).unwrap();
    nothing_is_lost(&mut vault);
    vault.stop();
    for (path, bytes) in files::below(&index) {
        write_private(&path, &vec![0x5a; bytes.len()]);
    }
    nothing_is_lost(&mut vault);
    vault.stop();
    truncate_all(&index);
    nothing_is_lost(&mut vault);
    let said = vault.said();
    assert!(said.contains("index"), "it is said: {said}");
    let mode = fs::metadata(&index).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

fn truncate_all(directory: &Path) {
    for (path, bytes) in files::below(directory) {
        write_private(&path, &bytes[..bytes.len() / 2]);
    }
}
