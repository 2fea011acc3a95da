//! The embedded store: an own journal as the truth, sled as its index, a cache of sealed records in front.
//!
//! ```text
//! commit -> queue -> committer: journal (write, one sync a group) -> late, cache -> answer; applier: late -> index
//! read   -> cache -> late -> index -> the value in a snapshot or a segment
//! open   -> journal held against the audit log; index held against the journal, or made anew
//! upkeep -> snapshot before + journal -> snapshot; segments that two of them cover are removed
//! ```
//!
//! Never serves from two processes at once: the journal directory is locked before it is looked at.

mod applier;
mod backpressure;
mod base;
mod committer;
mod condition;
mod fold;
mod front;
mod in_memory;
mod inspection;
mod late;
mod presence;
mod recovery;
mod refusal;
mod replay;
mod shares;
mod standing;
mod upkeep;
mod values;

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use tokio::sync::{oneshot, watch};

use self::applier::Applier;
use self::backpressure::Backpressure;
use self::committer::{Ask, Committer, Request, Weight};
use self::condition::Condition;
use self::front::{Front, Unread};
use self::recovery::{Recovered, Recovery};
pub use self::refusal::OpenError;
use self::standing::Shown;
pub use self::standing::Standing;
pub use self::upkeep::{Retention, SnapshotError};
use self::upkeep::{Task, Upkeep};
use super::device::{Device, Disk};
use super::index::tally::{Digester, Tally};
use super::index::{Applied, Broken};
use super::journal::record;
use super::journal::segment::{Identity, RECORDS_AT};
use super::journal::walk::{self, Trouble};
use super::journal::writer::{Workshop, Writer};
use super::snapshot::Snapshot;
use super::{Batch, Commit, CommitError, Health, Key, ReadError, Record, State, Store, Unwitnessed, Witness};
use crate::chain::Mark;
use crate::clock::Clock;
use crate::crypto::mac::MacKey;
use crate::os::durable;
use crate::os::lock::{Lock, LockError};
use crate::room::RoomError;

/// Length of a journal segment: long enough that making one is rare, short enough that the one in use and the next one, which is there
/// beforehand, are little beside the data.
pub const SEGMENT_BYTES: u64 = 8 << 20;

/// How long segments are, and when a snapshot is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Length of new segments, in bytes.
    pub segment_bytes: u64,
    /// Bytes of closed segments after which a snapshot is made: at least so many.
    pub snapshot_after: u64,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { segment_bytes: SEGMENT_BYTES, snapshot_after: SNAPSHOT_AFTER }
    }
}

/// Bytes of closed segments after which a snapshot is made, where the live data is less.
pub const SNAPSHOT_AFTER: u64 = 16 << 20;

/// What the cache of sealed records may take.
pub const CACHE_BYTES: u64 = 256 << 20;

/// What sled's page cache may take: the pointers of a million records.
pub const INDEX_CACHE_BYTES: u64 = 128 << 20;

/// How far the making of an index has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rebuild {
    /// Bytes of the journal read.
    pub read: u64,
    /// Bytes of the journal in all.
    pub total: u64,
}

/// Told how far the making of an index has come.
pub type Progress = Box<dyn FnMut(Rebuild) + Send>;

/// How to open a store.
pub struct Options {
    /// The state directory; `journal` and `index` are below it. Its parent exists.
    pub directory: PathBuf,
    /// Whose journal it is.
    pub vault: [u8; 16],
    /// The journal key.
    pub key: MacKey,
    /// The audit log.
    pub witness: Arc<dyn Witness>,
    /// What the audit log has seen of the journal: it must reach this record, and with this chain value.
    pub expected: Mark,
    /// Records before that one which it has not seen all the same, in order.
    pub overtaken: Vec<u64>,
    /// For the time in the records.
    pub clock: Arc<dyn Clock>,
    /// Called while the index is made anew.
    pub progress: Progress,
    /// What the cache may take, in bytes.
    pub cache_bytes: u64,
    /// What sled's page cache may take, in bytes.
    pub index_cache_bytes: u64,
    /// Length of new segments.
    pub segment_bytes: u64,
    /// Bytes of closed segments after which a snapshot is made: at least so many.
    pub snapshot_after: u64,
    /// How long segments are kept that snapshots cover.
    pub retention: Retention,
    /// The disk.
    pub device: Arc<dyn Device>,
}

