//! Where the values are: in the newest snapshot, and beyond it in the segments of the journal.
//!
//! The hard problem: snapshots and segments come and go under the readers. The answer: a pointer never names a file. A revision says
//! by itself where its value is: a snapshot has all that is not newer than it, the segments have the rest. What was read must have
//! the digest that the index says; where it has not, or a file is gone, the next place that may have it is asked, and the reader
//! looks at the index again before anything is called damage.
//!
//! Never holds more than [`OPEN`] segments open, and never one that was removed: its room would stay taken.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use crate::os::limit::is_out_of_descriptors;
use crate::store::Key;
use crate::store::index::Pointer;
use crate::store::index::tally::Digester;
use crate::store::journal::segment;
use crate::store::snapshot::{Base, Held};

/// Segments held open at once.
const OPEN: usize = 32;

/// The snapshots to read from, newest first.
pub(crate) type Bases = Arc<Vec<Arc<Base>>>;

/// Reads values where they are.
pub(crate) struct Values {
    journal: PathBuf,
    digester: Digester,
    bases: RwLock<Bases>,
    segments: RwLock<Segments>,
}

#[derive(Default)]
struct Segments {
    /// The first record of each, oldest first.
    firsts: Vec<u64>,
    /// Those that were read last.
    open: Vec<(u64, Arc<File>)>,
}

/// Why a value was not read.
pub(crate) enum Missed {
    /// It is in none of the places where it should be, and why not in the last.
    Lost(String),
    /// The process has as many descriptors as it may have: it may well be there.
    NotNow(io::Error),
}

impl Values {
    /// Of a journal directory that has these segments, by their first records.
    pub(crate) fn new(journal: &Path, digester: &Digester, firsts: Vec<u64>) -> Self {
        Self {
            journal: journal.to_owned(),
            digester: digester.clone(),
            bases: RwLock::default(),
            segments: RwLock::new(Segments { firsts, open: Vec::new() }),
        }
    }

    /// From now on these are read, and no others. Before any file of the others is removed.
    pub(crate) fn stand_on(&self, bases: Vec<Arc<Base>>) {
        *self.bases.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(bases);
    }

    /// Those that are read.
    pub(crate) fn bases(&self) -> Bases {
        Arc::clone(&self.bases.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// A new segment whose first record this will be. Before anything points into it.
    pub(crate) fn begun(&self, first: u64) {
        self.segments.write().unwrap_or_else(PoisonError::into_inner).firsts.push(first);
    }

    /// Removes the file of a segment that nobody needs, and lets go of it.
    pub(crate) fn remove(&self, path: &Path, first: u64) -> io::Result<()> {
        let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
        fs::remove_file(path)?;
        segments.firsts.retain(|other| *other != first);
        segments.open.retain(|(other, _)| *other != first);
        Ok(())
    }

    /// The value that is pointed to, as these snapshots and the journal have it. `held` is for who reads on.
    pub(crate) fn read(
        &self,
        bases: &Bases,
        key: &Key,
        pointer: &Pointer,
        held: &mut Held,
    ) -> Result<Arc<[u8]>, Missed> {
        let mut why = None;
        for base in bases.iter().filter(|base| base.snapshot.at.sequence >= pointer.revision) {
            match self.in_snapshot(base, key, pointer, held) {
                Ok(value) => return Ok(value),
                Err(missed) => why = Some(missed),
            }
        }
        match (self.in_journal(key, pointer), why) {
            (Ok(value), _) => Ok(value),
            (Err(Missed::Lost(_)), Some(missed)) | (Err(missed), _) => Err(missed),
        }
    }

    fn in_snapshot(
        &self,
        base: &Base,
        key: &Key,
        pointer: &Pointer,
        held: &mut Held,
    ) -> Result<Arc<[u8]>, Missed> {
        let file = base.path().display();
        let digest = |value: &[u8]| self.digester.digest(key, pointer.revision, value);
        // Of the revision that is pointed to: the value, or that it is not the one.
        let found = base.find(key, held).map(|found| {
            let (_, value) = found.filter(|(revision, _)| *revision == pointer.revision)?;
            Some((digest(value) == pointer.digest).then(|| Arc::from(value)))
        });
        let what = match found {
            Ok(Some(Some(value))) => return Ok(value),
            Ok(Some(None)) => "a record has not the digest that the index says".to_owned(),
            Ok(None) if !held.is_sound() => "the checksum of a block does not hold".to_owned(),
            // Whoever points there may have been overtaken, and looks again.
            Ok(None) => return Err(Missed::Lost(format!("{file}: a record is not in it"))),
            Err(error) => error.to_string(),
        };
        if base.doubt() {
            tracing::error!(%file, %what, "a snapshot is damaged");
        }
        Err(Missed::Lost(format!("{file}: {what}")))
    }

    fn in_journal(&self, key: &Key, pointer: &Pointer) -> Result<Arc<[u8]>, Missed> {
        let nowhere = || Missed::Lost(format!("no segment of the journal has record {}", pointer.revision));
        if pointer.offset == 0 {
            return Err(nowhere());
        }
        let file = self
            .segment(pointer.revision)
            .map_err(|why| if is_out_of_descriptors(&why) { Missed::NotNow(why) } else { nowhere() })?;
        let mut value = vec![0; pointer.length as usize];
        let read = file.read_exact_at(&mut value, u64::from(pointer.offset));
        read.map_err(|error| Missed::Lost(format!("record {} of the journal: {error}", pointer.revision)))?;
        if self.digester.digest(key, pointer.revision, &value) == pointer.digest {
            Ok(value.into())
        } else {
            let revision = pointer.revision;
            Err(Missed::Lost(format!(
                "record {revision} of the journal has not the digest that the index says"
            )))
        }
    }

    /// The segment that has the record, opened at the first use.
    fn segment(&self, revision: u64) -> io::Result<Arc<File>> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = segments.containing(revision).and_then(|first| segments.held(first)) {
            return Ok(file);
        }
        drop(segments);
        // Held until it is noted: whoever removes it waits, and finds it.
        let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
        let first = segments.containing(revision).ok_or(io::ErrorKind::NotFound)?;
        if let Some(file) = segments.held(first) {
            return Ok(file);
        }
        let path = segment::path(&self.journal, first);
        let file = match File::open(&path) {
            // One of those held is given back for it.
            Err(why) if is_out_of_descriptors(&why) && !segments.open.is_empty() => {
                segments.open.remove(0);
                File::open(&path)
            }
            opened => opened,
        };
        let file = Arc::new(file?);
        if segments.open.len() >= OPEN {
            segments.open.remove(0);
        }
        segments.open.push((first, Arc::clone(&file)));
        Ok(file)
    }
}

impl Segments {
    fn containing(&self, revision: u64) -> Option<u64> {
        let after = self.firsts.partition_point(|first| *first <= revision);
        after.checked_sub(1).and_then(|at| self.firsts.get(at)).copied()
    }

    fn held(&self, first: u64) -> Option<Arc<File>> {
        self.open.iter().find(|(other, _)| *other == first).map(|(_, file)| Arc::clone(file))
    }
}
