//! What the recorder is told while the daemon runs: a file that it has mapped.
//!
//! Never waits longer for a daemon to stand still than a call may take.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// Fields of `struct faults` in recorder.c.
#[derive(Debug, Clone, Copy)]
#[allow(dead_code, reason = "the fields between are the recorder's")]
pub(crate) enum Field {
    SyncIn,
    SyncErrno,
    WriteIn,
    WriteErrno,
    WriteShort,
    Syncs,
    Writes,
    OpenErrno,
    Still,
    Underway,
}

const FIELDS: u64 = 10;

pub(crate) struct Faults {
    path: PathBuf,
    file: File,
}

impl Faults {
    /// None, in a file at this place.
    pub(crate) fn none(path: &Path) -> Self {
        let file = File::options().read(true).write(true).create(true).truncate(true).open(path).unwrap();
        file.set_len(FIELDS * 8).unwrap();
        Self { path: path.to_owned(), file }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn set(&self, field: Field, value: i64) {
        self.file.write_all_at(&value.to_le_bytes(), field as u64 * 8).unwrap();
    }

    pub(crate) fn value(&self, field: Field) -> i64 {
        let mut bytes = [0; 8];
        self.file.read_exact_at(&mut bytes, field as u64 * 8).unwrap();
        i64::from_le_bytes(bytes)
    }

    /// Lets the daemon end what it does to its files, and begin nothing.
    pub(crate) fn hold_still(&self) {
        self.set(Field::Still, 1);
        let began = Instant::now();
        while self.value(Field::Underway) != 0 {
            assert!(began.elapsed() < Duration::from_secs(60), "the daemon does not stand still");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Nothing fails any more.
    pub(crate) fn clear(&self) {
        self.file.write_all_at(&[0; FIELDS as usize * 8], 0).unwrap();
    }
}
