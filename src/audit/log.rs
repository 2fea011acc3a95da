//! The log, as the vault knows it.
//!
//! The hard problem: reads cannot wait for a disk, changes must. The answer: two ways to append, one line format,
//! one chain; the vault chooses by what it answers for.
//!
//! Never answers for a line that is not in the file.

use std::fmt;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::entry::Entry;
use super::gathering::Gathered;
use super::query::{self, Filter, Page};
use super::recovery::{self, Recovered};
use super::syncer::{self, Shared};
use super::verify::{self, Verified, VerifyError};
use super::walk::{Break, ReadError};
use super::writer::{Ground, SEGMENT_MOST, Start, Writer};
use crate::chain::Mark;
use crate::clock::Clock;
use crate::crypto::mac::MacKey;
use crate::store::Witness;

/// When lines that nobody waits for are synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// The vault waits for each line ([`Log::append_durable`]), reads too.
    Always,
    /// So long after they were written.
    Interval(Duration),
}

impl Sync {
    /// What a read may lose in a power cut, unless configured otherwise.
    pub const DEFAULT: Self = Self::Interval(Duration::from_millis(50));
}

/// How to open a log.
pub struct Options {
    /// Where it is; made where it is missing, its parent is not.
    pub directory: PathBuf,
    /// Whose log it is.
    pub vault: [u8; 16],
    /// The key of this log and of nothing else.
    pub key: MacKey,
    /// When lines are synced.
    pub sync: Sync,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

/// What was found at open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The last entry.
    pub head: Mark,
    /// The newest journal mark that an entry carries.
    pub journal: Mark,
    /// Journal records before that one of which no entry speaks: the later change was written down first, and
    /// then a crash came.
    pub overtaken: Vec<u64>,
    /// What a crash left unfinished, and was cut off.
    pub torn: Option<Torn>,
}

/// An end that a crash left unfinished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torn {
    /// Name of the file.
    pub file: String,
    /// The first unfinished line, from 1.
    pub line: u64,
    /// Bytes that were cut off.
    pub bytes: u64,
}

/// Why the log was not opened.
#[derive(Debug)]
pub enum OpenError {
    /// It is not what was written.
    Damaged(Break),
    /// Others may reach it, or it is not a plain directory and plain files.
    Insecure(PathBuf),
    /// The kernel would not let us.
    Io(PathBuf, io::Error),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(found) => write!(
                f,
                "the audit log is damaged: {found}; nothing was changed: keep a copy and restore the audit directory from a backup"
            ),
            Self::Insecure(path) => {
                write!(f, "{} must be for its owner only: chmod -R go= it, and no links", path.display())
            }
            Self::Io(path, error) => write!(f, "the audit log cannot be opened: {}: {error}", path.display()),
        }
    }
}

impl std::error::Error for OpenError {}

/// Why nothing was written down. Then nothing may be released.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditError {
    /// The entry is longer than a line may be: a fault of ours.
    TooLong,
    /// The log cannot be written, and why.
    Unavailable(String),
}

impl fmt::Display for AuditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => f.write_str("the audit entry is too long"),
            Self::Unavailable(why) => write!(f, "the audit log is unavailable: {why}"),
        }
    }
}

impl std::error::Error for AuditError {}

/// Whether the log takes entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It takes no more in this life, and why.
    Failed(String),
    /// No room could be set aside: what is left is for reads.
    Low,
    /// It takes entries.
    Ok,
}

/// How the log is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Whether it takes entries.
    pub state: State,
    /// The last entry.
    pub head: Mark,
}

/// The audit log.
pub struct Log {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
    directory: PathBuf,
    vault: [u8; 16],
    key: MacKey,
    always: bool,
}

impl Log {
    /// Opens the log, or begins one. Checks the last segment line by line.
    ///
    /// # Errors
    /// It is damaged, open to others, or cannot be read or written.
    pub fn open(options: Options) -> Result<(Self, Opened), OpenError> {
        Self::open_with(options, SEGMENT_MOST)
    }

    pub(super) fn open_with(options: Options, segment_most: u64) -> Result<(Self, Opened), OpenError> {
        let Options { directory, vault, key, sync, clock } = options;
        let io = |error| OpenError::Io(directory.clone(), error);
        let found = recovery::recover(&directory, &key, vault)?;
        let ground = Ground { directory: directory.clone(), vault, key: key.clone(), clock, segment_most };
        let (writer, overtaken, torn) = match found {
            Some(Recovered { name, file, size, head, journal, overtaken, torn }) => {
                let start = Start { name, file, size, head, journal };
                (Writer::resume(ground, start).map_err(io)?, overtaken, torn)
            }
            None => (Writer::begin(ground).map_err(io)?, Vec::new(), None),
        };
        let opened = Opened { head: writer.head(), journal: writer.journal(), overtaken, torn };
        let (interval, always) = match sync {
            Sync::Always => (Duration::from_millis(50), true),
            Sync::Interval(interval) => (interval, false),
        };
        let shared = Arc::new(Shared::new(writer, interval));
        let thread = {
            let shared = Arc::clone(&shared);
            thread::Builder::new().name("audit-sync".into()).spawn(move || shared.run()).map_err(io)?
        };
        Ok((Self { shared, thread: Mutex::new(Some(thread)), directory, vault, key, always }, opened))
    }

