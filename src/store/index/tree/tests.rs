//! The index in sled against a map: under random changes, opened again, and read while it is changed.

use std::sync::atomic::AtomicU64;

use proptest::prelude::*;

use super::*;
use crate::chain::Mark;
use crate::store::index::memory::Memory;

fn key(number: u16) -> Key {
    let mut key = [0; KEY_LENGTH];
    key[0] = 3;
    key[1..3].copy_from_slice(&number.to_be_bytes());
    Key(key)
}

fn to(revision: u64) -> Pointer {
    Pointer { revision, offset: 7, length: 11, digest: u128::from(revision) << 64 | 5 }
}

fn applied(sequence: u64) -> Applied {
    Applied { mark: Mark { sequence, ..Mark::START }, tally: Tally::default() }
}

fn tally(held: &[(Key, Pointer)]) -> Tally {
    let mut tally = Tally::default();
    held.iter().for_each(|(_, pointer)| tally.add(pointer.digest));
    tally
}

/// Turns of changes: ranges of keys that are written, or go.
fn turns() -> impl Strategy<Value = Vec<Vec<(u16, u16, bool)>>> {
    let change = (0_u16..3000, prop_oneof![3 => 1_u16..4, 1 => 1_u16..700], prop::bool::weighted(0.6));
    prop::collection::vec(prop::collection::vec(change, 0..20), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn it_holds_what_a_map_would_and_still_does_when_it_is_opened_again(turns in turns()) {
        let directory = tempfile::tempdir().unwrap();
        let (mut tree, _) = Tree::open(directory.path(), 1 << 20).unwrap();
        let memory = Memory::default();
        for (turn, changes) in (1_u64..).zip(&turns) {
            let mut updates = std::collections::BTreeMap::new();
            for (from, many, is_put) in changes {
                let pointer = is_put.then(|| to(turn));
                updates.extend((*from..from + many).map(|number| (key(number), pointer)));
            }
            let updates: Vec<Update> = updates.into_iter().collect();
            tree.apply(&updates, &applied(turn)).unwrap();
            memory.apply(&updates, &applied(turn)).unwrap();
            let held = memory.scan(&[], None, usize::MAX).unwrap();
            prop_assert_eq!(&tree.scan(&[], None, usize::MAX).unwrap(), &held);
            for number in (0..3700).step_by(13) {
                prop_assert_eq!(tree.read(&key(number)).unwrap(), memory.read(&key(number)).unwrap());
                let (prefix, after) = (&key(number).0[..2], key(number));
                prop_assert_eq!(
                    tree.scan(prefix, Some(&after), 70).unwrap(),
                    memory.scan(prefix, Some(&after), 70).unwrap()
                );
            }
            let lengths: Vec<usize> = tree.leaves().iter().map(|lowest| {
                let database = tree.database.as_ref().unwrap();
                Leaf::stored(lowest, &stored(database, lowest).unwrap()).unwrap().len()
            }).collect();
            prop_assert!(lengths.iter().all(|length| (1..=MOST).contains(length)), "{:?}", lengths);
            if turn % 3 == 0 {
                tree.flush().unwrap();
                drop(tree);
                let (again, survey) = Tree::open(directory.path(), 1 << 20).unwrap();
                prop_assert_eq!(survey.applied, Some(applied(turn)));
                prop_assert_eq!(survey.tally, tally(&held));
                tree = again;
            }
        }
    }
}

/// Leaves split and are joined under those who read: what nobody touches is found all the while.
#[test]
fn who_reads_meanwhile_misses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (tree, _) = Tree::open(directory.path(), 1 << 20).unwrap();
    let still: Vec<Update> = (0..4000).step_by(40).map(|number| (key(number), Some(to(1)))).collect();
    tree.apply(&still, &applied(1)).unwrap();
    let (done, reads) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                for (key, pointer) in &still {
                    assert_eq!(tree.read(key).unwrap(), *pointer);
                }
                let found = tree.scan(&[], None, usize::MAX).unwrap();
                assert!(
                    still.iter().all(|(key, _)| found.binary_search_by_key(key, |(key, _)| *key).is_ok())
                );
                reads.fetch_add(1, Ordering::Relaxed);
            }
        });
        for turn in 0..60 {
            let (from, is_put) = (turn / 2 * 130 % 3900, turn % 2 == 0);
            let others = (from..4000).filter(|number| number % 40 != 0);
            let updates: Vec<Update> = others.map(|number| (key(number), is_put.then(|| to(2)))).collect();
            tree.apply(&updates, &applied(2)).unwrap();
        }
        while reads.load(Ordering::Relaxed) < 3 {
            thread::yield_now();
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(tree.scan(&[], None, usize::MAX).unwrap().len(), still.len());
}

/// Most keys go, one here and there stays: few leaves are left, and not one for each.
#[test]
fn short_leaves_are_joined() {
    let directory = tempfile::tempdir().unwrap();
    let (tree, _) = Tree::open(directory.path(), 1 << 20).unwrap();
    let all = |pointer: Option<Pointer>, wanted: fn(u16) -> bool| -> Vec<Update> {
        (0..12_000).filter(|number| wanted(*number)).map(|number| (key(number), pointer)).collect()
    };
    tree.apply(&all(Some(to(1)), |_| true), &applied(1)).unwrap();
    let before = tree.leaves().len();
    tree.apply(&all(None, |number| number % 60 != 0), &applied(2)).unwrap();
    let (left, leaves) = (tree.scan(&[], None, usize::MAX).unwrap().len(), tree.leaves().len());
    assert_eq!(left, 200);
    assert!(before > 180 && leaves <= left.div_ceil(LEAST), "{before} leaves, then {leaves}");
}

/// What somebody has written who knows how checksums are made: keys out of order, or twice.
#[test]
fn keys_that_are_not_in_order_are_refused() {
    for (lowest, numbers) in [(1, [1, 3, 2]), (1, [1, 2, 2]), (2, [1, 2, 3]), (1, [1, 2, 9])] {
        let directory = tempfile::tempdir().unwrap();
        let (tree, _) = Tree::open(directory.path(), 1 << 20).unwrap();
        tree.apply(&[(key(8), Some(to(1)))], &applied(1)).unwrap();
        let mut leaf = Leaf::none().with(&[]);
        numbers.iter().for_each(|number| leaf.join(&Leaf::none().with(&[(key(*number), Some(to(1)))])));
        let database = tree.database.as_ref().unwrap();
        // The leaf that is there begins below all of these: in its place there is one that begins with the ninth.
        database.remove(LOWEST.0).unwrap();
        let ninth = Leaf::none().with(&[(key(8), Some(to(1)))]);
        database.insert(key(8).0, ninth.to_stored(&key(8))).unwrap();
        database.insert(key(lowest).0, leaf.to_stored(&key(lowest))).unwrap();
        tree.flush().unwrap();
        drop(tree);
        assert!(Tree::open(directory.path(), 1 << 20).is_err(), "{numbers:?}");
    }
}
