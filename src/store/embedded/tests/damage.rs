//! Torn tails are forgiven, damage is not: every byte of a last group, every kind of harm to what was acknowledged.

use super::*;
use crate::store::journal::walk::{Segment, Walk};

/// A journal whose last records are beyond `expected`, and the borders of its records.
struct Torn {
    place: Place,
    expected: Mark,
    borders: Vec<usize>,
    bytes: Vec<u8>,
}

fn torn() -> Torn {
    let place = Place::new();
    let (store, _) = place.open(Mark::START);
    let marks = fill(&store, 12);
    drop(store);
    let bytes = fs::read(place.segment(1)).unwrap();
    let mut borders = vec![RECORDS_AT];
    while let Ok(decoded) = record::decode(&bytes[*borders.last().unwrap()..]) {
        borders.push(borders.last().unwrap() + decoded.length);
    }
    assert_eq!(borders.len(), 13);
    Torn { place, expected: marks[8], borders, bytes }
}

impl Torn {
    /// How far a walk gets over these bytes.
    fn reach(&self, bytes: &[u8]) -> u64 {
        let path = self.place.scratch.path().join("torn.journal");
        fs::write(&path, bytes).unwrap();
        let identity = Identity::new([7; 16], &MacKey::new(&[9; 32])).unwrap();
        let segments = [Segment { path, before: Mark::START }];
        let mut walk = Walk::new(&identity, &segments, None).unwrap();
        while walk.next().unwrap().is_some() {}
        walk.end().mark.sequence
    }

    fn whole(&self, end: usize) -> u64 {
        u64::try_from(self.borders.iter().filter(|border| **border <= end).count() - 1).unwrap()
    }

    /// Opens over these bytes: with all that is whole, and fit to go on.
    fn opens(&self, bytes: &[u8], whole: u64) {
        fs::write(self.place.segment(1), bytes).unwrap();
        let (store, opened) = self.place.open(self.expected);
        assert_eq!(store.health().head.sequence, whole);
        assert_eq!(opened.unwitnessed.len() as u64, whole - self.expected.sequence);
        let next = wait(store.commit(put(99, b"next"))).unwrap();
        drop(store);
        let (store, opened) = self.place.open(next);
        assert_eq!(opened.rebuilt, None);
        assert_eq!(&store.read(&key(99)).unwrap().unwrap().value[..], b"next");
    }
}

#[test]
fn a_tail_torn_at_any_byte_ends_at_the_last_whole_record() {
    let torn = torn();
    let (start, end) = (torn.borders[9], torn.borders[12]);
    for at in start..end {
        let mut zeroed = torn.bytes.clone();
        zeroed[at..].fill(0);
        // The checksum's own last bytes may be zeros.
        let whole = if zeroed == torn.bytes { 12 } else { torn.whole(at) };
        assert_eq!(torn.reach(&zeroed), whole, "zeros from {at}");
        assert_eq!(torn.reach(&torn.bytes[..at]), torn.whole(at), "cut at {at}");
    }
}

#[test]
fn a_store_with_a_torn_tail_opens_and_goes_on() {
    let torn = torn();
    let (start, end) = (torn.borders[9], torn.borders[12]);
    for at in
        [start, start + 1, start + 50, torn.borders[10] - 1, torn.borders[11], torn.borders[11] + 3, end - 1]
    {
        let mut zeroed = torn.bytes.clone();
        zeroed[at..].fill(0);
        torn.opens(&zeroed, torn.whole(at));
    }
}

#[test]
fn stale_records_behind_a_torn_one_never_come_back() {
    let torn = torn();
    for hole in [torn.borders[9]..torn.borders[9] + 4, torn.borders[10] + 150..torn.borders[10] + 180] {
        let mut holed = torn.bytes.clone();
        holed[hole.clone()].fill(0);
        torn.opens(&holed, torn.whole(hole.start));
        let after = fs::read(torn.place.segment(1)).unwrap();
        let mut at = RECORDS_AT;
        while let Ok(decoded) = record::decode(&after[at..]) {
            at += decoded.length;
        }
        assert!(after[at..].iter().all(|byte| *byte == 0), "something is left behind {at}");
    }
}

