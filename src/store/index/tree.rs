//! The index in sled.
//!
//! The hard problem: sled answers damage with a panic, a hang, or silence (docs/storage.md). The answer: every
//! call is fenced against panics, opening has a time limit, and what it holds is counted and digested before it
//! is believed.
//!
//! Never asked whether something is durable.

use std::fs::{self, Permissions};
use std::io;
use std::ops::Bound;
use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use super::entry::{APPLIED_KEY, WITHOUT_FORMAT, decode, decode_applied, encode, encode_applied, misshapen};
use super::memory::first_of;
use super::tally::Tally;
use super::{Applied, Broken, Index, Pointer, Update};
use crate::store::Key;

/// How long sled may give no sign of life while it is opened. A million records open in 0.2 s; a disk that is
/// just recovering deserves patience.
const SILENCE: Duration = Duration::from_secs(30);

/// How long to wait for a sled of this process that is still letting go of its lock.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// Bytes of sled's own segments. It rewrites one when half of it is garbage, and of its usual 512 KiB half is garbage late: at this length
/// a hundred thousand records that are written again and again take 53 MiB and not 130, for less work. A node of 256 keys, about 12 KiB,
/// must be less than a quarter of one.
pub(crate) const SEGMENT_BYTES: usize = 64 << 10;

/// Bytes that sled's file may have for each record, and beside them. Under endless changes it comes to 265 of them and stays there, until
/// reads in between make it lose sight of segments that it had begun to clean: then it grows, until it is opened again.
const TO_A_RECORD: u64 = 320;
const LEAST: u64 = 4 << 20;

/// How long nobody may read because of that: half a million records.
const MOMENT: Duration = Duration::from_secs(1);

/// Why an index of an earlier version is not used.
pub(crate) const EARLIER: &str = "it is of an earlier version";

/// Records between two signs of life.
const PULSE: u64 = 10_000;

/// sled, fenced.
pub(crate) struct Tree {
    // Taken out only on drop, and to be opened again.
    database: RwLock<Option<sled::Db>>,
    broken: AtomicBool,
    directory: PathBuf,
    cache_bytes: u64,
    /// How long it took to open it and to count what it holds.
    opened_in: Duration,
    /// Length of sled's file when it was opened.
    length_then: AtomicU64,
}

/// What a scan of the whole tree found.
pub(crate) struct Survey {
    /// What it says of itself; none where it has never been written.
    pub(crate) applied: Option<Applied>,
    /// What it holds.
    pub(crate) tally: Tally,
}

enum Sign {
    Alive,
    Opened(Box<Result<(Tree, Survey), Broken>>),
}

impl Tree {
    /// Opens it, with so much of it in memory, and counts what it holds, on a thread of its own that is left behind if it hangs.
    pub(crate) fn open(directory: &Path, cache_bytes: u64) -> Result<(Self, Survey), Broken> {
        let (signs, received) = mpsc::channel();
        let (began, directory) = (Instant::now(), directory.to_owned());
        let work = move || {
            let opened = Self::open_here(&directory, cache_bytes).and_then(|tree| {
                let survey = tree.survey(&|| drop(signs.send(Sign::Alive)))?;
                Ok((tree, survey))
            });
            // Where nobody listens any more, the tree is dropped here.
            drop(signs.send(Sign::Opened(Box::new(opened))));
        };
        let spawned = thread::Builder::new().name("index-open".into()).spawn(work);
        spawned.map_err(|error| Broken(format!("no thread to open it on: {error}")))?;
        loop {
            match received.recv_timeout(SILENCE) {
                Ok(Sign::Alive) => {}
                Ok(Sign::Opened(opened)) => {
                    let (mut tree, survey) = (*opened)?;
                    tree.opened_in = began.elapsed();
                    return Ok((tree, survey));
                }
                Err(_) => return Err(Broken("sled gave no sign of life while it was opened".into())),
            }
        }
    }

