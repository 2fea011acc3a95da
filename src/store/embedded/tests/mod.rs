//! The embedded store against crashes, damage and full disks: the kit, and what belongs nowhere else.

mod damage;
mod faults;
mod index;
mod kill;
mod places;
mod power;
mod snapshots;

use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, UNIX_EPOCH};

use tempfile::TempDir;

use super::*;
use crate::clock::ManualClock;
use crate::store::{Change, KEY_LENGTH, Precondition};

/// An audit log that is where it is put.
pub(super) struct Standing(pub(super) Mutex<Mark>);

impl Witness for Standing {
    fn durable_head(&self) -> Mark {
        *self.0.lock().unwrap()
    }
}

/// A state directory that stores are opened in, one after the other.
pub(super) struct Place {
    pub(super) scratch: TempDir,
    pub(super) device: Arc<dyn Device>,
    pub(super) segment_bytes: u64,
    pub(super) witness: Arc<Standing>,
}

impl Place {
    pub(super) fn new() -> Self {
        Self {
            scratch: tempfile::tempdir().unwrap(),
            device: Arc::new(Disk),
            segment_bytes: 64 << 10,
            witness: Arc::new(Standing(Mutex::new(Mark::START))),
        }
    }

    pub(super) fn directory(&self) -> PathBuf {
        self.scratch.path().join("state")
    }

    pub(super) fn segment(&self, first: u64) -> PathBuf {
        crate::store::journal::segment::path(&self.directory().join("journal"), first)
    }

    pub(super) fn options(&self, expected: Mark) -> Options {
        let clock = Arc::new(ManualClock::at(UNIX_EPOCH + Duration::from_secs(1_000_000)));
        let witness: Arc<dyn Witness> = self.witness.clone();
        let mut options =
            Options::new(self.directory(), [7; 16], MacKey::new(&[9; 32]), witness, expected, clock);
        options.segment_bytes = self.segment_bytes;
        options.device = Arc::clone(&self.device);
        options
    }

    pub(super) fn open(&self, expected: Mark) -> (EmbeddedStore, Opened) {
        EmbeddedStore::open(self.options(expected)).unwrap()
    }

    /// Opens it, and expects that it is refused.
    pub(super) fn refuses(&self, expected: Mark) -> OpenError {
        match EmbeddedStore::open(self.options(expected)) {
            Ok(_) => panic!("opened"),
            Err(error) => error,
        }
    }
}

pub(super) fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Waits for what a thread of the store does by itself.
pub(super) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun_at = Instant::now();
    while !holds() {
        assert!(begun_at.elapsed() < Duration::from_secs(30), "not yet: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

pub(super) fn key(number: u64) -> Key {
    let mut key = [0; KEY_LENGTH];
    key[0] = 3;
    key[25..].copy_from_slice(&number.to_be_bytes());
    Key(key)
}

pub(super) fn put(number: u64, value: &[u8]) -> Batch {
    Batch { changes: vec![Change::Put(key(number), value.to_vec())], ..Batch::default() }
}

/// Key, revision and value of each record.
pub(super) type Held = Vec<(Key, u64, Vec<u8>)>;

pub(super) fn everything(store: &dyn Store) -> Held {
    let found = store.scan(&[], None, usize::MAX).unwrap();
    found.into_iter().map(|(key, record)| (key, record.revision, record.value.to_vec())).collect()
}

pub(super) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// Writes `count` records over the first 50 keys, some of them away again. Gives the mark of each.
pub(super) fn fill(store: &dyn Store, count: u64) -> Vec<Mark> {
    let batch = |number: u64| match number % 7 {
        6 => Batch { changes: vec![Change::Delete(key(number % 50))], note: vec![1], ..Batch::default() },
        _ => Batch { note: vec![2; 20], ..put(number % 50, &number.to_le_bytes().repeat(40)) },
    };
    (0..count).map(|number| wait(store.commit(batch(number))).unwrap()).collect()
}

#[test]
fn what_was_acknowledged_is_there_after_reopening_over_many_segments() {
    let place = Place::new();
    let (store, opened) = place.open(Mark::START);
    assert_eq!(opened, Opened { unwitnessed: Vec::new(), witnessed: Mark::START, rebuilt: None });
    let last = *fill(&store, 600).last().unwrap();
    let before = (everything(&store), store.health());
    drop(store);
    assert!(fs::read_dir(place.directory().join("journal")).unwrap().count() > 4);
    let (store, opened) = place.open(last);
    assert_eq!(opened.rebuilt, None);
    assert_eq!(opened.unwitnessed, []);
    assert_eq!((everything(&store), store.health()), before);
}

#[test]
fn sixty_four_writers_share_syncs_and_each_finds_its_record() {
    let counting = Arc::new(faults::Faulty::default());
    let place = Place { device: counting.clone(), segment_bytes: 1 << 20, ..Place::new() };
    let (store, _) = place.open(Mark::START);
    let syncs = counting.syncs.load(Ordering::Relaxed);
    thread::scope(|scope| {
        for writer in 0..64_u64 {
            let store = &store;
            scope.spawn(move || {
                for round in 0..20 {
                    wait(store.commit(put(writer * 100 + round, &[1; 100]))).unwrap();
                }
            });
        }
    });
    let syncs = counting.syncs.load(Ordering::Relaxed) - syncs;
    assert!(syncs < 64 * 20 / 2, "{syncs} syncs for 1280 commits");
    assert_eq!(store.health().records, 64 * 20);
    assert_eq!(store.health().head.sequence, 64 * 20);
}

#[test]
fn of_many_who_expect_the_same_revision_one_wins() {
    let place = Place::new();
    let (store, _) = place.open(Mark::START);
    let first = wait(store.commit(put(1, b"first"))).unwrap();
    let contend = |mine: u8| Batch {
        preconditions: vec![Precondition::Unchanged(key(1), first.sequence)],
        ..put(1, &[mine])
    };
    // All are in the queue before any is looked at by us: most will share a group.
    let commits: Vec<Commit> = (0..50).map(|mine| store.commit(contend(mine))).collect();
    let outcomes: Vec<_> = commits.into_iter().map(wait).collect();
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Err(CommitError::Conflict)).count(), 49);
    let revision = outcomes.into_iter().find_map(Result::ok).unwrap().sequence;
    assert_eq!(store.read(&key(1)).unwrap().unwrap().revision, revision);
}

