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
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
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
/// sled takes less room, for less work. A node of 256 keys, about 12 KiB,
/// must be less than a quarter of one.
pub(crate) const SEGMENT_BYTES: usize = 64 << 10;

/// Why an index of an earlier version is not used.
pub(crate) const EARLIER: &str = "it is of an earlier version";

/// Records between two signs of life.
const PULSE: u64 = 10_000;

/// sled, fenced.
pub(crate) struct Tree {
    // Taken out only on drop.
    database: Option<sled::Db>,
    broken: AtomicBool,
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
    Opened(Result<(Tree, Survey), Broken>),
}

impl Tree {
    /// Opens it, with so much of it in memory, and counts what it holds, on a thread of its own that is left behind if it hangs.
    pub(crate) fn open(directory: &Path, cache_bytes: u64) -> Result<(Self, Survey), Broken> {
        let (signs, received) = mpsc::channel();
        let directory = directory.to_owned();
        let work = move || {
            let opened = Self::open_here(&directory, cache_bytes).and_then(|tree| {
                let survey = tree.survey(&|| drop(signs.send(Sign::Alive)))?;
                Ok((tree, survey))
            });
            // Where nobody listens any more, the tree is dropped here.
            drop(signs.send(Sign::Opened(opened)));
        };
        let spawned = thread::Builder::new().name("index-open".into()).spawn(work);
        spawned.map_err(|error| Broken(format!("no thread to open it on: {error}")))?;
        loop {
            match received.recv_timeout(SILENCE) {
                Ok(Sign::Alive) => {}
                Ok(Sign::Opened(opened)) => return opened,
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
        let tree = Self { database: Some(database), broken: AtomicBool::new(false) };
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
        let Some(database) = &self.database else {
            return Err(Broken("sled is closed".into()));
        };
        let done = fence(|| act(database));
        if done.is_err() {
            self.broken.store(true, Ordering::Relaxed);
        }
        done
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
        self.fenced(|tree| tree.flush().map(drop))
    }
}

impl Drop for Tree {
    /// A broken sled may panic or hang once more when it goes: it does that on a thread that nobody waits for.
    fn drop(&mut self) {
        let database = self.database.take();
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