impl Options {
    /// The usual sizes, the real disk, nobody who watches.
    #[must_use]
    pub fn new(
        directory: PathBuf,
        vault: [u8; 16],
        key: MacKey,
        witness: Arc<dyn Witness>,
        expected: Mark,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            directory,
            vault,
            key,
            witness,
            expected,
            overtaken: Vec::new(),
            clock,
            progress: Box::new(|_| {}),
            cache_bytes: CACHE_BYTES,
            index_cache_bytes: INDEX_CACHE_BYTES,
            segment_bytes: SEGMENT_BYTES,
            snapshot_after: SNAPSHOT_AFTER,
            retention: Retention::Covered,
            device: Arc::new(Disk),
        }
    }
}

/// What was found at opening.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Durable records that the audit log has not seen; to be entered there now.
    pub unwitnessed: Vec<Unwitnessed>,
    /// The newest audit mark in the journal: the audit log must reach it, and with this chain value.
    pub witnessed: Mark,
    /// Why the index was made anew, if it was.
    pub rebuilt: Option<String>,
}

/// What the threads of a store share.
struct Shared {
    front: Front,
    condition: Arc<Condition>,
    published: Mutex<Applied>,
    closing: AtomicBool,
    digester: Digester,
    identity: Identity,
    clock: Arc<dyn Clock>,
    witness: Arc<dyn Witness>,
    device: Arc<dyn Device>,
    journal: PathBuf,
    snapshots: PathBuf,
    index: PathBuf,
    snapshot_after: u64,
    retention: Retention,
    /// The last record that a backup has.
    backed_up: AtomicU64,
    /// For the thread that makes snapshots.
    tasks: Sender<Task>,
    standing: Shown,
    /// Held by whoever removes a file, and by whoever must find all of them.
    files: Mutex<()>,
    /// Slows writers down while a snapshot is made.
    backpressure: Backpressure,
}

/// A segment of the journal, for whoever copies it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentInfo {
    /// The file.
    pub path: PathBuf,
    /// It goes on after this record.
    pub before: Mark,
    /// Its last record; none where it is still written to.
    pub last: Option<Mark>,
}

impl Shared {
    /// The last record that is durable and applied.
    fn head(&self) -> Mark {
        self.published.lock().unwrap_or_else(PoisonError::into_inner).mark
    }

    /// How many records there are.
    fn records(&self) -> u64 {
        self.published.lock().unwrap_or_else(PoisonError::into_inner).tally.records
    }

    fn files(&self) -> MutexGuard<'_, ()> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, applied: &Applied) {
        *self.published.lock().unwrap_or_else(PoisonError::into_inner) = *applied;
    }
}

/// What a store stands on before it runs.
struct Ground {
    workshop: Workshop,
    identity: Identity,
    digester: Digester,
    lock: Lock,
}

/// The store in a directory of this machine.
pub struct EmbeddedStore {
    shared: Arc<Shared>,
    queue: Sender<Request>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    largest: usize,
    // Let go last: until then nobody else may look.
    _lock: Lock,
}

impl EmbeddedStore {
    /// Opens the store, or makes it where nobody has seen one.
    ///
    /// # Errors
    /// Nothing was changed that was acknowledged.
    pub fn open(mut options: Options) -> Result<(Self, Opened), OpenError> {
        let journal = options.directory.join("journal");
        let lock = prepare_directories(&options.directory, &journal)?;
        let no_room = |why: RoomError| OpenError::Io { file: journal.clone(), error: why.into() };
        let identity = Identity::new(options.vault, &options.key).map_err(no_room)?;
        let digester = Digester::new(&options.key).map_err(no_room)?;
        let device = Arc::clone(&options.device);
        let workshop = Workshop::new(journal.clone(), device, options.segment_bytes);
        let workshop = workshop.map_err(|error| OpenError::Io { file: journal, error })?;
        let recovery = Recovery {
            options: &mut options,
            identity: &identity,
            digester: &digester,
            workshop: &workshop,
            snapshots: Vec::new(),
            unfit: Vec::new(),
            laid: None,
        };
        let recovered = recovery.run()?;
        Self::assemble(options, Ground { workshop, identity, digester, lock }, recovered)
    }

