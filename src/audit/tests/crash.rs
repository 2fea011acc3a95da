//! What a crash leaves is mended; what damage leaves is refused.
//!
//! Never mistakes one for the other.

use super::*;

/// A closed log of one segment with six lines; its file, and its head.
fn short() -> (Kit, PathBuf, Mark) {
    let kit = Kit::new();
    let (log, _) = kit.open();
    let head = append(&log, 5);
    drop(log);
    let path = kit.path(&kit.files()[0]);
    (kit, path, head)
}

#[test]
fn a_torn_last_line_is_cut_off_wherever_it_is_torn() {
    let (kit, path, head) = short();
    let genuine = fs::read(&path).unwrap();
    let last = lines(&path).pop().unwrap().len() + 1;
    for left in 1..last {
        fs::write(&path, &genuine[..genuine.len() - last + left]).unwrap();
        let (log, opened) = kit.open();
        let torn = opened.torn.unwrap();
        assert_eq!((torn.line, torn.bytes, opened.head.sequence), (6, left as u64, head.sequence - 1));
        assert_eq!(append(&log, 1).sequence, head.sequence);
        log.verify().unwrap();
    }
}

#[test]
fn blocks_that_were_never_written_are_cut_off() {
    let (kit, path, head) = short();
    let genuine = fs::read(&path).unwrap();
    let third = genuine.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(2).unwrap().0 + 1;
    // A hole at the end; one in the middle with a later block that made it; one from the start of a line.
    for hole in [third + 20..genuine.len(), third + 20..third + 600, third..third + 40] {
        let mut left = genuine.clone();
        left[hole.clone()].fill(0);
        fs::write(&path, &left).unwrap();
        let (log, opened) = kit.open();
        assert_eq!(opened.head.sequence, 3, "{hole:?}");
        assert_eq!(opened.torn.unwrap().bytes, (genuine.len() - third) as u64);
        assert!(!log.contains(head).unwrap(), "if more than a crash took was cut, the witness tells");
        append(&log, 2);
        log.verify().unwrap();
    }
}

#[test]
fn a_whole_line_that_does_not_verify_is_damage() {
    let (kit, path, _) = short();
    let genuine = fs::read_to_string(&path).unwrap();
    fs::write(&path, genuine.replacen("request-2", "request-3", 1)).unwrap();
    let refusal = kit.refusal();
    assert!(refusal.contains("2026-11-21.0001.jsonl line 4"), "{refusal}");
    let last = genuine.replacen("request-4", "request-5", 1);
    fs::write(&path, last).unwrap();
    assert!(kit.refusal().contains("line 6"), "also the last one, where its end is there");
}

#[test]
fn a_segment_that_was_never_born_is_cleared_away() {
    let (kit, _, head) = short();
    fs::write(kit.path("segment.new"), b"{\"seq\":7,\"at\"").unwrap();
    let (log, opened) = kit.open();
    assert_eq!((opened.head, opened.torn), (head, None));
    kit.clock.advance(Duration::from_secs(86_400));
    append(&log, 1);
    assert_eq!(kit.files(), ["2026-11-21.0001.jsonl", "2026-11-22.0002.jsonl"]);
    log.verify().unwrap();
}