    fn open_here(directory: &Path, cache_bytes: u64) -> Result<Self, Broken> {
        let deadline = Instant::now() + LOCK_PATIENCE;
        let config = || {
            let config = sled::Config::new().path(directory).cache_capacity(cache_bytes);
            config.flush_every_ms(None).segment_size(SEGMENT_BYTES)
        };
        let database = loop {
            match fence(|| config().open()) {
                // The threads of a sled just dropped hold its lock a moment longer; no other process can, we hold ours.
                Err(broken) if broken.0.contains("could not acquire lock") && Instant::now() < deadline => {
                    thread::sleep(Duration::from_millis(20));
                }
                Err(broken) if broken.0.contains("cannot change the io buffer size") => {
                    return Err(Broken(EARLIER.into()));
                }
                opened => break opened?,
            }
        };
        let tree = Self {
            database: RwLock::new(Some(database)),
            broken: AtomicBool::new(false),
            directory: directory.to_owned(),
            cache_bytes,
            opened_in: Duration::MAX,
            length_then: AtomicU64::new(length(directory)),
        };
        restrict(directory).map_err(|error| Broken(format!("its permissions: {error}")))?;
        Ok(tree)
    }

    fn survey(&self, pulse: &dyn Fn()) -> Result<Survey, Broken> {
        if self.is_of_earlier()? {
            return Err(Broken(EARLIER.into()));
        }
        self.fenced(|tree| {
            let mut survey = Survey { applied: None, tally: Tally::default() };
            for entry in tree {
                let (key, value) = entry?;
                if key.is_empty() {
                    survey.applied = Some(decode_applied(&value).ok_or_else(misshapen)?);
                    continue;
                }
                let key = Key(key.as_ref().try_into().map_err(|_| misshapen())?);
                survey.tally.add(decode(&key, &value)?.digest);
                if survey.tally.records.is_multiple_of(PULSE) {
                    pulse();
                }
            }
            Ok(survey)
        })
    }

    fn is_of_earlier(&self) -> Result<bool, Broken> {
        self.fenced(|tree| Ok(tree.get(APPLIED_KEY)?.is_some_and(|applied| applied.len() == WITHOUT_FORMAT)))
    }

    fn fenced<T>(&self, act: impl FnOnce(&sled::Tree) -> sled::Result<T>) -> Result<T, Broken> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let Some(database) = &*database else {
            return Err(Broken("sled is closed".into()));
        };
        let done = fence(|| act(database));
        if done.is_err() {
            self.broken.store(true, Ordering::Relaxed);
        }
        done
    }

    fn applied(&self) -> Result<Option<Applied>, Broken> {
        self.fenced(|tree| Ok(tree.get(APPLIED_KEY)?.and_then(|applied| decode_applied(&applied))))
    }

    /// Opens it again where it has grown to more than its records need: sled then finds the segments that it has lost sight of. Where
    /// that takes a moment only: meanwhile nobody reads.
    fn trim(&self) -> Result<(), Broken> {
        let length = length(&self.directory);
        if length <= self.length_then.load(Ordering::Relaxed).max(LEAST) || self.opened_in > MOMENT {
            return Ok(());
        }
        let Some(before) = self.applied()? else { return Ok(()) };
        if length <= LEAST + before.tally.records * TO_A_RECORD {
            return Ok(());
        }
        tracing::debug!(length, "the index is opened again, to let go of what it has lost sight of");
        self.open_again(&before)
    }

    /// Nobody reads meanwhile. What it holds must be what it held.
    fn open_again(&self, before: &Applied) -> Result<(), Broken> {
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        let closed = database.take();
        let again = fence(|| {
            drop(closed);
            Ok(())
        })
        .and_then(|()| Self::open(&self.directory, self.cache_bytes));
        let again = again.and_then(|(again, survey)| {
            let is_same = survey.applied == Some(*before) && survey.tally == before.tally;
            is_same.then_some(again).ok_or_else(|| Broken("opened again, it holds something else".into()))
        });
        match again {
            Ok(again) => {
                self.length_then.store(again.length_then.load(Ordering::Relaxed), Ordering::Relaxed);
                *database = again.database.write().unwrap_or_else(PoisonError::into_inner).take();
                Ok(())
            }
            Err(broken) => {
                self.broken.store(true, Ordering::Relaxed);
                Err(broken)
            }
        }
    }
}

impl Index for Tree {
    fn read(&self, key: &Key) -> Result<Option<Pointer>, Broken> {
        self.fenced(|tree| tree.get(key.0)?.map(|value| decode(key, &value)).transpose())
    }

