//! Every kind of break is named, with its file and line.
//!
//! Never repairs what it broke: each case has its own copy.

use super::*;
use crate::audit::{Break, BreakKind, ReadError, verify};

/// A closed log of three segments, and its head.
fn story() -> (Kit, Mark) {
    let kit = Kit::new();
    let (log, _) = kit.open();
    append(&log, 5);
    kit.clock.advance(Duration::from_secs(86_400));
    append(&log, 5);
    kit.clock.advance(Duration::from_secs(86_400));
    let head = append(&log, 5);
    drop(log);
    (kit, head)
}

const FIRST: &str = "2026-11-21.0001.jsonl";
const SECOND: &str = "2026-11-22.0002.jsonl";
const THIRD: &str = "2026-11-23.0003.jsonl";

fn first_break(kit: &Kit, head: Mark) -> Break {
    match verify(&kit.directory(), &key(), VAULT, Some(head)) {
        Err(error) => match error.error {
            ReadError::Damaged(found) => found,
            ReadError::Unreadable(..) => panic!("{error}"),
        },
        Ok(_) => panic!("not noticed"),
    }
}

fn write_lines(path: &Path, lines: &[String]) {
    fs::write(path, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
}

#[test]
fn the_story_is_whole_before_it_is_broken() {
    let (kit, head) = story();
    let whole = verify(&kit.directory(), &key(), VAULT, Some(head)).unwrap();
    assert_eq!((whole.entries, whole.files, whole.head), (18, 3, head));
    assert_eq!(kit.files(), [FIRST, SECOND, THIRD]);
}

#[test]
fn each_changed_byte_of_a_line_is_found_in_that_line() {
    let (kit, head) = story();
    for (file, line) in [(FIRST, 1), (FIRST, 4), (SECOND, 1), (SECOND, 6), (THIRD, 3)] {
        let path = kit.path(file);
        let genuine = fs::read(&path).unwrap();
        let before: Vec<_> =
            genuine.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at + 1).collect();
        let start = if line == 1 { 0 } else { before[line - 2] };
        for at in start..before[line - 1] {
            for flip in [0x01, 0x80] {
                let mut changed = genuine.clone();
                changed[at] ^= flip;
                fs::write(&path, &changed).unwrap();
                let found = first_break(&kit, head);
                let last_end = at + 1 == genuine.len();
                let kind = if last_end { BreakKind::CutOff } else { BreakKind::Changed };
                assert_eq!((found.file.as_str(), found.line), (file, line as u64), "byte {at}: {found}");
                assert_eq!(found.kind, kind, "byte {at}: {found}");
            }
        }
        fs::write(&path, &genuine).unwrap();
    }
}

#[test]
fn each_rearrangement_of_lines_is_named() {
    type Change = fn(&mut Vec<String>);
    let cases: &[(&str, Change, u64, BreakKind)] = &[
        ("one deleted", |l| drop(l.remove(2)), 3, BreakKind::Missing),
        ("two deleted", |l| drop(l.drain(1..3)), 2, BreakKind::Missing),
        ("the opening deleted", |l| drop(l.remove(0)), 1, BreakKind::Missing),
        ("two swapped", |l| l.swap(2, 3), 3, BreakKind::Reordered),
        ("two far apart swapped", |l| l.swap(1, 4), 2, BreakKind::Reordered),
        ("one repeated", |l| l.insert(3, l[1].clone()), 4, BreakKind::Reordered),
        ("one moved to the end", |l| l[2..].rotate_left(1), 3, BreakKind::Reordered),
        ("a line of another kind", |l| l.insert(2, "{}".into()), 3, BreakKind::Changed),
        ("an empty line", |l| l.insert(2, String::new()), 3, BreakKind::Changed),
        ("one renumbered", |l| l[5] = l[5].replacen("\"seq\":12", "\"seq\":14", 1), 6, BreakKind::Changed),
        ("cut off", |l| l.truncate(4), 5, BreakKind::CutOff),
        ("emptied", Vec::clear, 1, BreakKind::CutOff),
    ];
    let (kit, head) = story();
    let path = kit.path(SECOND);
    let genuine = lines(&path);
    for (name, change, line, kind) in cases {
        let mut changed = genuine.clone();
        change(&mut changed);
        assert_ne!(changed, genuine, "{name}");
        write_lines(&path, &changed);
        let found = first_break(&kit, head);
        assert_eq!((found.file.as_str(), found.line, found.kind), (SECOND, *line, *kind), "{name}: {found}");
    }
}

#[test]
fn a_cut_off_end_is_seen_by_the_head() {
    let (kit, head) = story();
    let path = kit.path(THIRD);
    let genuine = fs::read(&path).unwrap();
    write_lines(&path, &lines(&path)[..4]);
    let found = first_break(&kit, head);
    assert_eq!((found.file.as_str(), found.line, found.kind), (THIRD, 5, BreakKind::CutOff));
    fs::write(&path, &genuine[..genuine.len() - 30]).unwrap();
    let found = first_break(&kit, head);
    assert_eq!((found.file.as_str(), found.line, found.kind), (THIRD, 6, BreakKind::CutOff));
    fs::remove_file(&path).unwrap();
    let found = first_break(&kit, head);
    assert_eq!((found.file.as_str(), found.line, found.kind), (SECOND, 7, BreakKind::CutOff));
    let (log, opened) = kit.open();
    assert_eq!(opened.head.sequence, 12, "a start alone cannot see it");
    assert!(!log.contains(head).unwrap(), "the journal's witness does");
}

