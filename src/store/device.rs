//! What the journal asks of the disk that can fail.
//!
//! Handed in, so that tests can fill it, break it and cut its power.
//!
//! Never retries: after a failed sync the kernel has dropped the pages and a second one would succeed in vain
//! (fsync(2); Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::os::space;

/// A disk with files on it.
pub trait Device: Send + Sync + 'static {
    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// `StorageFull` where there is no room; the kernel's otherwise. Some of it may have been written.
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Returns once all that was written to the file is on the disk (fdatasync(2)).
    ///
    /// # Errors
    /// The kernel's; what is on the disk is then unknown.
    fn sync(&self, file: &File) -> io::Result<()>;

    /// Bytes still free on the file system that holds `path`.
    ///
    /// # Errors
    /// The kernel's.
    fn free(&self, path: &Path) -> io::Result<u64>;
}

/// The disk as the kernel shows it.
#[derive(Debug, Clone, Copy)]
pub struct Disk;

impl Device for Disk {
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        file.write_all_at(bytes, offset)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn free(&self, path: &Path) -> io::Result<u64> {
        space::free(path)
    }
}