    /// Whether reads too wait for the disk.
    #[must_use]
    pub fn sync_always(&self) -> bool {
        self.always
    }

    /// Writes an entry; it is in the file, not yet on disk, when this returns.
    ///
    /// # Errors
    /// It is not in the log: nothing may be released.
    pub fn append(&self, entry: &Entry<'_>) -> Result<Mark, AuditError> {
        let mark = self.shared.writer().append(entry)?;
        self.shared.note_line();
        Ok(mark)
    }

    /// Writes entries, one after the other and nobody's between them; they are in the file, not yet on disk, when this
    /// returns.
    ///
    /// # Errors
    /// Not all of them are in the log: nothing of what they say may be released.
    pub fn append_all<'e>(&self, entries: impl Iterator<Item = Entry<'e>>) -> Result<Mark, AuditError> {
        let written = self.shared.writer().append_all(entries);
        // Some may be in the file even where others are not.
        self.shared.note_line();
        written
    }

    /// Takes an entry that may share its write with those of other requests; it is not in the file before
    /// [`Gathered::written`] says so. The order of entries is that of these calls.
    ///
    /// # Errors
    /// It is not in the log: nothing may be released.
    pub fn gather(&self, entry: &Entry<'_>) -> Result<Gathered<'_>, AuditError> {
        Gathered::new(&self.shared, entry)
    }

    /// Writes an entry now; ready once it is on disk. Dropping the future changes nothing.
    ///
    /// # Errors
    /// It is not in the log, or not known to be on disk: nothing may be answered for.
    pub fn append_durable(
        &self,
        entry: &Entry<'_>,
    ) -> impl Future<Output = Result<Mark, AuditError>> + Send + 'static + use<> {
        let progress = self.shared.progress();
        let written = self.append(entry);
        if written.is_ok() {
            self.shared.hurry();
        }
        async move { syncer::until_durable(progress, written?).await }
    }

    /// Ready once every line that is in the file now is on disk.
    ///
    /// # Errors
    /// They are not known to be on disk: nothing may be answered for.
    pub fn durable(&self) -> impl Future<Output = Result<Mark, AuditError>> + Send + 'static + use<> {
        let (progress, head) = (self.shared.progress(), self.head());
        self.shared.hurry();
        async move { syncer::until_durable(progress, head).await }
    }

    /// How it is now.
    #[must_use]
    pub fn health(&self) -> Health {
        let writer = self.shared.writer();
        Health { state: writer.state(), head: writer.head() }
    }

    /// Ready once the kernel would not write or sync the log, with why: the process should exit. Not where somebody has
    /// touched its file: that is for a person to look at.
    pub fn device_failure(&self) -> impl Future<Output = String> + Send + 'static + use<> {
        let mut progress = self.shared.progress();
        async move {
            let failed = progress.wait_for(|progress| progress.device_failed).await;
            let reason = failed.ok().and_then(|progress| progress.failed.as_deref().map(str::to_owned));
            reason.unwrap_or_else(|| "its thread is gone".to_owned())
        }
    }

    /// How often its thread has gone round: at least four times a second unless it is stuck. For a watchdog.
    #[must_use]
    pub fn rounds(&self) -> u64 {
        self.shared.rounds()
    }

    /// Whether the log has that very entry.
    ///
    /// # Errors
    /// The segment is damaged, or cannot be read.
    pub fn contains(&self, mark: Mark) -> Result<bool, ReadError> {
        let head = self.head();
        if mark.sequence >= head.sequence || mark.sequence == 0 {
            return Ok(mark == head || mark == Mark::START);
        }
        query::find(&self.directory, &self.key, self.vault, mark)
    }

    /// Checks every line up to the present head; finds the first break. Reads every file: not for an async thread.
    ///
    /// # Errors
    /// The first break, or a file that cannot be read.
    pub fn verify(&self) -> Result<Verified, VerifyError> {
        verify::verify(&self.directory, &self.key, self.vault, Some(self.head()))
    }

    /// Entries after the sequence `after` that match, oldest first, at most `most`. Reads files: not for an async
    /// thread.
    ///
    /// # Errors
    /// A segment is damaged, or cannot be read.
    pub fn query(&self, filter: &Filter, after: u64, most: usize) -> Result<Page, ReadError> {
        query::read(
            &self.directory,
            &self.key,
            self.vault,
            filter,
            query::Span { after, head: self.head(), most },
        )
    }

    /// The last `most` entries, oldest first.
    ///
    /// # Errors
    /// As [`Log::query`].
    pub fn last(&self, most: usize) -> Result<Page, ReadError> {
        let after = self.head().sequence.saturating_sub(most as u64);
        self.query(&Filter::default(), after, most)
    }

    /// Where it is.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Makes every line durable, takes no more, and waits for the thread.
    pub fn close(&self) {
        self.shared.stop();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // Its panic has failed the log already.
            let _ended = thread.join();
        }
    }

    fn head(&self) -> Mark {
        self.shared.writer().head()
    }
}

impl Witness for Log {
    fn durable_head(&self) -> Mark {
        self.shared.durable()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.close();
    }
}