    /// Starts the threads over a store that adds up.
    fn assemble(options: Options, ground: Ground, recovered: Recovered) -> Result<(Self, Opened), OpenError> {
        let Ground { workshop, identity, digester, lock } = ground;
        let Recovered { front, applied, end, unwitnessed, witnessed, rebuilt, unread } = recovered;
        let io = |error| OpenError::Io { file: end.file.clone(), error };
        let (journal, device) = (workshop.directory.clone(), Arc::clone(&workshop.device));
        let (tasks, told) = mpsc::channel();
        let writer = Writer::open(workshop, identity.clone(), &end.file, end.offset).map_err(io)?;
        let shared = Arc::new(Shared {
            front,
            condition: Arc::new(Condition::new()),
            published: Mutex::new(applied),
            closing: AtomicBool::new(false),
            digester,
            identity,
            clock: options.clock,
            witness: options.witness,
            device,
            journal,
            snapshots: options.directory.join("snapshots"),
            index: index_in(&options.directory),
            snapshot_after: options.snapshot_after,
            retention: options.retention,
            backed_up: AtomicU64::new(0),
            tasks,
            standing: Shown::default(),
            files: Mutex::new(()),
            backpressure: Backpressure::default(),
        });
        let (queue, requests) = mpsc::channel();
        let committer = Committer::new(Arc::clone(&shared), requests, writer, &applied);
        let mut threads = vec![start("committer", &shared, move |_| committer.run()).map_err(io)?];
        let applier = Applier::new(Arc::clone(&shared), queue.clone());
        threads.push(start("applier", &shared, move |_| applier.run()).map_err(io)?);
        let upkeep = Upkeep::new(Arc::clone(&shared), told);
        threads.push(start("upkeep", &shared, move |_| upkeep.run()).map_err(io)?);
        if let Some((segments, then)) = unread {
            let inspect = move |shared: &Shared| inspection::inspect(shared, &segments, then);
            threads.push(start("inspection", &shared, inspect).map_err(io)?);
        }
        let room = usize::try_from(options.segment_bytes).unwrap_or(usize::MAX).saturating_sub(RECORDS_AT);
        let largest = record::MOST.min(room);
        let store = Self { shared, queue, threads: Mutex::new(threads), largest, _lock: lock };
        Ok((store, Opened { unwitnessed, witnessed, rebuilt }))
    }

    /// The state as it changes: on `Failed` the process should exit.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<State> {
        self.shared.condition.watch()
    }

    /// How many records there are now, and their digest.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.shared.published.lock().unwrap_or_else(PoisonError::into_inner).tally
    }

    /// A snapshot that holds at least all that was durable when this was called, verified; made where there is none.
    ///
    /// # Errors
    /// It could not be made; the store goes on.
    pub fn snapshot(&self) -> impl Future<Output = Result<Snapshot, SnapshotError>> + Send + 'static + use<> {
        let (answer, answered) = oneshot::channel();
        // Where the thread is gone, so is `answer`, sent or not.
        drop(self.shared.tasks.send(Task::Snapshot(answer)));
        async move { answered.await.unwrap_or(Err(SnapshotError::Closed)) }
    }

    /// The segments there are, oldest first. The last one is still written to: it is durable up to the head that
    /// [`Store::health`] says.
    ///
    /// # Errors
    /// The journal is damaged, or cannot be read.
    pub fn segments(&self) -> Result<Vec<SegmentInfo>, Trouble> {
        let segments = walk::segments(&self.shared.journal, &self.shared.identity)?;
        let lasts = segments.iter().skip(1).map(|next| Some(next.before)).chain([None]);
        let described = segments.iter().zip(lasts);
        let describe = |(segment, last): (&walk::Segment, _)| SegmentInfo {
            path: segment.path.clone(),
            before: segment.before,
            last,
        };
        Ok(described.map(describe).collect())
    }

    /// A backup has every record up to this one: segments that hold nothing beyond it may go once snapshots cover
    /// them. Never moves back.
    pub fn backed_up(&self, sequence: u64) {
        self.shared.backed_up.fetch_max(sequence, Ordering::AcqRel);
    }

    /// Ready once the committer has come to this question: for a watchdog.
    ///
    /// # Errors
    /// The committer is gone.
    pub fn probe(&self) -> impl Future<Output = Result<(), CommitError>> + Send + 'static + use<> {
        let (answer, answered) = oneshot::channel();
        // Where the committer is gone, so is `answer`, sent or not.
        drop(self.queue.send(Request::Probe(answer)));
        async move { answered.await.map_err(|_| CommitError::Failed("its committer is gone".into())) }
    }
}

