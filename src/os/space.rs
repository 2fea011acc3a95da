//! Room on a file system: how much is free, and setting some aside.

use std::fs::File;
use std::io;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, PosixFadviseAdvice, fallocate, posix_fadvise};
use nix::sys::statvfs::statvfs;

/// Bytes that an unprivileged process may still write below `path` (statvfs(3), `f_bavail`).
///
/// # Errors
/// The kernel's.
pub fn free(path: &Path) -> io::Result<u64> {
    let stat = statvfs(path)?;
    Ok(stat.blocks_available().saturating_mul(stat.fragment_size()))
}

/// Sets blocks aside for `length` bytes from `offset` without changing the length of the file
/// (fallocate(2), `FALLOC_FL_KEEP_SIZE`).
///
/// # Errors
/// `StorageFull` where there is no room; the kernel's otherwise. A file system that cannot reserve
/// (`EOPNOTSUPP`) counts as done: writes then tell.
pub fn reserve(file: &File, offset: u64, length: u64) -> io::Result<()> {
    let (Ok(offset), Ok(length)) = (offset.try_into(), length.try_into()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    loop {
        match fallocate(file, FallocateFlags::FALLOC_FL_KEEP_SIZE, offset, length) {
            Ok(()) | Err(Errno::EOPNOTSUPP) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether an error says that there is no room, on the disk or in the quota.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Takes the file out of the kernel's cache as far as it is on the disk, so that what is read next comes from there
/// (posix_fadvise(2), `POSIX_FADV_DONTNEED`). A hint: the kernel may keep what it likes.
pub fn forget_cached(file: &File) {
    // Where there is no such hint, the cache is read: no worse than before.
    let _hinted = posix_fadvise(file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
}