#[test]
fn a_missing_or_foreign_file_is_named() {
    let (kit, head) = story();
    let taken = fs::read(kit.path(SECOND)).unwrap();
    fs::remove_file(kit.path(SECOND)).unwrap();
    let found = first_break(&kit, head);
    assert_eq!((found.file.as_str(), found.line, found.kind), (SECOND, 1, BreakKind::Missing));
    assert!(kit.refusal().contains(SECOND), "a start looks at the segment before the last");
    fs::write(kit.path(SECOND), &taken).unwrap();

    let first = fs::read(kit.path(FIRST)).unwrap();
    fs::remove_file(kit.path(FIRST)).unwrap();
    let found = first_break(&kit, head);
    assert_eq!((found.file.as_str(), found.line, found.kind), (FIRST, 1, BreakKind::Missing));
    fs::write(kit.path(FIRST), &first).unwrap();

    fs::write(kit.path(SECOND), &first).unwrap();
    let found = first_break(&kit, head);
    assert_eq!((found.file.as_str(), found.line, found.kind), (SECOND, 1, BreakKind::Reordered));
    fs::write(kit.path(SECOND), &taken).unwrap();

    fs::write(kit.path("2026-11-24.0002.jsonl"), &taken).unwrap();
    let found = first_break(&kit, head);
    assert_eq!((found.file.as_str(), found.kind), ("2026-11-24.0002.jsonl", BreakKind::Reordered));
    fs::remove_file(kit.path("2026-11-24.0002.jsonl")).unwrap();

    fs::write(kit.path("notes.txt"), b"x").unwrap();
    let found = first_break(&kit, head);
    assert_eq!((found.file.as_str(), found.kind), ("notes.txt", BreakKind::Changed));
}

#[test]
fn an_old_copy_put_back_is_noticed() {
    let kit = Kit::new();
    let (log, _) = kit.open();
    append(&log, 5);
    let old = fs::read(kit.path(FIRST)).unwrap();
    append(&log, 5);
    kit.clock.advance(Duration::from_secs(86_400));
    let head = append(&log, 1);
    drop(log);
    fs::write(kit.path(FIRST), &old).unwrap();
    let found = first_break(&kit, head);
    assert_eq!((found.file.as_str(), found.line, found.kind), (FIRST, 7, BreakKind::CutOff));
    assert!(kit.refusal().contains(FIRST));
}

#[test]
fn a_log_that_was_grown_again_from_an_old_copy_is_not_the_one_that_was_witnessed() {
    let kit = Kit::new();
    let (log, _) = kit.open();
    append(&log, 5);
    let old = fs::read(kit.path(FIRST)).unwrap();
    let who = asked_by("b");
    let head = log.append(&read_of(&who, "to be forgotten")).unwrap();
    drop(log);
    fs::write(kit.path(FIRST), &old).unwrap();
    let (log, _) = kit.open();
    append(&log, 3);
    log.verify().unwrap();
    assert!(!log.contains(head).unwrap());
    assert_eq!(first_break(&kit, head).kind, BreakKind::Changed);
}

#[test]
fn a_segment_of_another_history_does_not_follow() {
    let kit = Kit::new();
    let (log, _) = kit.open();
    append(&log, 5);
    let old = fs::read(kit.path(FIRST)).unwrap();
    append(&log, 3);
    kit.clock.advance(Duration::from_secs(86_400));
    let head = append(&log, 3);
    drop(log);
    let aside = kit.scratch.path().join("aside");
    fs::rename(kit.path(SECOND), &aside).unwrap();
    fs::write(kit.path(FIRST), &old).unwrap();
    let earlier = Kit { clock: Arc::new(ManualClock::at(evening())), ..kit };
    let (log, _) = earlier.open();
    let who = asked_by("b");
    for _ in 0..3 {
        log.append(&read_of(&who, "another history")).unwrap();
    }
    drop(log);
    fs::rename(&aside, earlier.path(SECOND)).unwrap();
    let found = first_break(&earlier, head);
    assert_eq!((found.file.as_str(), found.line, found.kind), (SECOND, 1, BreakKind::Changed));
    assert!(earlier.refusal().contains(FIRST), "a start looks at the end of the segment before");
}

#[test]
fn another_key_or_another_vault_is_refused() {
    let (kit, head) = story();
    assert!(verify(&kit.directory(), &MacKey::new(&[4; 32]), VAULT, Some(head)).is_err());
    assert!(verify(&kit.directory(), &key(), [8; 16], Some(head)).is_err());
    let options = Options { vault: [8; 16], ..kit.options() };
    assert!(Log::open(options).is_err());
}

#[test]
fn nothing_is_shown_from_beyond_a_break() {
    let (kit, _) = story();
    let (log, _) = kit.open();
    let path = kit.path(SECOND);
    let changed = fs::read_to_string(&path).unwrap().replacen("acme", "evil", 2);
    fs::write(&path, changed).unwrap();
    let error = log.query(&super::super::Filter::default(), 0, 100).unwrap_err();
    assert!(error.to_string().contains("2026-11-22.0002.jsonl line 2"), "{error}");
    assert!(log.query(&super::super::Filter::default(), 0, 6).is_ok());
}
