//! Appending to the journal.
//!
//! The hard problem: a commit must cost one sync of data and none of metadata, and must not find the disk full
//! half-way. The answer: segments of fixed length, written out with zeros beforehand, the next one by a thread of
//! its own while this one fills (docs/storage.md has what that gains).
//!
//! Never writes into a segment that it has left, and never writes on after an error.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::segment::{self, Identity, RECORDS_AT};
use crate::chain::Mark;
use crate::os::limit::is_out_of_descriptors;
use crate::os::space::is_full;
use crate::os::{durable, fault_points};
use crate::store::device::Device;

/// Left free on the file system whatever happens: sled dies at its first write error, so it must not meet one.
pub(crate) const RESERVE: u64 = 8 << 20;

/// How long a full disk is left in peace between two attempts to prepare a segment.
const PATIENCE: Duration = Duration::from_millis(100);

/// Zeros written at once.
const CHUNK: usize = 1 << 20;

/// The segment that is being prepared, under a name that no reader takes for one.
const UNDERWAY: &str = "next.tmp";

/// The end of the journal, open for writing.
pub(crate) struct Writer {
    workshop: Workshop,
    identity: Identity,
    file: File,
    offset: u64,
    length: u64,
    next: Next,
}

/// What is needed to make segments.
#[derive(Clone)]
pub(crate) struct Workshop {
    pub(crate) directory: PathBuf,
    pub(crate) device: Arc<dyn Device>,
    pub(crate) segment_bytes: u64,
    /// The directory, open: a segment that has its name must not want for a descriptor.
    names: Arc<File>,
}

enum Next {
    Refused(Instant),
    Underway(JoinHandle<io::Result<File>>),
}

impl Workshop {
    /// In a directory that is there.
    pub(crate) fn new(directory: PathBuf, device: Arc<dyn Device>, segment_bytes: u64) -> io::Result<Self> {
        let names = Arc::new(File::open(&directory)?);
        Ok(Self { directory, device, segment_bytes, names })
    }

    /// Prepares a segment: all of its room taken and on the disk. `StorageFull` leaves nothing behind.
    fn prepare(&self) -> io::Result<File> {
        if self.device.free(&self.directory)? < self.segment_bytes.saturating_add(RESERVE) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let path = self.directory.join(UNDERWAY);
        let done = self.write_out(&path);
        if done.is_err() {
            // A part of a segment would only keep others from the room.
            drop(fs::remove_file(&path));
        }
        done
    }

    fn write_out(&self, path: &Path) -> io::Result<File> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        let zeros = vec![0; CHUNK];
        let mut at = 0;
        while at < self.segment_bytes {
            let part = usize::try_from(self.segment_bytes - at).map_or(CHUNK, |left| left.min(CHUNK));
            self.device.write_at(&file, &zeros[..part], at)?;
            at += part as u64;
        }
        self.device.sync(&file)?;
        Ok(file)
    }

    fn prepare_aside(&self) -> io::Result<JoinHandle<io::Result<File>>> {
        let workshop = self.clone();
        thread::Builder::new().name("journal-next".into()).spawn(move || workshop.prepare())
    }

    /// Makes the prepared segment the one that goes on after `before`. Until the rename it is nobody's; after it,
    /// it is whole.
    fn put_in_place(&self, identity: &Identity, file: &File, before: &Mark) -> io::Result<()> {
        self.device.write_at(file, &segment::encode(identity, before), 0)?;
        self.device.sync(file)?;
        let path = segment::path(&self.directory, before.sequence.saturating_add(1));
        fs::rename(self.directory.join(UNDERWAY), path)?;
        self.names.sync_all()?;
        durable::prove(file)
    }

    /// Makes the first segment of a new journal, or of one that goes on after a snapshot.
    pub(crate) fn found(&self, identity: &Identity, after: &Mark) -> io::Result<()> {
        let file = self.prepare()?;
        self.put_in_place(identity, &file, after)
    }

    /// Removes what a dead process was preparing.
    pub(crate) fn tidy(&self) -> io::Result<()> {
        match fs::remove_file(self.directory.join(UNDERWAY)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl Writer {
    /// Goes on at `offset` of the segment.
    pub(crate) fn open(
        workshop: Workshop,
        identity: Identity,
        path: &Path,
        offset: usize,
    ) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).open(path)?;
        let length = file.metadata()?.len();
        let next = Next::Underway(workshop.prepare_aside()?);
        Ok(Self { workshop, identity, file, offset: offset as u64, length, next })
    }

    /// Where in the segment the next record goes.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether so many bytes still go into the segment.
    pub(crate) fn fits(&self, bytes: usize) -> bool {
        self.offset.saturating_add(bytes as u64) <= self.length
    }

    /// Writes the records and returns once they are on the disk. An error is final: what is on the disk is then
    /// unknown, and the writer must not be used again.
    pub(crate) fn append(&mut self, records: &[u8]) -> io::Result<()> {
        fault_points::reach("journal/due");
        self.workshop.device.write_at(&self.file, records, self.offset)?;
        fault_points::reach("journal/written");
        self.workshop.device.sync(&self.file)?;
        fault_points::reach("journal/synced");
        self.offset += records.len() as u64;
        Ok(())
    }

    /// Goes over to the next segment. `StorageFull` means that there is no room for it: nothing has happened, and
    /// a later attempt may succeed. Any other error is final.
    pub(crate) fn roll(&mut self, head: &Mark) -> io::Result<()> {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let underway = match std::mem::replace(&mut self.next, Next::Refused(Instant::now())) {
            Next::Refused(at) if at.elapsed() < PATIENCE => {
                self.next = Next::Refused(at);
                return Err(full());
            }
            // No thread now is no room now: nothing has happened yet.
            Next::Refused(_) => self.workshop.prepare_aside().map_err(|_| full())?,
            Next::Underway(underway) => underway,
        };
        let prepared = underway.join().map_err(|_| io::Error::other("preparing a segment panicked"))?;
        self.file = match prepared {
            Err(error) if is_full(&error) || is_out_of_descriptors(&error) => {
                if !is_full(&error) {
                    tracing::warn!(%error, "no segment of the journal can be made now");
                }
                self.next = Next::Refused(Instant::now());
                return Err(full());
            }
            prepared => prepared?,
        };
        // Its room is taken: that the disk is full now is no answer but a fault.
        let placed = self.workshop.put_in_place(&self.identity, &self.file, head);
        placed.map_err(|error| io::Error::other(format!("the next segment: {error}")))?;
        self.offset = RECORDS_AT as u64;
        self.length = self.workshop.segment_bytes;
        self.next =
            self.workshop.prepare_aside().map_or_else(|_| Next::Refused(Instant::now()), Next::Underway);
        Ok(())
    }

    /// Waits for the thread that prepares.
    pub(crate) fn close(self) {
        if let Next::Underway(underway) = self.next {
            drop(underway.join());
        }
    }

    /// Whether there is too little free to go on: the reserve, and where a segment was refused, that segment too.
    /// Not where the kernel does not say.
    pub(crate) fn is_short_of_room(&self) -> bool {
        let segment = match self.next {
            Next::Refused(_) => self.workshop.segment_bytes,
            Next::Underway(_) => 0,
        };
        let needed = segment.saturating_add(RESERVE);
        self.workshop.device.free(&self.workshop.directory).is_ok_and(|free| free < needed)
    }
}