    fn scan(&self, prefix: &[u8], after: Option<&Key>, most: usize) -> Result<Vec<(Key, Pointer)>, Broken> {
        let from = first_of(prefix);
        let from = match after {
            Some(after) if *after >= from => Bound::Excluded(after.0),
            _ => Bound::Included(from.0),
        };
        self.fenced(|tree| {
            let mut found = Vec::new();
            for entry in tree.range((from, Bound::Unbounded)).take(most) {
                let (key, value) = entry?;
                if !key.starts_with(prefix) {
                    break;
                }
                let key = Key(key.as_ref().try_into().map_err(|_| misshapen())?);
                found.push((key, decode(&key, &value)?));
            }
            Ok(found)
        })
    }

    fn apply(&self, updates: Vec<Update>, applied: &Applied) -> Result<(), Broken> {
        let mut batch = sled::Batch::default();
        for (key, pointer) in updates {
            match pointer {
                Some(pointer) => batch.insert(&key.0[..], encode(&key, &pointer)),
                None => batch.remove(&key.0[..]),
            }
        }
        batch.insert(APPLIED_KEY, encode_applied(applied));
        self.fenced(|tree| tree.apply_batch(batch))
    }

    fn flush(&self) -> Result<(), Broken> {
        self.fenced(|tree| tree.flush().map(drop))?;
        self.trim()
    }
}

impl Drop for Tree {
    /// A broken sled may panic or hang once more when it goes: it does that on a thread that nobody waits for.
    fn drop(&mut self) {
        let database = self.database.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let let_go = move || {
            let fenced = fence(|| {
                drop(database);
                Ok(())
            });
            if let Err(broken) = fenced {
                tracing::debug!(%broken, "closing the index");
            }
        };
        if self.broken.load(Ordering::Relaxed) {
            drop(thread::Builder::new().name("index-drop".into()).spawn(let_go));
        } else {
            let_go();
        }
    }
}

/// Of sled's file.
fn length(directory: &Path) -> u64 {
    fs::metadata(directory.join("db")).map_or(0, |file| file.len())
}

fn fence<T>(act: impl FnOnce() -> sled::Result<T>) -> Result<T, Broken> {
    match catch_unwind(AssertUnwindSafe(act)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Broken(error.to_string())),
        Err(_) => Err(Broken("sled panicked".into())),
    }
}

/// Takes the files that sled made by the umask from everybody else. The directory is closed already; this is
/// for the day somebody opens it or copies them out.
fn restrict(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            fs::set_permissions(entry.path(), Permissions::from_mode(0o700))?;
            restrict(&entry.path())?;
        } else if kind.is_file() {
            fs::set_permissions(entry.path(), Permissions::from_mode(0o600))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::Mark;
    use crate::store::KEY_LENGTH;

    fn key(number: u64) -> Key {
        let mut key = [3; KEY_LENGTH];
        key[1..9].copy_from_slice(&number.to_be_bytes());
        Key(key)
    }

    fn pointer(number: u64) -> Pointer {
        Pointer { revision: number + 1, offset: 7, length: 9, digest: u128::from(number) << 70 }
    }

    #[test]
    fn opened_again_it_holds_what_it_held_and_takes_more_and_is_broken_where_it_holds_something_else() {
        let scratch = tempfile::tempdir().unwrap();
        let (tree, _) = Tree::open(scratch.path(), 1 << 20).unwrap();
        let mut applied = Applied { mark: Mark { sequence: 500, chain: [1; 32] }, tally: Tally::default() };
        (0..500).for_each(|number| applied.tally.add(pointer(number).digest));
        let updates = (0..500).map(|number| (key(number), Some(pointer(number)))).collect();
        tree.apply(updates, &applied).unwrap();
        tree.open_again(&applied).unwrap();
        assert_eq!(tree.scan(&[], None, 1000).unwrap().len(), 500);
        assert_eq!((tree.read(&key(3)).unwrap(), tree.applied().unwrap()), (Some(pointer(3)), Some(applied)));
        tree.apply(vec![(key(900), Some(pointer(900)))], &applied).unwrap();
        assert_eq!(tree.read(&key(900)).unwrap(), Some(pointer(900)));
        assert!(tree.open_again(&applied).is_err(), "a record more than it says");
        assert!(tree.read(&key(3)).is_err(), "it is broken from then on");
    }
}
