//! An index that is lost, late, wrong or broken: what is served stays the same.

use std::sync::atomic::AtomicU64;

use super::super::values::Values;
use super::*;
use crate::store::index::memory::Memory;
use crate::store::index::tree::{self, Tree};
use crate::store::index::{Broken, Index, Pointer, Update};

/// A place with some history, what it holds, and its last mark.
fn history() -> (Place, Held, Mark) {
    let place = Place::new();
    let (store, _) = place.open(Mark::START);
    let last = *fill(&store, 300).last().unwrap();
    let held = everything(&store);
    drop(store);
    (place, held, last)
}

fn largest_file(directory: &Path) -> PathBuf {
    let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.is_file()).max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap()
}

type Harm = fn(&Path);

/// Changes what sled holds, so that sled itself has nothing to find.
fn alter(index: &Path, change: impl FnOnce(&sled::Db)) {
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    loop {
        match sled::Config::new().path(index).segment_size(tree::SEGMENT_BYTES).open() {
            Ok(database) => {
                change(&database);
                database.flush().unwrap();
                return;
            }
            // The sled just dropped holds its lock a moment longer.
            Err(error) => assert!(std::time::Instant::now() < deadline, "{error}"),
        }
    }
}

/// The first leaf, and under which key of sled.
fn leaf(database: &sled::Db) -> (sled::IVec, sled::IVec) {
    database.iter().map(Result::unwrap).find(|(lowest, _)| !lowest.is_empty()).unwrap()
}

/// Of the first leaf, the lowest bit of a byte.
fn flip(index: &Path, at: usize) {
    alter(index, |database| {
        let (lowest, leaf) = leaf(database);
        let mut leaf = leaf.to_vec();
        leaf[at] ^= 1;
        database.insert(lowest, leaf).unwrap();
    });
}

#[test]
fn a_harmed_index_is_set_aside_and_made_anew() {
    let harms: [(&str, Harm); 9] = [
        ("deleted", |index| fs::remove_dir_all(index).unwrap()),
        ("emptied", |index| {
            fs::remove_dir_all(index).unwrap();
            fs::create_dir(index).unwrap();
        }),
        ("garbage", |index| fs::write(largest_file(index), vec![0x5a; 100_000]).unwrap()),
        ("one bit of a key", |index| flip(index, 20)),
        // Neither the order of the keys nor the sum of the digests says anything of this one.
        ("one bit of a revision", |index| flip(index, KEY_LENGTH)),
        ("one leaf less", |index| alter(index, |database| drop(database.remove(leaf(database).0).unwrap()))),
        ("a leaf under another key", |index| {
            alter(index, |database| {
                let (lowest, leaf) = leaf(database);
                database.remove(lowest).unwrap();
                database.insert([1; KEY_LENGTH], leaf).unwrap();
            });
        }),
        ("one record less", |index| {
            let (tree, survey) = Tree::open(index, 1 << 20).unwrap();
            tree.apply(&[(key(2), None)], &survey.applied.unwrap()).unwrap();
            tree.flush().unwrap();
        }),
        ("a key of another shape", |index| {
            alter(index, |database| drop(database.insert(b"x", b"y").unwrap()))
        }),
    ];
    for (name, harm) in harms {
        let (place, held, last) = history();
        harm(&place.directory().join("index"));
        let (store, opened) = place.open(last);
        assert!(opened.rebuilt.is_some(), "{name}");
        assert_eq!(everything(&store), held, "{name}");
        assert_eq!(store.health().index, "sled", "{name}");
        drop(store);
        let (store, opened) = place.open(last);
        assert_eq!((opened.rebuilt, everything(&store)), (None, held), "{name}, once more");
    }
}

/// sled answers many of these with an older state and no word (docs/storage.md): that is caught up, or made anew.
#[test]
fn flipped_bits_and_cuts_in_sleds_files_never_change_what_is_served() {
    let (place, held, last) = history();
    let spare = place.scratch.path().join("spare");
    let index = place.directory().join("index");
    copy(&index, &spare);
    for round in 0..24 {
        fs::remove_dir_all(&index).unwrap();
        copy(&spare, &index);
        let harmed = largest_file(&index);
        let mut bytes = fs::read(&harmed).unwrap();
        let at = (round * 7919 + 13) * 31 % bytes.len();
        match round % 3 {
            0 => bytes[at] ^= 0x40,
            1 => bytes.truncate(at),
            _ => bytes[at / 4096 * 4096..].iter_mut().take(4096).for_each(|byte| *byte = 0),
        }
        fs::write(&harmed, bytes).unwrap();
        let (store, _) = place.open(last);
        assert_eq!(everything(&store), held, "round {round}");
    }
    let aside = fs::read_dir(place.directory()).unwrap();
    let names = aside.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(names.filter(|name| name.starts_with("index.damaged-")).count() <= 1);
}

