//! The index in sled.
//!
//! The hard problem: sled answers damage with a panic, a hang, or silence (docs/storage.md). The answer: every
//! call is fenced against panics, opening has a time limit, and what it holds is counted and digested before it
//! is believed.
//!
//! Pointers stand in leaves ([`super::leaf`]), whose lowest keys are known in memory. Leaves are written one after the other, how far the
//! index has come after them: so nobody who reads waits for more than one, and after a crash some may be ahead of what the index says
//! ([`crate::store::index`]).
//!
//! Never asked whether something is durable.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io;
use std::ops::Bound;
use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use super::entry::{APPLIED_KEY, decode_applied, encode_applied, is_of_earlier, misshapen};
use super::leaf::{LEAST, Leaf, MOST};
use super::memory::first_of;
use super::tally::Tally;
use super::{Applied, Broken, Index, Pointer, Update};
use crate::store::{KEY_LENGTH, Key};

/// How long sled may give no sign of life while it is opened. A million records open in 0.2 s; a disk that is
/// just recovering deserves patience.
const SILENCE: Duration = Duration::from_secs(30);

/// How long to wait for a sled of this process that is still letting go of its lock.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// Bytes of sled's own segments. A node of 17 leaves, about 70 KiB, must be less than a quarter of one.
pub(crate) const SEGMENT_BYTES: usize = 512 << 10;

/// Leaves after which they are written out: sled uses the room of those before only then.
const FLUSH: usize = 64;

/// No key is below it.
const LOWEST: Key = Key([0; KEY_LENGTH]);

/// Why an index of an earlier version is not used.
pub(crate) const EARLIER: &str = "it is of an earlier version";

/// Records between two signs of life.
const PULSE: u64 = 10_000;

