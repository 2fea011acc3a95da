//! Which files lie there: enough of each to notice that it was replaced or written.
//!
//! Never opens them.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What tells files apart, one entry a file; none where there is no file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp(Vec<Option<Identity>>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Identity {
    file: (u64, u64),
    length: u64,
    /// Seconds and nanoseconds; the change time too, since the modification time can be set back.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// Of these files.
    pub(super) fn of<'a>(files: impl Iterator<Item = &'a Path>) -> Self {
        Self(files.map(identity).collect())
    }
}

fn identity(path: &Path) -> Option<Identity> {
    let status = std::fs::metadata(path).ok()?;
    Some(Identity {
        file: (status.dev(), status.ino()),
        length: status.len(),
        modified: (status.mtime(), status.mtime_nsec()),
        changed: (status.ctime(), status.ctime_nsec()),
    })
}
