//! Files that hold secrets, and files that others must not have written: opened, judged, then read.
//!
//! The hard problem: what was checked may not be what is read, and what was read leaves copies. The answer:
//! one descriptor is opened, judged and read, never a path twice; the bytes go into one buffer that was sized
//! beforehand and is wiped.
//!
//! Never follows a symlink in the last component; never warns where it should refuse.

use std::fmt;
use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use zeroize::Zeroizing;

use super::identity::Identity;
use super::{durable, user};

/// Why a file or directory is not taken.
#[derive(Debug)]
pub enum PrivateFileError {
    /// There is none.
    Absent(PathBuf),
    /// The kernel's.
    Io(PathBuf, io::Error),
    /// Others may read or change it; the mode it has.
    Loose(PathBuf, u32),
    /// It is a symlink, a directory, a device: not the kind it should be.
    NotRegular(PathBuf),
    /// It belongs to somebody else; the user id.
    Owner(PathBuf, u32),
    /// Larger than so many bytes.
    TooLarge(PathBuf, usize),
}

impl fmt::Display for PrivateFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = user::effective();
        match self {
            Self::Absent(path) => write!(f, "{} does not exist", path.display()),
            Self::Io(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Loose(path, mode) => write!(
                f,
                "{} has mode {mode:04o}, so others can get at it; run: chmod go-rwx {}",
                path.display(),
                path.display()
            ),
            Self::NotRegular(path) => {
                write!(f, "{} is not what it should be (a symlink, or not that kind of file)", path.display())
            }
            Self::Owner(path, uid) => write!(
                f,
                "{} belongs to user {uid}, not to user {own} that the daemon runs as; run: chown {own} {}",
                path.display(),
                path.display()
            ),
            Self::TooLarge(path, most) => {
                write!(f, "{} is larger than the {most} bytes that it may have", path.display())
            }
        }
    }
}

impl std::error::Error for PrivateFileError {}

/// Reads a file that is ours alone: owned by the daemon's user or root, without any right for group and others.
///
/// # Errors
/// See [`PrivateFileError`].
pub fn read(path: &Path, most: usize) -> Result<Zeroizing<Vec<u8>>, PrivateFileError> {
    read_unless(path, most, |status| status.mode() & 0o077 != 0)
}

/// Reads a file that systemd put into the credentials directory. Where the file system knows access control
/// lists, systemd leaves the file to root and gives the daemon's user an entry (systemd.exec(5)); the group
/// bits then show the mask of the list, so read access there is no looseness.
///
/// # Errors
/// See [`PrivateFileError`].
pub fn read_credential(path: &Path, most: usize) -> Result<Zeroizing<Vec<u8>>, PrivateFileError> {
    read_unless(path, most, |status| {
        let mask_of_list = if status.uid() == 0 && status.gid() == 0 { 0o040 } else { 0 };
        status.mode() & 0o077 & !mask_of_list != 0
    })
}

/// Reads a file that holds no secret but rules us: others may read it, none but the daemon's user and root may
/// change it.
///
/// # Errors
/// See [`PrivateFileError`].
pub fn read_configuration(path: &Path, most: usize) -> Result<Zeroizing<Vec<u8>>, PrivateFileError> {
    read_unless(path, most, |status| status.mode() & 0o022 != 0)
}

fn read_unless(
    path: &Path,
    most: usize,
    is_loose: fn(&Metadata) -> bool,
) -> Result<Zeroizing<Vec<u8>>, PrivateFileError> {
    let file = open(path)?;
    let status = file.metadata().map_err(|error| PrivateFileError::Io(path.to_owned(), error))?;
    if !status.is_file() {
        return Err(PrivateFileError::NotRegular(path.to_owned()));
    }
    judge_owner(path, &status)?;
    if is_loose(&status) {
        return Err(PrivateFileError::Loose(path.to_owned(), status.mode() & 0o7777));
    }
    let length = usize::try_from(status.len()).unwrap_or(usize::MAX);
    if length > most {
        return Err(PrivateFileError::TooLarge(path.to_owned(), most));
    }
    read_exactly(&file, length).map_err(|error| PrivateFileError::Io(path.to_owned(), error))
}

/// The length was known before: one buffer, no growth, no copy left behind. A file that changes meanwhile is
/// an error.
fn read_exactly(mut file: &File, length: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; length]);
    file.read_exact(&mut bytes)?;
    if file.read(&mut [0])? != 0 {
        return Err(io::Error::other("the file grew while it was read"));
    }
    Ok(bytes)
}

