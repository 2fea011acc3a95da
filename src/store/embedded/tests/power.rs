//! Power cuts: whatever was not synced is there or not, block by block, and what was acknowledged is there.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt};

use super::*;

const BLOCK: u64 = 4096;

/// What each block held before it was written and not synced, by inode.
type Unsynced = HashMap<u64, HashMap<u64, Vec<u8>>>;

/// A disk whose power can be cut.
#[derive(Default)]
struct Volatile {
    unsynced: Mutex<Unsynced>,
    /// Blocks that a sync has failed on: the kernel holds them for clean, and the disk never got them.
    forgotten: Mutex<Unsynced>,
    fails_sync: AtomicBool,
    cut: AtomicBool,
}

impl Volatile {
    fn lock(&self) -> io::Result<std::sync::MutexGuard<'_, Unsynced>> {
        let unsynced = self.unsynced.lock().unwrap();
        if self.cut.load(Ordering::SeqCst) { Err(io::Error::other("no power")) } else { Ok(unsynced) }
    }

    /// What the disk holds after the cut: of the blocks that were not synced those that `random` spares.
    fn restore(&self, journal: &Path, random: &mut impl FnMut() -> u64) {
        let mut unsynced = std::mem::take(&mut *self.unsynced.lock().unwrap());
        for (inode, blocks) in std::mem::take(&mut *self.forgotten.lock().unwrap()) {
            unsynced.entry(inode).or_default().extend(blocks);
        }
        for entry in fs::read_dir(journal).unwrap() {
            let path = entry.unwrap().path();
            let file = OpenOptions::new().write(true).open(&path).unwrap();
            let blocks = unsynced.get(&file.metadata().unwrap().ino());
            for (block, before) in blocks.into_iter().flatten() {
                if random().is_multiple_of(2) {
                    file.write_all_at(before, block * BLOCK).unwrap();
                }
            }
        }
    }
}

impl Device for Volatile {
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut unsynced = self.lock()?;
        let blocks = unsynced.entry(file.metadata()?.ino()).or_default();
        let readable = File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
        for block in offset / BLOCK..=(offset + bytes.len() as u64 - 1) / BLOCK {
            let forgotten = self
                .forgotten
                .lock()
                .unwrap()
                .get_mut(&file.metadata()?.ino())
                .and_then(|it| it.remove(&block));
            blocks.entry(block).or_insert_with(|| {
                if let Some(before) = forgotten {
                    return before;
                }
                let mut before = vec![0; BLOCK as usize];
                let length = readable.read_at(&mut before, block * BLOCK).unwrap();
                before.truncate(length);
                before
            });
        }
        Disk.write_at(file, bytes, offset)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        let inode = file.metadata()?.ino();
        let synced = self.lock()?.remove(&inode).unwrap_or_default();
        if self.fails_sync.load(Ordering::SeqCst) {
            self.forgotten.lock().unwrap().entry(inode).or_default().extend(synced);
            return Err(io::Error::other("sync failed"));
        }
        Ok(())
    }

    fn free(&self, path: &Path) -> io::Result<u64> {
        Disk.free(path)
    }
}

/// A small generator (xorshift64*): the rounds must be the same on every machine.
fn generator(mut state: u64) -> impl FnMut() -> u64 {
    move || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

#[test]
fn nothing_acknowledged_is_lost_when_the_power_goes() {
    let device = Arc::new(Volatile::default());
    let place = Place { device: device.clone(), segment_bytes: 128 << 10, ..Place::new() };
    let mut random = generator(0x9e37_79b9);
    let mut expected = Mark::START;
    let mut written: HashMap<u64, u64> = HashMap::new();
    for round in 1..=30_u64 {
        let (store, opened) = place.open(expected);
        assert_eq!(opened.rebuilt, None, "round {round}: the index was ahead of what is durable");
        for (number, value) in &written {
            let record = store.read(&key(*number)).unwrap().unwrap();
            let found = u64::from_le_bytes(*record.value.first_chunk().unwrap());
            assert!(found >= *value, "round {round}: record {number} went back");
        }
        let commits_to_go = 20 + random() % 300;
        let acknowledged = Mutex::new((expected, 0_u64, Vec::new()));
        let lengths: Vec<u64> = (0..8).map(|_| 8 + random() % 9000).collect();
        thread::scope(|scope| {
            for writer in 0..8_u64 {
                let (store, device, acknowledged, length) =
                    (&store, &device, &acknowledged, lengths[writer as usize]);
                scope.spawn(move || {
                    for value in 0.. {
                        let value = round * 1_000_000 + value;
                        let bytes: Vec<u8> =
                            value.to_le_bytes().into_iter().cycle().take(length as usize).collect();
                        let Ok(mark) = wait(store.commit(put(writer, &bytes))) else { return };
                        let mut acknowledged = acknowledged.lock().unwrap();
                        if mark.sequence > acknowledged.0.sequence {
                            acknowledged.0 = mark;
                        }
                        acknowledged.2.push((writer, value));
                        acknowledged.1 += 1;
                        if acknowledged.1 == commits_to_go {
                            device.cut.store(true, Ordering::SeqCst);
                        }
                    }
                });
            }
        });
        drop(store);
        let (head, _, values) = acknowledged.into_inner().unwrap();
        expected = head;
        written.extend(values);
        device.restore(&place.directory().join("journal"), &mut random);
        device.cut.store(false, Ordering::SeqCst);
    }
}

/// After a failed sync a later one succeeds and has written nothing (fsync(2)): what a start finds in the kernel's
/// cache is then nowhere else.
#[test]
fn what_a_start_believes_after_a_failed_sync_survives_a_power_cut() {
    let device = Arc::new(Volatile::default());
    let place = Place { device: device.clone(), ..Place::new() };
    let (store, _) = place.open(Mark::START);
    let first = wait(store.commit(put(1, b"one"))).unwrap();
    device.fails_sync.store(true, Ordering::SeqCst);
    assert!(wait(store.commit(put(2, &[2; 9000]))).is_err());
    drop(store);
    device.fails_sync.store(false, Ordering::SeqCst);
    let (store, opened) = place.open(first);
    let [found] = &opened.unwitnessed[..] else { panic!("{opened:?}") };
    drop(store);
    device.restore(&place.directory().join("journal"), &mut || 0);
    let (store, _) = place.open(found.mark);
    assert_eq!(store.read(&key(2)).unwrap().unwrap().value.len(), 9000);
}