#[test]
fn an_index_rolled_back_to_an_older_copy_catches_up() {
    let place = Place::new();
    let spare = place.scratch.path().join("spare");
    let index = place.directory().join("index");
    let (store, _) = place.open(Mark::START);
    let early = *fill(&store, 150).last().unwrap();
    drop(store);
    copy(&index, &spare);
    let (store, _) = place.open(early);
    let last = *fill(&store, 200).last().unwrap();
    let held = everything(&store);
    drop(store);
    fs::remove_dir_all(&index).unwrap();
    copy(&spare, &index);
    let (store, opened) = place.open(last);
    assert_eq!((opened.rebuilt, everything(&store)), (None, held));
}

/// As a crash leaves it between two leaves: some, or all, have what came after the mark.
#[test]
fn an_index_whose_leaves_are_ahead_of_what_it_says_is_taken_as_it_is() {
    for ahead in [0, 1, 10, usize::MAX] {
        let place = Place::new();
        let index = place.directory().join("index");
        let (store, _) = place.open(Mark::START);
        let early = *fill(&store, 150).last().unwrap();
        drop(store);
        let (tree, survey) = Tree::open(&index, 1 << 20).unwrap();
        let (says, before) = (survey.applied.unwrap(), tree.scan(&[], None, usize::MAX).unwrap());
        drop(tree);
        let (store, _) = place.open(early);
        fill(&store, 203);
        wait(store.commit(Batch { changes: vec![Change::Delete(key(3))], ..Batch::default() })).unwrap();
        let last = wait(store.commit(put(700, b"new"))).unwrap();
        let held = everything(&store);
        drop(store);
        let (tree, _) = Tree::open(&index, 1 << 20).unwrap();
        let now = tree.scan(&[], None, usize::MAX).unwrap();
        let gone = now.iter().filter(|(key, _)| !before.iter().any(|(other, _)| other == key));
        let gone = gone.map(|(key, _)| (*key, None));
        let back = before.iter().map(|(key, pointer)| (*key, Some(*pointer)));
        let mut updates: Vec<Update> = back.chain(gone).collect();
        updates.sort_unstable_by_key(|(key, _)| *key);
        updates.truncate(updates.len().saturating_sub(ahead));
        tree.apply(&updates, &says).unwrap();
        tree.flush().unwrap();
        drop(tree);
        let (store, opened) = place.open(last);
        assert_eq!((opened.rebuilt, everything(&store)), (None, held), "{ahead} ahead");
    }
}

#[test]
fn an_index_ahead_of_the_journal_is_made_anew() {
    let place = Place::new();
    let spare = place.scratch.path().join("spare");
    let (store, _) = place.open(Mark::START);
    let early = *fill(&store, 10).last().unwrap();
    let held = everything(&store);
    drop(store);
    copy(&place.directory().join("journal"), &spare);
    let (store, _) = place.open(early);
    fill(&store, 10);
    drop(store);
    copy(&spare, &place.directory().join("journal"));
    let (store, opened) = place.open(early);
    assert_eq!((opened.rebuilt.as_deref(), everything(&store)), (Some("it is ahead of the journal"), held));
}

#[test]
fn an_index_of_another_history_is_made_anew() {
    let (place, held, last) = history();
    let other = Place::new();
    let (store, _) = other.open(Mark::START);
    for number in 0..300 {
        wait(store.commit(put(number, b"other"))).unwrap();
    }
    drop(store);
    let index = place.directory().join("index");
    fs::remove_dir_all(&index).unwrap();
    copy(&other.directory().join("index"), &index);
    let (store, opened) = place.open(last);
    assert!(opened.rebuilt.is_some());
    assert_eq!(everything(&store), held);
}