#[test]
fn a_batch_goes_on_when_nobody_waits_for_it() {
    let place = Place::new();
    let (store, _) = place.open(Mark::START);
    drop(store.commit(put(1, b"left alone")));
    let second = wait(store.commit(put(2, b"waited for"))).unwrap();
    assert_eq!(second.sequence, 2);
    assert_eq!(&store.read(&key(1)).unwrap().unwrap().value[..], b"left alone");
}

#[test]
fn records_beyond_the_audit_log_are_reported_with_their_notes() {
    let place = Place::new();
    let (store, _) = place.open(Mark::START);
    let marks: Vec<Mark> = (0..5_u8)
        .map(|note| {
            *place.witness.0.lock().unwrap() = Mark { sequence: u64::from(note), chain: [note; 32] };
            wait(store.commit(Batch { note: vec![note], ..put(1, b"x") })).unwrap()
        })
        .collect();
    drop(store);
    let (_, opened) = place.open(marks[2]);
    let unwitnessed =
        |index: usize| Unwitnessed { mark: marks[index], note: vec![u8::try_from(index).unwrap()] };
    assert_eq!(opened.unwitnessed, [unwitnessed(3), unwitnessed(4)]);
    assert_eq!(opened.witnessed, Mark { sequence: 4, chain: [4; 32] });
}

#[test]
fn nobody_else_opens_it_meanwhile() {
    let place = Place::new();
    let (store, _) = place.open(Mark::START);
    assert!(matches!(place.refuses(Mark::START), OpenError::Busy(_)));
    drop(store);
    place.open(Mark::START);
}

#[test]
fn directories_and_files_are_ours_alone() {
    use std::os::unix::fs::PermissionsExt;

    fn check(path: &Path) {
        for entry in fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, if path.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
            if path.is_dir() {
                check(&path);
            }
        }
    }
    let place = Place::new();
    let (store, _) = place.open(Mark::START);
    fill(&store, 10);
    drop(store);
    place.open(Mark::START);
    check(place.scratch.path());
}

#[test]
fn after_close_nothing_is_taken_and_everything_can_be_read() {
    let place = Place::new();
    let (store, _) = place.open(Mark::START);
    wait(store.commit(put(1, b"one"))).unwrap();
    store.close();
    assert_eq!(wait(store.commit(put(2, b"two"))), Err(CommitError::Failed("the store is closed".into())));
    assert!(store.read(&key(1)).unwrap().is_some());
    store.close();
}
