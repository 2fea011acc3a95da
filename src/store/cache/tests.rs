//! The cache against readers that come late.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use super::*;

fn key(number: u8) -> Key {
    Key([number; KEY_LENGTH])
}

fn pointed(revision: u64, value: &[u8]) -> Pointed {
    let length = u32::try_from(value.len()).unwrap();
    let pointer = Pointer { revision, offset: 0, length, digest: 0 };
    Pointed { record: Record { revision, value: value.into() }, pointer }
}

fn record(revision: u64) -> Pointed {
    pointed(revision, &revision.to_le_bytes())
}

#[test]
fn a_reader_that_looked_before_a_change_does_not_store_what_it_saw_after_it() {
    for after in [Some(record(2)), None] {
        let cache = Cache::new(1 << 20);
        let seen = cache.read(&key(1), || {
            // The change comes between the look and the storing.
            cache.renew(vec![(key(1), after.clone())]);
            Ok::<_, Infallible>(Some(record(1)))
        });
        assert_eq!(seen.unwrap().unwrap().revision, 1);
        assert_eq!(cache.peek(&key(1)).map(|pointer| pointer.revision), after.map(|it| it.pointer.revision));
    }
}

#[test]
fn a_record_too_large_to_keep_voids_claims_all_the_same() {
    let cache = Cache::new(1 << 16);
    let large = pointed(2, &[0; 1 << 15]);
    let seen = cache.read(&key(1), || {
        cache.renew(vec![(key(1), Some(large.clone()))]);
        Ok::<_, Infallible>(Some(record(1)))
    });
    assert_eq!(seen.unwrap().unwrap().revision, 1);
    assert!(cache.peek(&key(1)).is_none());
    assert!(cache.read(&key(2), || Ok::<_, Infallible>(Some(large.clone()))).unwrap().is_some());
    assert!(cache.peek(&key(2)).is_none());
}

#[test]
fn it_stays_within_its_bound() {
    let cache = Cache::new(1 << 20);
    for number in 0..20_000_u64 {
        let mut bytes = [0; KEY_LENGTH];
        bytes[1..9].copy_from_slice(&number.to_le_bytes());
        let full = pointed(number, &[0; 500]);
        cache.read(&Key(bytes), || Ok::<_, Infallible>(Some(full))).unwrap();
    }
    let shards = cache.shards.iter().map(looked_at);
    let (weight, entries) = shards
        .map(|shard| {
            let held: u64 = shard.slots.iter().map(|slot| weight(&slot.value)).sum();
            assert_eq!(shard.weight, held);
            (held, shard.slots.len())
        })
        .fold((0, 0), |(weight, entries), (held, len)| (weight + held, entries + len));
    assert!(weight <= 1 << 20);
    assert!(entries > 1300, "{entries}");
}

#[test]
fn what_is_read_never_goes_back_under_many_readers() {
    let cache = Cache::new(1 << 14);
    let index = Mutex::new(HashMap::new());
    let published = [const { AtomicU64::new(0) }; 4];
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    for number in 0..4_u8 {
                        let least = published[usize::from(number)].load(Ordering::SeqCst);
                        let found = cache
                            .read(&key(number), || {
                                Ok::<_, Infallible>(index.lock().unwrap().get(&key(number)).cloned())
                            })
                            .unwrap();
                        let revision = found.map_or(0, |record| record.revision);
                        // Every fourth revision is an absence.
                        assert!(revision == 0 || revision >= least, "{revision} after {least}");
                        assert!(
                            revision != 0
                                || least == 0
                                || published[usize::from(number)].load(Ordering::SeqCst) / 4 >= least / 4
                        );
                    }
                }
            });
        }
        for revision in 1..40_000_u64 {
            for number in 0..4_u8 {
                let update = (!revision.is_multiple_of(4)).then(|| record(revision));
                match update.clone() {
                    Some(pointed) => drop(index.lock().unwrap().insert(key(number), pointed)),
                    None => drop(index.lock().unwrap().remove(&key(number))),
                }
                cache.renew(vec![(key(number), update)]);
                published[usize::from(number)].store(revision, Ordering::SeqCst);
            }
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn what_is_read_again_stays_when_many_are_read_once() {
    let cache = Cache::new(1 << 20);
    let numbered = |number: u64| {
        let mut bytes = [0; KEY_LENGTH];
        bytes[1..9].copy_from_slice(&number.to_le_bytes());
        Key(bytes)
    };
    let read = |number| {
        let mut was_asked = false;
        let load = || {
            was_asked = true;
            Ok::<_, Infallible>(Some(pointed(number, &[0; 500])))
        };
        cache.read(&numbered(number), load).unwrap();
        was_asked
    };
    let favourites = 0..100_u64;
    favourites.clone().for_each(|number| assert!(read(number)));
    let mut lost = 0;
    for number in 1_000..20_000_u64 {
        assert!(read(number));
        if number.is_multiple_of(200) {
            lost += favourites.clone().filter(|number| read(*number)).count();
        }
    }
    assert_eq!(lost, 0, "the hand spares them");
}

#[test]
fn what_is_written_over_or_removed_weighs_nothing() {
    let cache = Cache::new(1 << 20);
    for revision in 1..1_000 {
        cache.renew(vec![(key(1), Some(pointed(revision, &[0; 300])))]);
    }
    let weight = || cache.shards.iter().map(|shard| looked_at(shard).weight).sum::<u64>();
    assert_eq!(weight(), ENTRY_BYTES + 300);
    cache.renew(vec![(key(1), None), (key(1), None)]);
    assert_eq!(weight(), 0);
}

#[test]
fn of_two_records_of_one_hash_each_is_itself() {
    let mut shard = Shard::new(1 << 20);
    let value = |shard: &Shard, number| shard.find(7, &key(number)).map(|slot| slot.value[0]);
    shard.put(7, key(1), pointed(1, b"a"));
    assert_eq!(value(&shard, 2), None);
    shard.put(7, key(2), pointed(2, b"b"));
    assert_eq!((value(&shard, 1), value(&shard, 2)), (Some(b'a'), Some(b'b')));
    shard.remove(7, &key(1));
    assert_eq!((value(&shard, 1), value(&shard, 2)), (None, Some(b'b')));
}