#[test]
fn the_making_of_an_index_shows_how_far_it_is() {
    let (place, _, last) = history();
    fs::remove_dir_all(place.directory().join("index")).unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let mut options = place.options(last);
    let told = Arc::clone(&seen);
    options.progress = Box::new(move |rebuild| told.lock().unwrap().push(rebuild));
    EmbeddedStore::open(options).unwrap();
    let seen = seen.lock().unwrap();
    assert!(seen.len() > 1 && seen.is_sorted_by_key(|rebuild| rebuild.read));
    assert_eq!(seen.last().unwrap().read, seen.last().unwrap().total);
}

/// An index that breaks at the given call and stays broken.
struct Breaking {
    behind: Memory,
    calls: AtomicU64,
    breaks_at: u64,
}

impl Breaking {
    fn call(&self) -> Result<&Memory, Broken> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        if call < self.breaks_at { Ok(&self.behind) } else { Err(Broken("broken on purpose".into())) }
    }
}

impl Index for Breaking {
    fn read(&self, key: &Key) -> Result<Option<Pointer>, Broken> {
        self.call()?.read(key)
    }

    fn scan(&self, prefix: &[u8], after: Option<&Key>, most: usize) -> Result<Vec<(Key, Pointer)>, Broken> {
        self.call()?.scan(prefix, after, most)
    }

    fn apply(&self, updates: &[Update], applied: &Applied) -> Result<(), Broken> {
        self.call()?.apply(updates, applied)
    }

    fn flush(&self) -> Result<(), Broken> {
        self.call().map(drop)
    }
}

/// A new store whose index breaks at the given call.
fn breaking(place: &Place, breaks_at: u64) -> EmbeddedStore {
    let mut options = place.options(Mark::START);
    let journal = options.directory.join("journal");
    let lock = prepare_directories(&options.directory, &journal).unwrap();
    let identity = Identity::new(options.vault, &options.key).unwrap();
    let digester = Digester::new(&options.key).unwrap();
    let device = Arc::clone(&options.device);
    let workshop = Workshop::new(journal, device, options.segment_bytes).unwrap();
    let recovery = Recovery {
        options: &mut options,
        identity: &identity,
        digester: &digester,
        workshop: &workshop,
        snapshots: Vec::new(),
        unfit: Vec::new(),
        laid: None,
    };
    let mut recovered = recovery.run().unwrap();
    let index = Breaking { behind: Memory::default(), calls: AtomicU64::new(0), breaks_at };
    let values = Values::new(&workshop.directory, &digester, vec![1]);
    recovered.front = Front::over_tree(Box::new(index), values, 1 << 20);
    EmbeddedStore::assemble(options, Ground { workshop, identity, digester, lock }, recovered).unwrap().0
}

#[test]
fn an_index_that_breaks_under_the_committer_is_replaced_and_nothing_is_lost() {
    let sound = Place::new();
    let (reference, _) = sound.open(Mark::START);
    fill(&reference, 60);
    for breaks_at in 0..40 {
        let place = Place::new();
        let store = breaking(&place, breaks_at);
        let last = *fill(&store, 60).last().unwrap();
        // How often the writers and the applier have called it by now depends on how many groups went in one turn.
        until("the broken one is replaced", || {
            drop(store.scan(&[], None, 1));
            store.health().index == "memory"
        });
        assert_eq!(everything(&store), everything(&reference), "at call {breaks_at}");
        drop(store);
        fs::remove_dir_all(place.directory().join("index")).unwrap();
        let (store, _) = place.open(last);
        assert_eq!(everything(&store), everything(&reference), "at call {breaks_at}, reopened");
        assert_eq!(store.health().index, "sled");
    }
}

#[test]
fn an_index_that_breaks_under_a_reader_is_replaced() {
    let place = Place::new();
    // One call to commit: the old record. From then on it is broken, for readers too.
    let store = breaking(&place, 1);
    wait(store.commit(put(1, b"one"))).unwrap();
    until("a reader finds it broken, and it is replaced", || {
        store.scan(&[], None, 10).is_ok_and(|found| found.len() == 1) && store.health().index == "memory"
    });
    wait(store.commit(put(2, b"two"))).unwrap();
    assert_eq!(everything(&store).len(), 2);
    assert_eq!(store.health().state, State::Ok);
    assert_eq!(store.health().index, "memory");
}
