//! Days, sizes, clocks: when a segment ends, and how the next one hangs on it.
//!
//! Never sleeps.

use super::*;

const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn each_day_has_its_own_segment() {
    let kit = Kit::new();
    let (log, _) = kit.open();
    let journal = Some(Mark { sequence: 5, chain: [5; 32] });
    let who = asked_by("b");
    let first = log.append(&Entry { journal, ..read_of(&who, "r") }).unwrap();
    kit.clock.advance(DAY);
    let second = append(&log, 2);
    kit.clock.advance(3 * DAY);
    append(&log, 2);
    assert_eq!(kit.files(), ["2026-11-21.0001.jsonl", "2026-11-22.0002.jsonl", "2026-11-25.0003.jsonl"]);
    let opening: serde_json::Value =
        serde_json::from_str(&lines(&kit.path("2026-11-25.0003.jsonl"))[0]).unwrap();
    assert_eq!((&opening["kind"], &opening["seq"]), (&"segment".into(), &6.into()));
    assert_eq!(opening["previous"]["file"], "2026-11-22.0002.jsonl");
    let last = &lines(&kit.path("2026-11-22.0002.jsonl"))[2];
    assert!(last.ends_with(&format!("{}\"}}", opening["previous"]["mac"].as_str().unwrap())));
    assert_eq!(opening["journal"]["sequence"], 5, "a start needs no earlier one");
    assert_eq!((log.verify().unwrap().entries, log.verify().unwrap().files), (8, 3));
    drop(log);
    let (log, opened) = kit.open();
    assert_eq!(Some(opened.journal), journal);
    for mark in [first, second, opened.head, Mark::START] {
        assert!(log.contains(mark).unwrap(), "{}", mark.sequence);
        assert!(!log.contains(Mark { chain: [1; 32], ..mark }).unwrap());
    }
    assert!(!log.contains(Mark { sequence: 9, ..first }).unwrap(), "not there yet");
}

/// The later change is written down, the day ends, and the crash comes before the earlier one is.
#[test]
fn whoever_was_overtaken_across_the_end_of_a_segment_is_named() {
    let kit = Kit::new();
    let who = asked_by("b");
    let change = |log: &Log, sequence| {
        let journal = Some(Mark { sequence, chain: [u8::try_from(sequence).unwrap(); 32] });
        log.append(&Entry { journal, ..read_of(&who, "r") }).unwrap();
    };
    let (log, _) = kit.open();
    [1, 2, 4, 6].iter().for_each(|sequence| change(&log, *sequence));
    kit.clock.advance(DAY);
    [7, 3].iter().for_each(|sequence| change(&log, *sequence));
    drop(log);
    let (log, opened) = kit.open();
    assert_eq!((opened.journal.sequence, opened.overtaken), (7, vec![5]));
    change(&log, 5);
    kit.clock.advance(DAY);
    append(&log, 1);
    drop(log);
    assert!(kit.open().1.overtaken.is_empty());
    assert_eq!(kit.files().len(), 3);
}

#[test]
fn a_full_segment_is_followed_by_the_next() {
    let kit = Kit { segment_most: 1500, ..Kit::new() };
    let (log, _) = kit.open();
    append(&log, 20);
    let files = kit.files();
    assert!(files.len() >= 4, "{files:?}");
    assert_eq!(files[3], "2026-11-21.0004.jsonl");
    for file in &files {
        assert!(fs::metadata(kit.path(file)).unwrap().len() < 2500);
    }
    assert_eq!(log.verify().unwrap().files, files.len() as u64);
}

#[test]
fn the_day_never_goes_back_when_the_clock_does() {
    let kit = Kit { segment_most: 3000, ..Kit::new() };
    let (log, _) = kit.open();
    append(&log, 1);
    drop(log);
    let behind = Kit { clock: Arc::new(ManualClock::at(evening() - 2 * DAY)), ..kit };
    let (log, _) = behind.open();
    append(&log, 20);
    let files = behind.files();
    assert!(files.len() > 1 && files.iter().all(|file| file.starts_with("2026-11-21.")), "{files:?}");
    let line: serde_json::Value = serde_json::from_str(&log.last(1).unwrap().entries[0]).unwrap();
    assert_eq!(line["at"], "2026-11-19T18:00:00.000000Z", "the clock is quoted as it is");
    log.verify().unwrap();
}

#[test]
fn files_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let kit = Kit::new();
    drop(kit.open());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    let file = kit.path(&kit.files()[0]);
    assert_eq!((mode(&kit.directory()), mode(&file)), (0o700, 0o600));
    for path in [&file, &kit.directory()] {
        let before = fs::metadata(path).unwrap().permissions();
        fs::set_permissions(path, fs::Permissions::from_mode(0o750)).unwrap();
        assert!(kit.refusal().contains("chmod"));
        fs::set_permissions(path, before).unwrap();
    }
    kit.open();
}

#[test]
fn the_opening_carries_the_newest_journal_mark_not_the_last() {
    let kit = Kit::new();
    let (log, _) = kit.open();
    let who = asked_by("b");
    let newest = Mark { sequence: 12, chain: [2; 32] };
    for mark in [newest, Mark { sequence: 11, chain: [1; 32] }] {
        log.append(&Entry { journal: Some(mark), ..read_of(&who, "change") }).unwrap();
    }
    kit.clock.advance(DAY);
    append(&log, 1);
    drop(log);
    assert_eq!(kit.open().1.journal, newest);
}