impl Store for EmbeddedStore {
    fn read(&self, key: &Key) -> Result<Option<Record>, ReadError> {
        self.shared.front.read(key).map_err(|unread| self.report(unread))
    }

    fn prefetch(&self, keys: &[Key]) {
        self.shared.front.prefetch(keys);
    }

    fn scan(&self, prefix: &[u8], after: Option<&Key>, most: usize) -> Result<Vec<(Key, Record)>, ReadError> {
        self.shared.front.scan(prefix, after, most).map_err(|unread| self.report(unread))
    }

    fn commit(&self, batch: Batch) -> Commit {
        self.ask(batch, Weight::Usual)
    }

    fn commit_precious(&self, batch: Batch) -> Commit {
        self.ask(batch, Weight::Precious)
    }

    fn health(&self) -> Health {
        let applied = *self.shared.published.lock().unwrap_or_else(PoisonError::into_inner);
        Health {
            state: self.shared.condition.state(),
            records: applied.tally.records,
            head: applied.mark,
            index: self.shared.front.kind(),
        }
    }

    fn standing(&self) -> Standing {
        self.shared.standing.now()
    }

    fn close(&self) {
        self.shared.closing.store(true, Ordering::Relaxed);
        drop(self.queue.send(Request::Close));
        drop(self.shared.tasks.send(Task::Close));
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let mut threads = threads.into_iter();
        // The committer, who alone brings something for the index: what it brought last is still put there.
        drop(threads.next().map(JoinHandle::join));
        self.shared.front.close();
        for thread in threads {
            drop(thread.join());
        }
    }
}

impl EmbeddedStore {
    fn ask(&self, batch: Batch, weight: Weight) -> Commit {
        let length = record::length(&batch);
        if length > self.largest {
            return Box::pin(std::future::ready(Err(CommitError::TooLarge)));
        }
        let (answer, answered) = oneshot::channel();
        let sent = self.queue.send(Request::Commit(Ask { batch, length, weight, answer }));
        // Where the committer is gone, so is `answer`, sent or not.
        drop(sent);
        let condition = Arc::clone(&self.shared.condition);
        Box::pin(async move {
            let gone =
                || condition.refusal().unwrap_or_else(|| CommitError::Failed("the store is closed".into()));
            answered.await.unwrap_or_else(|_| Err(gone()))
        })
    }

    fn report(&self, unread: Unread) -> ReadError {
        match unread {
            Unread::Broken(Broken(why)) => {
                if self.shared.front.breaks() {
                    drop(self.queue.send(Request::Replace(why.clone())));
                }
                ReadError(why)
            }
            Unread::NotNow(why) => ReadError(format!("a segment of the journal cannot be opened: {why}")),
        }
    }
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        self.close();
    }
}

/// Starts a thread whose panic fails the store.
fn start(
    name: &str,
    shared: &Arc<Shared>,
    work: impl FnOnce(&Shared) + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let shared = Arc::clone(shared);
    let named = format!("store-{name}");
    let what = format!("a defect: its {name} thread panicked");
    thread::Builder::new().name(named).spawn(move || {
        if catch_unwind(AssertUnwindSafe(|| work(&shared))).is_err() {
            shared.condition.fail(what);
        }
    })
}

/// Where the index is.
fn index_in(directory: &Path) -> PathBuf {
    directory.join("index")
}

fn prepare_directories(directory: &Path, journal: &Path) -> Result<Lock, OpenError> {
    let failed = |file: &Path| {
        let file = file.to_owned();
        move |error| OpenError::Io { file, error }
    };
    make_directory(directory).map_err(failed(directory))?;
    make_directory(journal).map_err(failed(journal))?;
    let snapshots = directory.join("snapshots");
    make_directory(&snapshots).map_err(failed(&snapshots))?;
    let path = journal.join("lock");
    Lock::take(&path).map_err(|error| match error {
        LockError::Held(_) => OpenError::Busy(directory.to_owned()),
        LockError::Io(file, error) => OpenError::Io { file, error },
    })
}

/// Makes a directory for us alone, and its name durable, if it is not there.
fn make_directory(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => durable::sync_directory(path.parent().unwrap_or(Path::new("/"))),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
