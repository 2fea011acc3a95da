//! Listening sockets: Unix sockets born with their mode, and TCP.
//!
//! The hard problem: between bind(2) and chmod(2) a socket stands open to whoever the umask lets in. The
//! answer: on Linux a socket file takes its mode from the unbound socket, so fchmod(2) goes first, and no
//! umask, which is the whole process's, needs to be touched. The umask may still take rights away; those are
//! given back afterwards, which opens nothing that was not meant to be open.
//!
//! Never removes a file that is not a socket, a socket that somebody answers on, or one that is not ours.

use std::fmt;
use std::fs::{Metadata, Permissions, symlink_metadata};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, listen, socket};
use nix::sys::stat::{Mode, fchmod};

use super::user;

/// Who may connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Any user of this host (0666): the kernel says who calls, and policy decides.
    Everyone,
    /// The daemon's own user, and root (0600).
    Owner,
}

impl Audience {
    /// The mode of the socket file.
    #[must_use]
    pub fn mode(self) -> u32 {
        match self {
            Self::Everyone => 0o666,
            Self::Owner => 0o600,
        }
    }
}

/// A socket that listens, and the file that leads to it.
#[derive(Debug)]
pub struct BoundSocket {
    path: PathBuf,
    /// Device and inode: tells our file from one that somebody put in its place.
    file: (u64, u64),
}

/// Why there is no socket.
#[derive(Debug)]
pub enum SocketError {
    /// A process listens there.
    InUse(PathBuf),
    /// The kernel's.
    Io(PathBuf, io::Error),
    /// Others can write to the directory, so they could put a socket of theirs in place of ours.
    LooseDirectory(PathBuf),
    /// The directory does not exist.
    NoDirectory(PathBuf),
    /// There is something there that is not a socket.
    NotASocket(PathBuf),
    /// The path is longer than the kernel takes (unix(7): 107 bytes).
    TooLong(PathBuf),
}

impl fmt::Display for SocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse(path) => {
                write!(f, "a process listens on {} already; stop it first", path.display())
            }
            Self::Io(path, error) => write!(f, "no socket at {}: {error}", path.display()),
            Self::LooseDirectory(path) => write!(
                f,
                "others can replace what is in {}; give it to the daemon's user and run: chmod go-w {}",
                path.display(),
                path.display()
            ),
            Self::NoDirectory(path) => write!(
                f,
                "the directory {} does not exist; make it, or set RuntimeDirectory= in the systemd unit",
                path.display()
            ),
            Self::NotASocket(path) => {
                write!(f, "{} exists and is not a socket; move it away", path.display())
            }
            Self::TooLong(path) => write!(
                f,
                "{} is longer than the 107 bytes that a socket path may have; choose a shorter one",
                path.display()
            ),
        }
    }
}

impl std::error::Error for SocketError {}

/// Listens at `path`, non-blocking. A socket file that nobody answers on is replaced.
///
/// # Errors
/// See [`SocketError`].
pub fn listen_at(path: &Path, audience: Audience) -> Result<(UnixListener, BoundSocket), SocketError> {
    let io = |error: io::Error| SocketError::Io(path.to_owned(), error);
    let address = UnixAddr::new(path).map_err(|errno| match errno {
        Errno::ENAMETOOLONG => SocketError::TooLong(path.to_owned()),
        errno => io(errno.into()),
    })?;
    judge_directory(path)?;
    clear_stale(path, &address)?;
    let unbound = stream().map_err(io)?;
    let mode = Mode::from_bits_truncate(audience.mode());
    fchmod(&unbound, mode).map_err(|errno| io(errno.into()))?;
    bind(unbound.as_raw_fd(), &address).map_err(|errno| match errno {
        Errno::EADDRINUSE => SocketError::InUse(path.to_owned()),
        errno => io(errno.into()),
    })?;
    let born = symlink_metadata(path).map_err(io)?;
    if born.mode() & 0o7777 & !audience.mode() != 0 {
        return Err(io(io::Error::other("the kernel let the socket be born with a looser mode")));
    }
    if born.mode() & 0o7777 != audience.mode() {
        std::fs::set_permissions(path, Permissions::from_mode(audience.mode())).map_err(io)?;
    }
    // As many as the kernel allows (net.core.somaxconn): whoever does not fit gets EAGAIN and asks again.
    listen(&unbound, Backlog::MAXALLOWABLE).map_err(|errno| io(errno.into()))?;
    Ok((UnixListener::from(unbound), BoundSocket { path: path.to_owned(), file: identity(&born) }))
}

