//! A disk that fills up or fails.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU64, AtomicUsize};

use super::*;

/// A disk that does as it is told.
#[derive(Default)]
pub(super) struct Faulty {
    /// Less than there is, if not zero.
    pub(super) free: AtomicU64,
    pub(super) syncs: AtomicUsize,
    pub(super) fails_sync: AtomicBool,
    /// Segments of the journal whose sync has failed, and how often one of them was synced after that.
    failed: Mutex<Vec<PathBuf>>,
    tried_again: AtomicUsize,
    pub(super) fails_write: AtomicBool,
    /// Refuses writes of so many bytes or more, if not zero.
    pub(super) fills_at: AtomicU64,
    pub(super) panics: AtomicBool,
}

impl Device for Faulty {
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        assert!(!self.panics.load(Ordering::Relaxed), "on purpose");
        let fills_at = self.fills_at.load(Ordering::Relaxed);
        if fills_at > 0 && bytes.len() as u64 >= fills_at {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if self.fails_write.load(Ordering::Relaxed) {
            Disk.write_at(file, &bytes[..bytes.len() / 2], offset)?;
            return Err(io::Error::other("half is enough"));
        }
        Disk.write_at(file, bytes, offset)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        let name = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
        let mut failed = self.failed.lock().unwrap();
        if failed.contains(&name) {
            self.tried_again.fetch_add(1, Ordering::Relaxed);
        }
        if self.fails_sync.load(Ordering::Relaxed) {
            // The next segment is written out by another thread, under a name of its own until it is whole.
            failed.extend(Some(name).filter(|name| name.extension().is_some_and(|is| is == "journal")));
            return Err(io::Error::other("sync failed"));
        }
        drop(failed);
        Disk.sync(file)
    }

    fn free(&self, path: &Path) -> io::Result<u64> {
        match self.free.load(Ordering::Relaxed) {
            0 => Disk.free(path),
            free => Ok(free),
        }
    }
}

fn place() -> (Place, Arc<Faulty>) {
    let device = Arc::new(Faulty::default());
    (Place { device: device.clone(), ..Place::new() }, device)
}

/// Commits until the answer is another one.
fn until(
    store: &dyn Store,
    wanted: impl Fn(&Result<Mark, CommitError>) -> bool,
) -> Result<Mark, CommitError> {
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    loop {
        let outcome = wait(store.commit(put(1, &[7; 1000])));
        if wanted(&outcome) {
            return outcome;
        }
        assert!(std::time::Instant::now() < deadline, "still {outcome:?}");
    }
}

#[test]
fn a_disk_that_fills_up_refuses_writes_serves_reads_and_recovers() {
    let (place, device) = place();
    let (store, _) = place.open(Mark::START);
    wait(store.commit(put(5, b"five"))).unwrap();
    let mut watch = store.watch();
    device.free.store(1 << 20, Ordering::Relaxed);
    assert_eq!(until(&store, Result::is_err), Err(CommitError::Full));
    assert_eq!(store.health().state, State::Full);
    let head = store.health().head;
    assert_eq!(wait(store.commit(put(6, b"six"))), Err(CommitError::Full));
    assert_eq!(store.health().head, head);
    assert_eq!(&store.read(&key(5)).unwrap().unwrap().value[..], b"five");
    device.free.store(0, Ordering::Relaxed);
    // By itself: nobody commits meanwhile.
    wait(watch.wait_for(|state| *state == State::Ok)).unwrap();
    let last = wait(store.commit(put(6, b"six"))).unwrap();
    drop(store);
    place.open(last);
}

#[test]
fn without_room_for_another_segment_it_is_full_and_recovers() {
    let (place, device) = place();
    let (store, _) = place.open(Mark::START);
    // Enough to go on, too little for a segment: two at most are there already.
    device.free.store((8 << 20) + 4096, Ordering::Relaxed);
    assert_eq!(until(&store, Result::is_err), Err(CommitError::Full));
    let head = store.health().head;
    assert!(head.sequence > 10 && head.sequence < 128, "{head:?}");
    assert_eq!(wait(store.commit(put(2, b"small"))), Err(CommitError::Full));
    assert_eq!((store.health().state, store.health().head), (State::Full, head));
    device.free.store(0, Ordering::Relaxed);
    let mut watch = store.watch();
    wait(watch.wait_for(|state| *state == State::Ok)).unwrap();
    let last = until(&store, Result::is_ok).unwrap();
    drop(store);
    place.open(last);
}

