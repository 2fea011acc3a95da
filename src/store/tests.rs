//! What every store does alike: one table of behaviours, run over each.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use super::embedded::{EmbeddedStore, Options};
use super::memory::MemoryStore;
use super::*;
use crate::clock::ManualClock;
use crate::crypto::mac::MacKey;

struct NoAudit;

impl Witness for NoAudit {
    fn durable_head(&self) -> Mark {
        Mark::START
    }
}

fn over_each(behaviour: fn(&dyn Store)) {
    behaviour(&MemoryStore::new());
    let scratch = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(UNIX_EPOCH));
    let directory = scratch.path().join("state");
    let mut options =
        Options::new(directory, [1; 16], MacKey::new(&[2; 32]), Arc::new(NoAudit), Mark::START, clock);
    options.segment_bytes = 2 << 20;
    behaviour(&EmbeddedStore::open(options).unwrap().0);
}

fn commit(store: &dyn Store, batch: Batch) -> Result<Mark, CommitError> {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(store.commit(batch))
}

fn key(table: u8, number: u8) -> Key {
    let mut key = [0; KEY_LENGTH];
    key[0] = table;
    key[KEY_LENGTH - 1] = number;
    Key(key)
}

fn batch(preconditions: &[Precondition], changes: &[Change]) -> Batch {
    Batch { preconditions: preconditions.to_vec(), changes: changes.to_vec(), note: b"note".to_vec() }
}

fn value(store: &dyn Store, key: Key) -> Option<Vec<u8>> {
    store.read(&key).unwrap().map(|record| record.value.to_vec())
}

#[test]
fn a_batch_is_applied_whole_and_its_records_carry_its_sequence() {
    over_each(|store| {
        let (a, b) = (key(1, 1), key(1, 2));
        let first =
            commit(store, batch(&[], &[Change::Put(a, b"a".into()), Change::Put(b, b"b".into())])).unwrap();
        let second = commit(store, batch(&[], &[Change::Delete(a), Change::Put(b, b"c".into())])).unwrap();
        assert_eq!((first.sequence, second.sequence), (1, 2));
        assert_ne!(first.chain, second.chain);
        assert_eq!(value(store, a), None);
        assert_eq!(store.read(&b).unwrap().unwrap().revision, 2);
        let Health { state, records, head, .. } = store.health();
        assert_eq!((state, records, head), (State::Ok, 1, second));
    });
}

#[test]
fn a_batch_whose_precondition_does_not_hold_leaves_no_trace() {
    over_each(|store| {
        let (a, b) = (key(1, 1), key(1, 2));
        let put_b = [Change::Put(b, b"b".into())];
        let first = commit(store, batch(&[Precondition::Absent(a)], &[Change::Put(a, b"a".into())])).unwrap();
        for broken in [
            Precondition::Absent(a),
            Precondition::Unchanged(a, first.sequence + 1),
            Precondition::Unchanged(b, first.sequence),
        ] {
            let holds = Precondition::Unchanged(a, first.sequence);
            assert_eq!(
                commit(store, batch(&[holds, broken], &put_b)),
                Err(CommitError::Conflict),
                "{broken:?}"
            );
        }
        assert_eq!(value(store, b), None);
        assert_eq!(store.health().head, first);
        let holds = [Precondition::Unchanged(a, first.sequence), Precondition::Absent(b)];
        assert_eq!(commit(store, batch(&holds, &put_b)).unwrap().sequence, 2);
    });
}

#[test]
fn a_later_change_of_the_same_key_wins() {
    over_each(|store| {
        let a = key(1, 1);
        let changes = [Change::Put(a, b"one".into()), Change::Delete(a), Change::Put(a, b"two".into())];
        commit(store, batch(&[], &changes)).unwrap();
        assert_eq!(value(store, a), Some(b"two".to_vec()));
        assert_eq!(store.health().records, 1);
        commit(store, batch(&[], &[Change::Put(a, b"three".into()), Change::Delete(a)])).unwrap();
        assert_eq!((value(store, a), store.health().records), (None, 0));
    });
}

#[test]
fn a_batch_without_changes_takes_its_place_too() {
    over_each(|store| {
        assert_eq!(commit(store, Batch::default()).unwrap().sequence, 1);
        assert_eq!(store.health().records, 0);
    });
}

#[test]
fn a_batch_larger_than_a_record_is_refused_and_one_as_large_is_taken() {
    over_each(|store| {
        let of = |length: usize| batch(&[], &[Change::Put(key(1, 1), vec![1; length])]);
        let room = journal::record::MOST - journal::record::length(&of(0));
        assert_eq!(commit(store, of(room + 1)), Err(CommitError::TooLarge));
        assert_eq!(store.health().state, State::Ok);
        commit(store, of(room)).unwrap();
        assert_eq!(value(store, key(1, 1)).unwrap().len(), room);
    });
}

#[test]
fn a_scan_stays_in_its_prefix_in_order_and_goes_on_after_a_key() {
    over_each(|store| {
        let all: Vec<Key> =
            [(0, 0), (1, 0), (1, 1), (1, 255), (2, 0), (255, 255)].map(|(t, n)| key(t, n)).into();
        let changes: Vec<Change> = all.iter().rev().map(|key| Change::Put(*key, vec![key.0[0]])).collect();
        commit(store, batch(&[], &changes)).unwrap();
        let scan = |prefix: &[u8], after: Option<Key>, most| -> Vec<Key> {
            store.scan(prefix, after.as_ref(), most).unwrap().into_iter().map(|(key, _)| key).collect()
        };
        assert_eq!(scan(&[], None, 100), all);
        assert_eq!(scan(&[1], None, 100), all[1..4]);
        assert_eq!(scan(&[1], None, 2), all[1..3]);
        assert_eq!(scan(&[1], Some(all[2]), 100), all[3..4]);
        assert_eq!(scan(&[1], Some(all[0]), 100), all[1..4]);
        assert_eq!(scan(&[1], Some(all[4]), 100), []);
        assert_eq!(scan(&[3], None, 100), []);
        assert_eq!(scan(&all[3].0, None, 100), all[3..4]);
        assert_eq!(scan(&[1; 34], None, 100), []);
    });
}

#[test]
fn a_closed_store_takes_nothing_more() {
    over_each(|store| {
        commit(store, batch(&[], &[Change::Put(key(1, 1), b"a".into())])).unwrap();
        store.close();
        assert!(matches!(commit(store, Batch::default()), Err(CommitError::Failed(_))));
        assert_eq!(value(store, key(1, 1)), Some(b"a".to_vec()));
    });
}

#[test]
fn the_one_in_memory_fills_up_and_fails_when_told() {
    let store = MemoryStore::new();
    store.fill();
    assert_eq!(commit(&store, Batch::default()), Err(CommitError::Full));
    store.make_room();
    commit(&store, Batch::default()).unwrap();
    store.fail("on purpose");
    store.make_room();
    assert_eq!(commit(&store, Batch::default()), Err(CommitError::Failed("on purpose".into())));
    assert_eq!(store.health().state, State::Failed("on purpose".into()));
}
