//! Why a store does not open, and the way back.
//!
//! Says which file and where in it; never what is in there.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::store::journal::segment::FORMAT;
use crate::store::journal::walk::Trouble;

/// Why a store could not be opened.
#[derive(Debug)]
pub enum OpenError {
    /// Another process has it open.
    Busy(PathBuf),
    /// The journal is not what was written: `file` at `offset`.
    Damaged {
        /// Which file.
        file: PathBuf,
        /// Where in it, in bytes.
        offset: u64,
        /// In which way.
        what: String,
    },
    /// The kernel refused.
    Io {
        /// Which file.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A later program wrote it.
    NewerFormat {
        /// Which file.
        file: PathBuf,
        /// Its format.
        format: u32,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy(directory) => {
                write!(f, "{} is in use by another process: stop that one first", directory.display())
            }
            Self::Damaged { file, offset, what } => write!(
                f,
                "{} damaged: {} at byte {offset}: {what}; nothing was changed: keep a copy and restore from a backup",
                kind(file),
                file.display()
            ),
            Self::Io { file, error } => write!(f, "{}: {error}", file.display()),
            Self::NewerFormat { file, format } => write!(
                f,
                "{} has format {format}, and this program reads up to {}: start the newer program",
                file.display(),
                FORMAT
            ),
        }
    }
}

fn kind(file: &Path) -> &'static str {
    let is_snapshot = |name: &std::ffi::OsStr| name == "snapshot" || name == "snapshots";
    let named = [file.extension(), file.file_name()];
    if named.into_iter().flatten().any(is_snapshot) { "snapshot" } else { "journal" }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            Self::Busy(_) | Self::Damaged { .. } | Self::NewerFormat { .. } => None,
        }
    }
}

impl From<Trouble> for OpenError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Damaged { file, offset, what } => Self::Damaged { file, offset, what },
            Trouble::Io { file, error } => Self::Io { file, error },
            Trouble::NewerFormat { file, format } => Self::NewerFormat { file, format },
        }
    }
}
