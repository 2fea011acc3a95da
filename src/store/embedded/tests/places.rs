//! Where the index points: at a wrong place, at one that is gone, at one that is damaged; and what is there when a crash comes between
//! two steps of making room.

use std::collections::BTreeSet;

use super::snapshots::{newest, open, short, without_index, worn};
use super::*;
use crate::store::index::tree::{EARLIER, Tree};
use crate::store::index::{Index, Pointer};
use crate::store::journal::segment::first_in_name;

/// The index of a store that is closed, and how far it says that it is.
fn index(place: &Place) -> (Tree, Applied) {
    let (tree, survey) = Tree::open(&place.directory().join("index"), 1 << 20).unwrap();
    (tree, survey.applied.unwrap())
}

/// What the index has under the key, changed so that its checksum and the sum of the digests still hold.
fn point(place: &Place, key: &Key, change: impl FnOnce(&mut Pointer)) {
    let (tree, applied) = index(place);
    let mut pointer = tree.read(key).unwrap().unwrap();
    change(&mut pointer);
    tree.apply(&[(*key, Some(pointer))], &applied).unwrap();
    tree.flush().unwrap();
}

fn names(place: &Place, directory: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(place.directory().join(directory)).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

type Change = fn(&mut Pointer);

#[test]
fn what_stands_at_a_wrong_place_is_never_served() {
    let changes: [(&str, Change); 4] = [
        ("the place of another record", |pointer| pointer.offset += 1),
        ("beyond the end", |pointer| pointer.offset = u32::MAX),
        ("no place", |pointer| pointer.offset = 0),
        ("another length", |pointer| pointer.length -= 1),
    ];
    for (name, change) in changes {
        let place = Place::new();
        let (store, _) = place.open(Mark::START);
        let last = *fill(&store, 300).last().unwrap();
        let held = everything(&store);
        drop(store);
        point(&place, &held[3].0, change);
        let (store, opened) = place.open(last);
        assert_eq!(opened.rebuilt, None, "{name}");
        // The reader is refused, never misled; the one after it is served from an index that was made anew.
        if let Ok(Some(record)) = store.read(&held[3].0) {
            assert_eq!(record.value[..], held[3].2[..], "{name}");
        }
        until("another index has taken its place", || store.health().index == "memory");
        assert_eq!(everything(&store), held, "{name}");
        assert_eq!(store.health().state, State::Ok, "{name}");
        drop(store);
        without_index(&place);
        assert_eq!(everything(&place.open(last).0), held, "{name}, made anew");
    }
}

#[test]
fn what_a_removed_segment_held_is_read_from_the_snapshot_and_nothing_is_pointed_anew() {
    let place = Place::new();
    let (store, _) = open(&place, Mark::START);
    wait(store.commit(put(900, b"from the first segment"))).unwrap();
    drop(store);
    let pointer = index(&place).0.read(&key(900)).unwrap().unwrap();
    let (held, last) = worn(&place);
    let first = names(&place, "journal").iter().filter_map(|name| first_in_name(name)).min().unwrap();
    assert!(pointer.revision < first && pointer.offset > 0);
    assert_eq!(index(&place).0.read(&key(900)).unwrap(), Some(pointer));
    let (store, opened) = open(&place, last);
    assert_eq!((opened.rebuilt, everything(&store)), (None, held));
    assert_eq!(&store.read(&key(900)).unwrap().unwrap().value[..], b"from the first segment");
}

#[test]
fn no_removed_file_is_held_open() {
    let place = Place::new();
    let (_, last) = worn(&place);
    let (store, _) = open(&place, last);
    fill(&store, 700);
    assert!(!everything(&store).is_empty());
    wait(store.snapshot()).unwrap();
    wait(store.commit(put(1, b"x"))).unwrap();
    wait(store.snapshot()).unwrap();
    let ours = place.scratch.path().to_owned();
    let gone = |path: &PathBuf| path.starts_with(&ours) && path.to_string_lossy().ends_with(" (deleted)");
    until("none is open", || {
        let open = fs::read_dir("/proc/self/fd").unwrap().flatten();
        !open.filter_map(|file| fs::read_link(file.path()).ok()).any(|path| gone(&path))
    });
}

#[test]
fn a_crash_while_a_snapshot_is_made_leaves_a_whole_truth() {
    let place = Place::new();
    let (held, last) = worn(&place);
    let older = place.directory().join("snapshots").join(names(&place, "snapshots").first().unwrap());
    let newest_at = snapshot_sequence(&newest(&place));
    let covered: Vec<u64> = {
        let firsts: Vec<u64> =
            names(&place, "journal").iter().filter_map(|name| first_in_name(name)).collect();
        let pairs = firsts.iter().zip(firsts.iter().skip(1));
        pairs.filter(|(_, next)| **next <= newest_at + 1).map(|(first, _)| *first).collect()
    };
    let spare = place.scratch.path().join("spare");
    copy(&place.directory(), &spare);
    // The older one is gone; then also the segments before the newest, one after the other; each time with what was begun.
    for gone in 0..=covered.len() {
        for with_index in [true, false] {
            fs::remove_dir_all(place.directory()).unwrap();
            copy(&spare, &place.directory());
            fs::remove_file(&older).unwrap();
            for first in &covered[..gone] {
                fs::remove_file(place.segment(*first)).unwrap();
            }
            fs::write(place.directory().join("snapshots/next.tmp"), b"begun").unwrap();
            if !with_index {
                without_index(&place);
            }
            let (store, opened) = open(&place, last);
            assert_eq!(
                (opened.rebuilt.is_none(), everything(&store)),
                (with_index, held.clone()),
                "{gone} gone"
            );
            wait(store.commit(put(1000, b"on"))).unwrap();
            wait(store.snapshot()).unwrap();
            assert_eq!(store.standing().snapshots.len(), 2);
        }
    }
}

fn snapshot_sequence(path: &Path) -> u64 {
    crate::store::snapshot::sequence_in_name(path.file_name().unwrap().to_str().unwrap()).unwrap()
}

/// A disk that looks how many snapshots there are whenever something is written.
struct Watching {
    snapshots: PathBuf,
    most: AtomicU64,
}

impl Device for Watching {
    fn write_at(&self, file: &fs::File, bytes: &[u8], offset: u64) -> io::Result<()> {
        if let Ok(names) = fs::read_dir(&self.snapshots) {
            let count = names.flatten().filter(|entry| entry.path().extension().is_some()).count() as u64;
            self.most.fetch_max(count, Ordering::Relaxed);
        }
        Disk.write_at(file, bytes, offset)
    }

    fn sync(&self, file: &fs::File) -> io::Result<()> {
        Disk.sync(file)
    }

    fn free(&self, path: &Path) -> io::Result<u64> {
        Disk.free(path)
    }
}

#[test]
fn three_snapshots_never_lie_side_by_side() {
    let mut place = Place::new();
    let watching =
        Arc::new(Watching { snapshots: place.directory().join("snapshots"), most: AtomicU64::new(0) });
    place.device = watching.clone();
    let (store, _) = open(&place, Mark::START);
    for _ in 0..6 {
        fill(&store, 20);
        wait(store.snapshot()).unwrap();
    }
    assert_eq!(store.standing().snapshots.len(), 2);
    assert_eq!(watching.most.load(Ordering::Relaxed), 2, "with the one that is being written");
}

#[test]
fn the_older_snapshot_stays_where_the_newest_is_damaged() {
    let place = Place::new();
    let (store, _) = open(&place, Mark::START);
    fill(&store, 300);
    wait(store.snapshot()).unwrap();
    fill(&store, 300);
    wait(store.snapshot()).unwrap();
    let harmed = newest(&place);
    flip(&harmed, fs::metadata(&harmed).unwrap().len() as usize / 2);
    wait(store.commit(put(7, b"on"))).unwrap();
    let held = everything(&store);
    let made = wait(store.snapshot()).unwrap();
    assert_eq!(made.at, store.health().head);
    assert!(!harmed.exists() && harmed.with_extension("snapshot.damaged").exists());
    drop(store);
    without_index(&place);
    assert_eq!(everything(&open(&place, made.at).0), held);
}

#[test]
fn a_snapshot_that_somebody_changed_together_with_its_checksums_is_named_and_nothing_is_made_of_it() {
    let place = Place::new();
    let (held, last) = worn(&place);
    let options = Options { cache_bytes: 0, ..short(&place, last) };
    let (store, _) = EmbeddedStore::open(options).unwrap();
    wait(store.commit(put(999, b"so that there is something to do"))).unwrap();
    let forged = wait(store.snapshot()).unwrap().path;
    let mut bytes = fs::read(&forged).unwrap();
    let first_block = 180;
    let length = u32::from_le_bytes(bytes[first_block..][..4].try_into().unwrap()) as usize;
    let first_value = first_block + 8 + 45;
    bytes[first_value] ^= 1;
    let (covered, sum) = (first_block..first_block + length - 4, first_block + length - 4);
    let checksum = crc32c::crc32c(&bytes[covered]);
    bytes[sum..sum + 4].copy_from_slice(&checksum.to_le_bytes());
    fs::write(&forged, bytes).unwrap();
    wait(store.commit(put(1000, b"on"))).unwrap();
    assert!(matches!(wait(store.snapshot()), Err(SnapshotError::Failed(_))));
    until("it is named", || {
        let name = forged.file_name().unwrap().to_str().unwrap();
        store.standing().failure.is_some_and(|failure| failure.contains(name))
    });
    let found = store.scan(&[], None, usize::MAX);
    let forged = found.map_or(1, |found| {
        held.iter()
            .filter(|(key, _, value)| {
                found.iter().any(|(other, record)| other == key && record.value[..] != value[..])
            })
            .count()
    });
    assert_eq!(forged, 0, "served");
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_record_that_is_damaged_in_the_newest_snapshot_is_served_from_elsewhere_and_the_snapshot_set_aside() {
    let place = Place::new();
    let (held, last) = worn(&place);
    let harmed = newest(&place);
    // After it was looked at, so that a reader is the first to see it.
    let options = Options { cache_bytes: 0, ..short(&place, last) };
    let (store, _) = EmbeddedStore::open(options).unwrap();
    until("both are found whole", || store.standing().snapshots.len() == 2);
    for at in (600..fs::metadata(&harmed).unwrap().len() as usize - 100).step_by(150) {
        let mut bytes = fs::read(&harmed).unwrap();
        bytes[at] ^= 1;
        std::os::unix::fs::FileExt::write_all_at(
            &fs::OpenOptions::new().write(true).open(&harmed).unwrap(),
            &bytes[at..=at],
            at as u64,
        )
        .unwrap();
    }
    assert_eq!(everything(&store), held);
    until("it is set aside", || !harmed.exists());
    assert_eq!((everything(&store), store.health().index), (held, "sled"));
}

#[test]
fn an_index_of_an_earlier_version_is_made_anew_and_not_kept() {
    let versions: [Version; 2] = [with_values, with_an_entry_for_each_record];
    for (is_worn, version) in
        [false, true].into_iter().flat_map(|worn| versions.map(|version| (worn, version)))
    {
        let place = Place::new();
        let (held, last) = if is_worn {
            worn(&place)
        } else {
            let (store, _) = place.open(Mark::START);
            let last = *fill(&store, 300).last().unwrap();
            (everything(&store), last)
        };
        let applied = index(&place).1;
        without_index(&place);
        version(&place.directory().join("index"), &held, &applied);
        let seen = Arc::new(AtomicU64::new(0));
        let told = Arc::clone(&seen);
        let mut options = short(&place, last);
        options.progress = Box::new(move |_| {
            told.fetch_add(1, Ordering::Relaxed);
        });
        let (store, opened) = EmbeddedStore::open(options).unwrap();
        assert_eq!((opened.rebuilt.as_deref(), everything(&store)), (Some(EARLIER), held.clone()));
        assert!(seen.load(Ordering::Relaxed) > 0, "nobody was told how far it is");
        assert!(!names(&place, ".").iter().any(|name| name.starts_with("index.damaged")));
        drop(store);
        let (store, opened) = open(&place, last);
        assert_eq!((opened.rebuilt, everything(&store), store.health().index), (None, held, "sled"));
    }
}

type Version = fn(&Path, &Held, &Applied);

/// As it was written when the index held the values.
fn with_values(directory: &Path, held: &Held, applied: &Applied) {
    let entries =
        held.iter().map(|(key, revision, value)| (*key, [&revision.to_le_bytes()[..], value].concat()));
    write_earlier(&sled::Config::new().path(directory), entries, &[], applied);
}

/// As it was written after that, in short segments. Nobody looks at the entries.
fn with_an_entry_for_each_record(directory: &Path, held: &Held, applied: &Applied) {
    let entries = held.iter().map(|(key, ..)| (*key, vec![1; 36]));
    write_earlier(&sled::Config::new().path(directory).segment_size(64 << 10), entries, &[2], applied);
}

fn write_earlier(
    config: &sled::Config,
    entries: impl Iterator<Item = (Key, Vec<u8>)>,
    format: &[u8],
    Applied { mark, tally }: &Applied,
) {
    let database = config.open().unwrap();
    for (key, entry) in entries {
        database.insert(key.0, entry).unwrap();
    }
    let (records, digest) = (tally.records.to_le_bytes(), tally.digest.to_le_bytes());
    let says = [&mark.sequence.to_le_bytes()[..], &mark.chain, &records, &digest, format].concat();
    database.insert(b"", says).unwrap();
    database.flush().unwrap();
}