/// Listens at an address, non-blocking, with as long a queue as the kernel allows: a burst of connections then waits
/// for its turn, and not for the second after which a lost SYN is sent again.
///
/// # Errors
/// The kernel's.
pub fn listen_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpListener::bind(address)?;
    socket.set_nonblocking(true)?;
    listen(&socket, Backlog::MAXALLOWABLE)?;
    Ok(socket)
}

/// Connects to a Unix socket, and waits for no more than `patience` where its queue is full (socket(7),
/// `SO_SNDTIMEO`). What is written and read afterwards may take as long, each time.
///
/// # Errors
/// The kernel's; `WouldBlock` where it took too long; whoever could replace the socket is not trusted.
pub fn connect_within(path: &Path, patience: Duration) -> io::Result<UnixStream> {
    let address = UnixAddr::new(path)?;
    judge_directory(path).map_err(|why| match why {
        SocketError::LooseDirectory(_) => io::Error::new(io::ErrorKind::PermissionDenied, why.to_string()),
        _ => io::ErrorKind::NotFound.into(),
    })?;
    let socket = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    let socket = UnixStream::from(socket);
    socket.set_write_timeout(Some(patience))?;
    socket.set_read_timeout(Some(patience))?;
    connect(socket.as_raw_fd(), &address)?;
    Ok(socket)
}

impl BoundSocket {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the file if it is still ours. Done at shutdown, after the listener was closed.
    ///
    /// # Errors
    /// The kernel's.
    pub fn remove(self) -> io::Result<()> {
        match symlink_metadata(&self.path) {
            Ok(found) if identity(&found) == self.file => std::fs::remove_file(&self.path),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn stream() -> io::Result<std::os::fd::OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    Ok(socket(AddressFamily::Unix, SockType::Stream, flags, None)?)
}

fn identity(status: &Metadata) -> (u64, u64) {
    (status.dev(), status.ino())
}

/// Whoever can rename in the directory can stand in for the daemon and collect what clients send.
pub(super) fn judge_directory(path: &Path) -> Result<(), SocketError> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let status = std::fs::metadata(directory).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            SocketError::NoDirectory(directory.to_owned())
        }
        _ => SocketError::Io(directory.to_owned(), error),
    })?;
    if !status.is_dir() {
        return Err(SocketError::NoDirectory(directory.to_owned()));
    }
    let is_ours = status.uid() == 0 || status.uid() == user::effective();
    let is_sticky = status.mode() & 0o1000 != 0;
    if !is_ours || (status.mode() & 0o022 != 0 && !is_sticky) {
        return Err(SocketError::LooseDirectory(directory.to_owned()));
    }
    Ok(())
}

/// Two daemons that start at the same instant are kept apart by the lock on the state directory, not here.
fn clear_stale(path: &Path, address: &UnixAddr) -> Result<(), SocketError> {
    let io = |error: io::Error| SocketError::Io(path.to_owned(), error);
    let found = match symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io(error)),
    };
    if !found.file_type().is_socket() {
        return Err(SocketError::NotASocket(path.to_owned()));
    }
    // Non-blocking: a daemon whose backlog is full answers EAGAIN, and lives. So does, in doubt, any other.
    match connect(stream().map_err(io)?.as_raw_fd(), address) {
        Err(Errno::ECONNREFUSED) => {}
        Err(Errno::ENOENT) => return Ok(()),
        _ => return Err(SocketError::InUse(path.to_owned())),
    }
    match symlink_metadata(path) {
        Ok(still) if identity(&still) == identity(&found) => std::fs::remove_file(path).map_err(io),
        Ok(_) => Err(SocketError::InUse(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io(error)),
    }
}

#[cfg(test)]
mod tests;