#[test]
fn any_flipped_bit_in_what_was_acknowledged_is_named_with_file_and_place() {
    let torn = torn();
    let acknowledged = torn.borders[..=9].to_vec();
    for window in acknowledged.windows(2) {
        for at in [window[0], window[0] + 5, window[0] + 70, window[1] - 40, window[1] - 1] {
            let mut flipped = torn.bytes.clone();
            flipped[at] ^= 0x10;
            fs::write(torn.place.segment(1), &flipped).unwrap();
            let error = torn.place.refuses(torn.expected);
            let OpenError::Damaged { file, offset, .. } = &error else { panic!("{error}") };
            assert_eq!((file, *offset), (&torn.place.segment(1), window[0] as u64), "{error}");
            assert!(error.to_string().contains("restore from a backup"));
            assert_eq!(fs::read(torn.place.segment(1)).unwrap(), flipped, "the evidence was changed");
        }
    }
}

#[test]
fn a_tail_cut_off_below_what_the_audit_log_has_seen_is_refused() {
    let torn = torn();
    for at in [torn.borders[9] - 1, torn.borders[8], torn.borders[3] + 7, RECORDS_AT] {
        let mut zeroed = torn.bytes.clone();
        zeroed[at..].fill(0);
        for bytes in [&zeroed[..], &torn.bytes[..at]] {
            fs::write(torn.place.segment(1), bytes).unwrap();
            let error = torn.place.refuses(torn.expected);
            assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
        }
    }
}

#[test]
fn a_journal_that_the_audit_log_does_not_know_is_refused() {
    let torn = torn();
    let other = Mark { chain: [1; 32], ..torn.expected };
    assert!(matches!(torn.place.refuses(other), OpenError::Damaged { .. }));
    let beyond = Mark { sequence: 13, chain: [1; 32] };
    assert!(matches!(torn.place.refuses(beyond), OpenError::Damaged { .. }));
    fs::remove_dir_all(torn.place.directory()).unwrap();
    assert!(matches!(torn.place.refuses(torn.expected), OpenError::Damaged { .. }));
}

#[test]
fn a_forged_record_is_refused_even_in_the_tail() {
    let torn = torn();
    let mut forged = torn.bytes.clone();
    let (start, end) = (torn.borders[11], torn.borders[12]);
    forged[start + 100] ^= 1;
    let checksum = crc32c::crc32c(&forged[start..end - 4]).to_le_bytes();
    forged[end - 4..end].copy_from_slice(&checksum);
    fs::write(torn.place.segment(1), &forged).unwrap();
    let error = torn.place.refuses(torn.expected);
    let OpenError::Damaged { offset, .. } = error else { panic!("{error}") };
    assert_eq!(offset, start as u64);
}

fn many_segments() -> (Place, Mark, Vec<u64>) {
    let place = Place::new();
    let (store, _) = place.open(Mark::START);
    let last = *fill(&store, 600).last().unwrap();
    drop(store);
    let names = fs::read_dir(place.directory().join("journal")).unwrap();
    let first = |name: &str| crate::store::journal::segment::first_in_name(name);
    let mut firsts: Vec<u64> =
        names.filter_map(|entry| first(entry.unwrap().file_name().to_str()?)).collect();
    firsts.sort_unstable();
    (place, last, firsts)
}

#[test]
fn a_missing_or_foreign_segment_is_refused() {
    let (place, last, firsts) = many_segments();
    let spare = place.scratch.path().join("spare");
    copy(&place.directory().join("journal"), &spare);
    // Without the first one a sound index serves, and a snapshot is made of it; that the journal lacks a part is told.
    copy(&place.directory(), &place.scratch.path().join("whole"));
    for first in [firsts[0], *firsts.last().unwrap()] {
        fs::remove_dir_all(place.directory().join("index")).unwrap();
        fs::remove_file(place.segment(first)).unwrap();
        assert!(matches!(place.refuses(last), OpenError::Damaged { .. }), "without segment {first}");
        fs::remove_dir_all(place.directory()).unwrap();
        copy(&place.scratch.path().join("whole"), &place.directory());
    }
    fs::remove_file(place.segment(*firsts.last().unwrap())).unwrap();
    assert!(matches!(place.refuses(last), OpenError::Damaged { .. }), "without the last segment");
    copy(&spare, &place.directory().join("journal"));
    // One from the middle is missed by whoever reads all: where the journal does not go on, not where it starts again.
    fs::remove_file(place.segment(firsts[1])).unwrap();
    fs::remove_dir_all(place.directory().join("index")).unwrap();
    let error = place.refuses(last);
    let OpenError::Damaged { file, .. } = &error else { panic!("{error}") };
    assert_eq!(*file, place.segment(firsts[0]), "{error}");
    copy(&spare, &place.directory().join("journal"));
    fs::copy(place.segment(firsts[1]), place.segment(firsts[2])).unwrap();
    assert!(matches!(place.refuses(last), OpenError::Damaged { .. }));
    copy(&spare, &place.directory().join("journal"));
    place.open(last);
    let mut options = place.options(last);
    options.vault = [8; 16];
    assert!(matches!(EmbeddedStore::open(options), Err(OpenError::Damaged { offset: 0, .. })));
}