/// sled, fenced.
pub(crate) struct Tree {
    // Taken out only on drop.
    database: Option<sled::Db>,
    broken: AtomicBool,
    /// The lowest key of each leaf. Held for reading while a leaf is looked for in sled, for writing while leaves come or go.
    leaves: RwLock<BTreeSet<Key>>,
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
        let directory = directory.to_owned();
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
                Ok(Sign::Opened(opened)) => return *opened,
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
            database: Some(database),
            broken: AtomicBool::new(false),
            leaves: RwLock::new(BTreeSet::new()),
        };
        restrict(directory).map_err(|error| Broken(format!("its permissions: {error}")))?;
        Ok(tree)
    }

    /// Reads all there is, and learns which leaves there are.
    fn survey(&self, pulse: &dyn Fn()) -> Result<Survey, Broken> {
        if self.fenced(|tree| Ok(tree.get(APPLIED_KEY)?.is_some_and(|applied| is_of_earlier(&applied))))? {
            return Err(Broken(EARLIER.into()));
        }
        self.fenced(|tree| {
            let mut survey = Survey { applied: None, tally: Tally::default() };
            let mut leaves = BTreeSet::new();
            let mut last = None;
            for entry in tree {
                let (lowest, stored) = entry?;
                if lowest.is_empty() {
                    survey.applied = Some(decode_applied(&stored).ok_or_else(misshapen)?);
                    continue;
                }
                let lowest = Key(lowest.as_ref().try_into().map_err(|_| misshapen())?);
                if last.is_some_and(|last: Key| last >= lowest) {
                    return Err(misshapen());
                }
                let before = survey.tally.records;
                for (key, pointer) in Leaf::stored(&lowest, &stored)?.iter() {
                    if key < lowest || last.replace(key).is_some_and(|last| last >= key) {
                        return Err(misshapen());
                    }
                    survey.tally.add(pointer.digest);
                }
                leaves.insert(lowest);
                if survey.tally.records / PULSE != before / PULSE {
                    pulse();
                }
            }
            *self.leaves.write().unwrap_or_else(PoisonError::into_inner) = leaves;
            Ok(survey)
        })
    }

    fn leaves(&self) -> RwLockReadGuard<'_, BTreeSet<Key>> {
        self.leaves.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lowest key of the leaf that the key belongs to, and of the one after it.
    fn around(&self, key: &Key) -> (Option<Key>, Option<Key>) {
        let leaves = self.leaves();
        let above = (Bound::Excluded(*key), Bound::Unbounded);
        (leaves.range(..=*key).next_back().copied(), leaves.range(above).next().copied())
    }

    /// Brings one leaf up to date; where there is none yet, the first one.
    fn update(&self, tree: &sled::Tree, lowest: Option<Key>, updates: &[Update]) -> sled::Result<()> {
        let Some(lowest) = lowest else {
            return self.reshape(tree, LOWEST, Leaf::none().with(updates));
        };
        let changed = Leaf::stored(&lowest, &stored(tree, &lowest)?)?.with(updates);
        if (LEAST..=MOST).contains(&changed.len()) {
            return tree.insert(lowest.0, changed.to_stored(&lowest)).map(drop);
        }
        self.reshape(tree, lowest, changed)
    }

    /// Splits a leaf that is too long, and joins one that is too short to the one before: at once, for readers and for a start after a crash.
    fn reshape(&self, tree: &sled::Tree, lowest: Key, changed: Leaf<Vec<u8>>) -> sled::Result<()> {
        let mut leaves = self.leaves.write().unwrap_or_else(PoisonError::into_inner);
        let mut batch = sled::Batch::default();
        let mut gone = |lowest: &Key, leaves: &mut BTreeSet<Key>| {
            batch.remove(&lowest.0[..]);
            leaves.remove(lowest);
        };
        let (mut lowest, mut changed) = (lowest, changed);
        gone(&lowest, &mut leaves);
        if changed.len() < LEAST
            && let Some(before) = leaves.range(..lowest).next_back().copied()
        {
            let mut joined = Leaf::stored(&before, &stored(tree, &before)?)?.with(&[]);
            joined.join(&changed);
            (lowest, changed) = (before, joined);
            gone(&lowest, &mut leaves);
        }
        for (lowest, leaf) in changed.split(&lowest) {
            batch.insert(&lowest.0[..], leaf.to_stored(&lowest));
            leaves.insert(lowest);
        }
        tree.apply_batch(batch)
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
        self.fenced(|tree| {
            let leaves = self.leaves();
            let Some(lowest) = leaves.range(..=*key).next_back() else { return Ok(None) };
            Ok(Leaf::stored(lowest, &stored(tree, lowest)?)?.find(key))
        })
    }

    fn scan(&self, prefix: &[u8], after: Option<&Key>, most: usize) -> Result<Vec<(Key, Pointer)>, Broken> {
        let first = first_of(prefix);
        let is_after = |key: &Key| *key >= first && after.is_none_or(|after| key > after);
        let from = after.map_or(first, |after| first.max(*after));
        self.fenced(|tree| {
            let leaves = self.leaves();
            let begin = leaves.range(..=from).next_back().copied().unwrap_or(LOWEST);
            let mut found = Vec::new();
            for lowest in leaves.range(begin..) {
                for (key, pointer) in Leaf::stored(lowest, &stored(tree, lowest)?)?.iter() {
                    if !is_after(&key) {
                        continue;
                    }
                    if !key.0.starts_with(prefix) || found.len() >= most {
                        return Ok(found);
                    }
                    found.push((key, pointer));
                }
            }
            Ok(found)
        })
    }

    fn apply(&self, updates: &[Update], applied: &Applied) -> Result<(), Broken> {
        self.fenced(|tree| {
            let (mut left, mut unflushed) = (updates, 0);
            while let Some((first, _)) = left.first() {
                let (lowest, next) = self.around(first);
                let (here, beyond) =
                    left.split_at(left.partition_point(|(key, _)| next.is_none_or(|next| *key < next)));
                self.update(tree, lowest, here)?;
                left = beyond;
                unflushed += 1;
                if unflushed == FLUSH {
                    unflushed = 0;
                    tree.flush()?;
                }
            }
            tree.insert(APPLIED_KEY, encode_applied(applied)).map(drop)
        })
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

/// What sled has of a leaf that there is.
fn stored(tree: &sled::Tree, lowest: &Key) -> sled::Result<sled::IVec> {
    tree.get(lowest.0)?.ok_or_else(misshapen)
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
mod tests;
