//! Durable: on the disk, and there after a crash.
//!
//! The hard problem: a sync may say that it was done and be wrong. Where ext4 gives up its journal, for a failing disk or because it was
//! told to, it answers for a moment that files are synced whose new length went nowhere: a loop of `write` and `fdatasync` found its last
//! line gone after one abort in five (Linux 6.18; `tests/storage/real/aborted.rs`). The answer: after each sync that had more to
//! keep than the bytes of blocks that the file had already, the file system is asked to change something. It refuses once it has given up,
//! so a sync that came before a change that it took was an honest one. That costs a twentieth of the sync.
//!
//! Never syncs again after a sync failed (see [`crate::store::device`]).

use std::fs::File;
use std::io;
use std::path::Path;

use super::space;

/// Makes all that was written to the file durable (fdatasync(2)), its length too.
///
/// # Errors
/// The kernel's; what is on the disk is then unknown.
pub fn sync_data(file: &File) -> io::Result<()> {
    file.sync_data()?;
    prove(file)
}

/// Makes the name of the file durable, after its content was (fsync(2), NOTES): it was made under `path`, or has just been renamed to it.
///
/// # Errors
/// The kernel's; whether the file has its name after a crash is then unknown.
pub fn sync_name(file: &File, path: &Path) -> io::Result<()> {
    sync_directory(path.parent().unwrap_or(path))?;
    prove(file)
}

/// Makes the names in the directory durable: those that are gone from it, above all. A new one is for [`sync_name`].
///
/// # Errors
/// The kernel's.
pub fn sync_directory(directory: &Path) -> io::Result<()> {
    // As the parent of a mere name is written.
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    File::open(directory)?.sync_all()
}

/// That the syncs before this were done as they said. The file is open for writing, and has something in it.
///
/// # Errors
/// The kernel's: what was synced last may not be on the disk.
pub fn prove(file: &File) -> io::Result<()> {
    // The first block is the file's already: nothing changes but the time of the last change.
    match space::reserve(file, 0, 1) {
        // Some ask for room before they see that none is needed: they take changes still.
        Err(error) if space::is_full(&error) => Ok(()),
        proven => proven,
    }
}
