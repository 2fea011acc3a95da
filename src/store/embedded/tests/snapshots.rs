//! Snapshots and what goes once they are there: whatever is damaged or missing, the same records or a refusal.

use std::collections::BTreeMap;

use super::*;
use crate::store::snapshot;

pub(super) fn short(place: &Place, expected: Mark) -> Options {
    Options { snapshot_after: 100 << 10, ..place.options(expected) }
}

pub(super) fn open(place: &Place, expected: Mark) -> (EmbeddedStore, Opened) {
    EmbeddedStore::open(short(place, expected)).unwrap()
}

pub(super) fn firsts(place: &Place) -> Vec<u64> {
    let names = fs::read_dir(place.directory().join("journal")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut firsts: Vec<u64> =
        names.filter_map(|name| crate::store::journal::segment::first_in_name(&name)).collect();
    firsts.sort_unstable();
    firsts
}

pub(super) fn without_index(place: &Place) {
    fs::remove_dir_all(place.directory().join("index")).unwrap();
}

/// A store that has two snapshots, has let go of segments, and has records after both.
pub(super) fn worn(place: &Place) -> (Held, Mark) {
    let (store, _) = open(place, Mark::START);
    fill(&store, 1000);
    let older = wait(store.snapshot()).unwrap();
    fill(&store, 600);
    let newer = wait(store.snapshot()).unwrap();
    assert!(newer.at.sequence > older.at.sequence);
    until("segments go", || firsts(place)[0] > 1);
    let last = *fill(&store, 30).last().unwrap();
    (everything(&store), last)
}

#[test]
fn a_snapshot_is_the_store_at_one_record() {
    let place = Place::new();
    let (store, _) = open(&place, Mark::START);
    fill(&store, 150);
    let (held, health) = (everything(&store), store.health());
    let made = wait(store.snapshot()).unwrap();
    assert_eq!((made.at, made.tally.records), (health.head, health.records));
    let identity = Identity::new([7; 16], &MacKey::new(&[9; 32])).unwrap();
    let mut reader = snapshot::Reader::open(&made.path, &identity).unwrap();
    let mut found = Held::new();
    while let Some((key, record)) = reader.next().unwrap() {
        found.push((key, record.revision, record.value.to_vec()));
    }
    assert_eq!(found, held);
    assert_eq!(wait(store.snapshot()).unwrap(), made, "nothing was written since");
    wait(store.commit(put(7, b"more"))).unwrap();
    assert_eq!(wait(store.snapshot()).unwrap().at, store.health().head);
}

#[test]
fn a_snapshot_of_a_store_that_is_written_to_holds_all_that_was_durable_before() {
    let place = Place::new();
    let (store, _) = open(&place, Mark::START);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for writer in 0..4_u64 {
            let (store, stop) = (&store, &stop);
            scope.spawn(move || {
                let mut count = 0_u64;
                while !stop.load(Ordering::Relaxed) {
                    count += 1;
                    wait(store.commit(put(writer, &count.to_le_bytes()))).unwrap();
                }
            });
        }
        for _ in 0..20 {
            let before = store.health().head;
            until("more is written", || store.health().head.sequence > before.sequence);
            let head = store.health().head;
            assert!(wait(store.snapshot()).unwrap().at.sequence >= head.sequence);
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(store.standing().made > 1, "{:?}", store.standing());
}

#[test]
fn a_worn_store_comes_back_with_and_without_its_index() {
    let place = Place::new();
    let (held, last) = worn(&place);
    let (store, opened) = open(&place, last);
    assert_eq!((opened.rebuilt, everything(&store)), (None, held.clone()));
    drop(store);
    without_index(&place);
    let (store, opened) = open(&place, last);
    assert_eq!(everything(&store), held);
    assert_eq!(opened.rebuilt.as_deref(), Some("there was no index"));
    let next = wait(store.commit(put(99, b"next"))).unwrap();
    drop(store);
    assert_eq!(open(&place, next).1.rebuilt, None);
}

#[test]
fn where_the_newest_snapshot_is_damaged_the_one_before_serves() {
    let place = Place::new();
    let (held, last) = worn(&place);
    let newest = newest(&place);
    let mut bytes = fs::read(&newest).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::write(&newest, &bytes).unwrap();
    without_index(&place);
    let (store, _) = open(&place, last);
    assert_eq!(everything(&store), held);
    until("the damaged one is set aside", || !newest.exists());
    wait(store.snapshot()).unwrap();
    assert_eq!(store.standing().snapshots.len(), 2);
}

pub(super) fn newest(place: &Place) -> PathBuf {
    let mut names: Vec<PathBuf> = fs::read_dir(place.directory().join("snapshots"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    names.sort();
    names.pop().unwrap()
}

#[test]
fn where_no_snapshot_is_whole_the_index_still_serves_and_without_it_the_place_is_named() {
    let place = Place::new();
    let (held, last) = worn(&place);
    let directory = place.directory().join("snapshots");
    let mut damaged = Vec::new();
    for entry in fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        let at = bytes.len() - 60;
        bytes[at] ^= 1;
        fs::write(&path, &bytes).unwrap();
        damaged.push((path, bytes));
    }
    copy(&place.directory(), &place.scratch.path().join("copy"));
    let (store, opened) = open(&place, last);
    assert_eq!((opened.rebuilt, everything(&store)), (None, held.clone()));
    // Of its own index it makes one that needs none of those before.
    until("a snapshot of the index", || store.standing().snapshots.len() == 1);
    drop(store);
    without_index(&place);
    assert_eq!(everything(&open(&place, last).0), held);
    fs::remove_dir_all(place.directory()).unwrap();
    copy(&place.scratch.path().join("copy"), &place.directory());
    without_index(&place);
    let refused = match EmbeddedStore::open(short(&place, last)) {
        Err(OpenError::Damaged { file, offset, what }) => (file, offset, what),
        other => panic!("{:?}", other.map(|_| ())),
    };
    assert!(damaged.iter().any(|(path, _)| *path == refused.0), "{refused:?}");
    assert!(refused.1 > 0 && refused.2.contains("the journal alone begins with record"), "{refused:?}");
    for (path, bytes) in damaged {
        assert_eq!(fs::read(path).unwrap(), bytes, "the evidence was changed");
    }
}

#[test]
fn nothing_goes_that_no_backup_has() {
    let place = Place::new();
    let options = Options { retention: Retention::BackedUp, ..short(&place, Mark::START) };
    let (store, _) = EmbeddedStore::open(options).unwrap();
    fill(&store, 600);
    let older = wait(store.snapshot()).unwrap();
    fill(&store, 600);
    wait(store.snapshot()).unwrap();
    thread::sleep(Duration::from_secs(5));
    assert_eq!(firsts(&place)[0], 1);
    store.backed_up(older.at.sequence / 2);
    let watermark = older.at.sequence / 2;
    until("those go that a backup has", || firsts(&place)[1] > watermark + 1);
    thread::sleep(Duration::from_secs(3));
    assert!(firsts(&place)[0] <= watermark + 1, "all that was not backed up is there");
}

#[test]
fn a_snapshot_alone_is_a_store_that_goes_on() {
    let place = Place::new();
    let (store, _) = open(&place, Mark::START);
    fill(&store, 300);
    let made = wait(store.snapshot()).unwrap();
    let held = everything(&store);
    drop(store);
    without_index(&place);
    for first in firsts(&place) {
        fs::remove_file(place.segment(first)).unwrap();
    }
    let refused = place.refuses(Mark { sequence: made.at.sequence + 1, chain: [1; 32] });
    assert!(refused.to_string().contains("there is no journal"), "{refused}");
    let (store, _) = open(&place, made.at);
    assert_eq!(everything(&store), held);
    let next = wait(store.commit(put(1, b"on"))).unwrap();
    assert_eq!(next.sequence, made.at.sequence + 1);
    drop(store);
    without_index(&place);
    let (store, _) = open(&place, next);
    assert_eq!(&store.read(&key(1)).unwrap().unwrap().value[..], b"on");
}

#[test]
fn a_journal_shorter_than_a_snapshot_is_refused() {
    let place = Place::new();
    let (store, _) = open(&place, Mark::START);
    let marks = fill(&store, 100);
    wait(store.snapshot()).unwrap();
    drop(store);
    let path = place.segment(1);
    let bytes = fs::read(&path).unwrap();
    let mut at = RECORDS_AT;
    for _ in 0..50 {
        at += record::decode(&bytes[at..]).unwrap().length;
    }
    let mut cut = bytes.clone();
    cut[at..].fill(0);
    fs::write(&path, cut).unwrap();
    let refused = place.refuses(marks[10]);
    assert!(refused.to_string().contains("a snapshot holds record"), "{refused}");
}

/// All that there is, a few records at a time.
fn in_pages(store: &dyn Store) -> Vec<(Key, Vec<u8>)> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = store.scan(&[3], after.as_ref(), 11).unwrap();
        let Some((last, _)) = page.last() else { return found };
        after = Some(*last);
        found.extend(page.into_iter().map(|(key, record)| (key, record.value.to_vec())));
    }
}

/// Random changes over few keys, the index thrown away now and then: always what a plain map says.
#[test]
fn folded_again_and_again_it_is_what_was_written() {
    let place = Place::new();
    let mut model: BTreeMap<Key, Vec<u8>> = BTreeMap::new();
    let (mut state, mut expected) = (0x9e37_79b9_u64, Mark::START);
    let mut random = move || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    };
    for round in 0..12 {
        let (store, _) = open(&place, expected);
        let held: Vec<(Key, Vec<u8>)> =
            everything(&store).into_iter().map(|(key, _, value)| (key, value)).collect();
        assert_eq!(held, model.clone().into_iter().collect::<Vec<_>>(), "round {round}");
        for turn in 0..200 {
            let changes: Vec<Change> = (0..1 + random() % 6)
                .map(|_| match (random() % 4, key(random() % 300)) {
                    (0, key) => Change::Delete(key),
                    (_, key) => Change::Put(key, vec![random() as u8; (random() % 900) as usize]),
                })
                .collect();
            for change in &changes {
                match change {
                    Change::Delete(key) => drop(model.remove(key)),
                    Change::Put(key, value) => drop(model.insert(*key, value.clone())),
                }
            }
            expected = wait(store.commit(Batch { changes, ..Batch::default() })).unwrap();
            if turn % 7 == 0 {
                // While the index is behind, too.
                assert_eq!(in_pages(&store), model.clone().into_iter().collect::<Vec<_>>(), "turn {turn}");
            }
        }
        if round % 3 == 1 {
            wait(store.snapshot()).unwrap();
        }
        drop(store);
        if round % 2 == 0 {
            without_index(&place);
        }
    }
    let (store, _) = open(&place, expected);
    wait(store.commit(put(999, b"new"))).unwrap();
    wait(store.snapshot()).unwrap();
    until("segments go", || firsts(&place)[0] > 1);
    assert_eq!(everything(&store).len(), model.len() + 1);
}