#[test]
fn a_segment_that_could_not_be_written_out_gives_its_room_back() {
    let (place, device) = place();
    let (store, _) = place.open(Mark::START);
    let last = *fill(&store, 3).last().unwrap();
    store.close();
    drop(store);
    device.fills_at.store(32 << 10, Ordering::Relaxed);
    let (store, _) = place.open(last);
    assert_eq!(until(&store, Result::is_err), Err(CommitError::Full));
    assert!(!place.directory().join("journal/next.tmp").exists());
    device.fills_at.store(0, Ordering::Relaxed);
    until(&store, Result::is_ok).unwrap();
}

#[test]
fn a_failed_sync_is_final() {
    let (place, device) = place();
    let (store, _) = place.open(Mark::START);
    let last = wait(store.commit(put(1, b"one"))).unwrap();
    device.fails_sync.store(true, Ordering::Relaxed);
    assert!(matches!(wait(store.commit(put(2, b"two"))), Err(CommitError::Failed(_))));
    device.fails_sync.store(false, Ordering::Relaxed);
    assert!(matches!(wait(store.commit(put(3, b"three"))), Err(CommitError::Failed(_))));
    assert_eq!(device.failed.lock().unwrap().len(), 1, "the segment in use, once");
    assert_eq!(device.tried_again.load(Ordering::Relaxed), 0, "it was tried again");
    assert!(matches!(store.health().state, State::Failed(_)));
    assert!(matches!(*store.watch().borrow(), State::Failed(_)));
    assert!(store.read(&key(1)).unwrap().is_some());
    assert!(store.read(&key(2)).unwrap().is_none(), "shown before it was durable");
    drop(store);
    let (store, opened) = place.open(last);
    // It was written, and may as well be there: then it is reported.
    assert_eq!(store.read(&key(2)).unwrap().is_some(), opened.unwitnessed.len() == 1);
    assert!(store.read(&key(3)).unwrap().is_none());
}

#[test]
fn a_write_torn_by_an_error_is_gone_after_the_next_start() {
    let (place, device) = place();
    let (store, _) = place.open(Mark::START);
    let last = wait(store.commit(put(1, b"one"))).unwrap();
    device.fails_write.store(true, Ordering::Relaxed);
    assert!(matches!(wait(store.commit(put(2, &[2; 5000]))), Err(CommitError::Failed(_))));
    device.fails_write.store(false, Ordering::Relaxed);
    drop(store);
    let (store, opened) = place.open(last);
    assert_eq!((opened.unwitnessed.len(), store.health().records), (0, 1));
}

#[test]
fn a_panic_on_the_committer_fails_the_store() {
    let (place, device) = place();
    let (store, _) = place.open(Mark::START);
    let last = wait(store.commit(put(1, b"one"))).unwrap();
    device.panics.store(true, Ordering::Relaxed);
    assert!(matches!(wait(store.commit(put(2, b"two"))), Err(CommitError::Failed(_))));
    let mut watch = store.watch();
    wait(watch.wait_for(|state| matches!(state, State::Failed(_)))).unwrap();
    assert!(matches!(wait(store.commit(put(2, b"two"))), Err(CommitError::Failed(_))));
    assert!(store.read(&key(1)).unwrap().is_some());
    device.panics.store(false, Ordering::Relaxed);
    drop(store);
    place.open(last);
}

#[test]
fn on_a_full_disk_a_lost_index_is_made_in_memory() {
    let (place, device) = place();
    let (store, _) = place.open(Mark::START);
    let last = *fill(&store, 50).last().unwrap();
    let held = everything(&store);
    drop(store);
    fs::remove_dir_all(place.directory().join("index")).unwrap();
    device.free.store(1 << 20, Ordering::Relaxed);
    let (store, opened) = place.open(last);
    assert!(opened.rebuilt.is_some());
    assert_eq!((store.health().index, everything(&store)), ("memory", held.clone()));
    drop(store);
    device.free.store(0, Ordering::Relaxed);
    let (store, _) = place.open(last);
    assert_eq!((store.health().index, everything(&store)), ("sled", held));
}