#[test]
fn damage_in_an_older_segment_is_found_after_the_start() {
    let (place, last, firsts) = many_segments();
    let harmed = place.segment(firsts[1]);
    let mut bytes = fs::read(&harmed).unwrap();
    bytes[RECORDS_AT + 100] ^= 1;
    fs::write(&harmed, bytes).unwrap();
    let (store, _) = place.open(last);
    let mut watch = store.watch();
    wait(watch.wait_for(|state| matches!(state, State::Failed(_)))).unwrap();
    let State::Failed(why) = store.health().state else { panic!("not failed") };
    assert!(why.contains(harmed.to_str().unwrap()) && why.contains(&format!("byte {RECORDS_AT}")), "{why}");
    assert!(matches!(wait(store.commit(put(1, b"x"))), Err(CommitError::Failed(_))));
    drop(store);
    // With the index gone nothing can be served from such a journal.
    fs::remove_dir_all(place.directory().join("index")).unwrap();
    assert!(matches!(place.refuses(last), OpenError::Damaged { .. }));
}

#[test]
fn a_segment_that_the_older_snapshot_needs_is_missed() {
    let place = Place::new();
    let (store, _) = place.open(Mark::START);
    for _ in 0..2 {
        fill(&store, 600);
        wait(store.snapshot()).unwrap();
    }
    let last = *fill(&store, 30).last().unwrap();
    let held = everything(&store);
    drop(store);
    let told = |store: &EmbeddedStore| {
        until("the snapshots are read", || store.standing().snapshots.len() == 2);
        store.standing().damage
    };
    let (store, _) = place.open(last);
    assert_eq!(told(&store), None);
    let [older, newest] = [0, 1].map(|at| store.standing().snapshots[at].at.sequence);
    drop(store);
    let firsts: Vec<u64> = snapshots::firsts(&place).into_iter().filter(|first| *first > older).collect();
    for gone in snapshots::firsts(&place).into_iter().filter(|first| *first <= older) {
        fs::remove_file(place.segment(gone)).unwrap();
    }
    assert!(firsts[0] > older + 1 && firsts[0] <= newest + 1, "{firsts:?}, {older}, {newest}");
    let (store, _) = place.open(last);
    assert_eq!(everything(&store), held);
    let why = told(&store).expect("it is told");
    assert!(why.contains(place.segment(firsts[0]).to_str().unwrap()), "{why}");
    // The next one needs nothing of what is gone.
    fill(&store, 30);
    wait(store.snapshot()).unwrap();
    let last = store.health().head;
    drop(store);
    assert_eq!(told(&place.open(last).0), None);
}

#[test]
fn damage_in_an_older_segment_that_a_snapshot_holds_stops_nobody() {
    let (place, last, firsts) = many_segments();
    let (store, _) = place.open(last);
    let snapshot = wait(store.snapshot()).unwrap();
    assert!(snapshot.at.sequence >= last.sequence);
    drop(store);
    let harmed = place.segment(firsts[1]);
    let mut bytes = fs::read(&harmed).unwrap();
    bytes[RECORDS_AT + 100] ^= 1;
    fs::write(&harmed, bytes).unwrap();
    let (store, _) = place.open(last);
    let told = || store.standing().damage;
    let began = std::time::Instant::now();
    while told().is_none() && began.elapsed().as_secs() < 30 {
        std::thread::yield_now();
    }
    let why = told().unwrap();
    assert!(why.contains(harmed.to_str().unwrap()) && !why.contains("restore"), "{why}");
    assert_eq!(store.health().state, State::Ok);
    wait(store.commit(put(1, b"x"))).unwrap();
}