fn open(path: &Path) -> Result<File, PrivateFileError> {
    // O_NONBLOCK: a FIFO must not hold us up; without meaning for a regular file.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    OpenOptions::new().read(true).custom_flags(flags.bits()).open(path).map_err(|error| {
        if error.raw_os_error() == Some(Errno::ELOOP as i32) {
            PrivateFileError::NotRegular(path.to_owned())
        } else if error.kind() == io::ErrorKind::NotFound {
            PrivateFileError::Absent(path.to_owned())
        } else {
            PrivateFileError::Io(path.to_owned(), error)
        }
    })
}

fn judge_owner(path: &Path, status: &Metadata) -> Result<(), PrivateFileError> {
    if status.uid() == 0 || status.uid() == user::effective() {
        Ok(())
    } else {
        Err(PrivateFileError::Owner(path.to_owned(), status.uid()))
    }
}

/// Replaces the file, or makes it: whole or not at all, durable when this returns, and never with a looser mode
/// than `mode`, not for an instant.
///
/// # Errors
/// The kernel's. The old file then stands.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), PrivateFileError> {
    replace_with(path, mode, |_| bytes.to_vec())
}

/// As [`replace`], with bytes that may say which file they stand in.
///
/// # Errors
/// As [`replace`].
pub fn replace_with(
    path: &Path,
    mode: u32,
    bytes: impl FnOnce(&Identity) -> Vec<u8>,
) -> Result<(), PrivateFileError> {
    let io = |error| PrivateFileError::Io(path.to_owned(), error);
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io(io::ErrorKind::InvalidInput.into()));
    };
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    // Counts within the process; the process id keeps processes apart. What a crash left is overwritten.
    static TURN: AtomicU64 = AtomicU64::new(0);
    let turn = TURN.fetch_add(1, Ordering::Relaxed);
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}.{turn}", std::process::id()));
    let temporary = directory.join(temporary);
    write_new(&temporary, mode, bytes)
        .and_then(|file| std::fs::rename(&temporary, path).map(|()| file))
        .and_then(|file| durable::sync_name(&file, path))
        .inspect_err(|_| drop(std::fs::remove_file(&temporary)))
        .map_err(io)
}

fn write_new(path: &Path, mode: u32, bytes: impl FnOnce(&Identity) -> Vec<u8>) -> io::Result<File> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    // The umask may have taken rights away; it never adds any.
    file.set_permissions(std::fs::Permissions::from_mode(mode))?;
    file.write_all(&Zeroizing::new(bytes(&Identity::of(&file.metadata()?))))?;
    file.sync_all()?;
    Ok(file)
}

/// Makes the directory with mode 0700, or takes the one there is if it is ours alone. Its parent must exist; its name there
/// is durable when this returns.
///
/// # Errors
/// See [`PrivateFileError`].
pub fn create_directory(path: &Path) -> Result<(), PrivateFileError> {
    let io = |error| PrivateFileError::Io(path.to_owned(), error);
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => durable::sync_directory(path.parent().unwrap_or(path)).map_err(io),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            judge_directory(path)?;
            // Whoever made it may have died before this. One whose parent we may not read was made by somebody else.
            match durable::sync_directory(path.parent().unwrap_or(path)) {
                Err(error) if error.kind() != io::ErrorKind::PermissionDenied => Err(io(error)),
                _ => Ok(()),
            }
        }
        Err(error) => Err(io(error)),
    }
}

/// Takes a directory only if it is ours alone: owned by the daemon's user, no right for group and others.
///
/// # Errors
/// See [`PrivateFileError`].
pub fn judge_directory(path: &Path) -> Result<(), PrivateFileError> {
    let status = std::fs::symlink_metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => PrivateFileError::Absent(path.to_owned()),
        _ => PrivateFileError::Io(path.to_owned(), error),
    })?;
    if !status.is_dir() {
        return Err(PrivateFileError::NotRegular(path.to_owned()));
    }
    if status.uid() != user::effective() {
        return Err(PrivateFileError::Owner(path.to_owned(), status.uid()));
    }
    if status.mode() & 0o077 != 0 {
        return Err(PrivateFileError::Loose(path.to_owned(), status.mode() & 0o7777));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
