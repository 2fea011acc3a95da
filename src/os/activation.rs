//! Sockets that the service manager holds and hands over (sd_listen_fds(3)): clients may connect before the daemon
//! runs, and while it is started again.
//!
//! The hard problem: a descriptor with a number is anything. A socket that is not what it should be would serve
//! applications what is for admins, or serve where nobody looks. The answer: each comes by its name
//! (`FileDescriptorName=`), and its family, type, state, address and mode are compared with what is expected; what
//! is not asked for is refused too.
//!
//! Never removes the file of a socket that it was handed.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::sys::socket::{SockType, getsockopt, sockopt};

use super::socket::{Audience, SocketError, judge_directory};

/// What was handed over and not yet taken.
#[derive(Debug, Default)]
pub struct Handed(Vec<(String, OwnedFd)>);

/// Why what was handed over is not taken.
#[derive(Debug)]
pub enum ActivationError {
    /// It listens elsewhere than the configuration says.
    Address {
        /// `FileDescriptorName=`.
        name: String,
        /// Where it listens.
        found: String,
        /// What the configuration says.
        expected: String,
    },
    /// The directory of its file, or the file, is not its owner's alone.
    Loose(SocketError),
    /// Others may connect to what is for the daemon's user alone.
    Mode(PathBuf),
    /// There are two of this name.
    Twice(String),
    /// It is not a stream socket that listens, of the family that belongs to its name.
    Unfit(String, &'static str),
    /// Nothing here has this name.
    Unknown(String),
    /// The variables contradict each other.
    Unreadable(io::Error),
}

impl fmt::Display for ActivationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { name, found, expected } => write!(
                f,
                "the service manager's socket {name} listens at {found} and the configuration says {expected}; make \
                 the two agree, or take the address out of the configuration"
            ),
            Self::Loose(why) => why.fmt(f),
            Self::Mode(path) => write!(
                f,
                "others may connect to {}, which is for the daemon's user alone; set SocketMode=0600 in its socket unit",
                path.display()
            ),
            Self::Twice(name) => write!(
                f,
                "the service manager handed over two sockets named {name}; leave one ListenStream= in its socket unit"
            ),
            Self::Unfit(name, what) => {
                write!(
                    f,
                    "the service manager's socket {name} is not {what}; see ListenStream= in its socket unit"
                )
            }
            Self::Unknown(name) => write!(
                f,
                "the service manager handed over a socket that nothing here asks for ({name}); set \
                 FileDescriptorName= to application, admin or, with [listen.mtls], mtls; for the others to egress, doorman"
            ),
            Self::Unreadable(why) => write!(f, "what the service manager handed over cannot be read: {why}"),
        }
    }
}

impl std::error::Error for ActivationError {}

impl Handed {
    /// Takes the sockets, and `LISTEN_FDS`, `LISTEN_PID` and `LISTEN_FDNAMES` out of the environment. Before the
    /// first thread, and before the first file is opened. A second call gives nothing.
    ///
    /// # Errors
    /// `Unreadable`, `Twice`.
    pub fn of_environment() -> Result<Self, ActivationError> {
        let ours = std::env::var("LISTEN_PID").is_ok_and(|pid| pid == std::process::id().to_string());
        if !ours {
            // Meant for a process that started this one. The crate takes the names for a contradiction then.
            drop(sd_notify::listen_fds());
            return Ok(Self::default());
        }
        let handed = sd_notify::listen_fds_with_names(true).map_err(ActivationError::Unreadable)?;
        let mut sockets: Vec<(String, OwnedFd)> = Vec::with_capacity(handed.len());
        for (descriptor, name) in handed {
            let socket = own(descriptor);
            if sockets.iter().any(|(other, _)| *other == name) {
                return Err(ActivationError::Twice(shown(&name)));
            }
            sockets.push((name, socket));
        }
        Ok(Self(sockets))
    }

    /// The Unix socket of this name, non-blocking, and where it is; none where none was handed over.
    ///
    /// # Errors
    /// It is not what it should be.
    pub fn unix(
        &mut self,
        name: &str,
        expected: Option<&Path>,
        audience: Audience,
    ) -> Result<Option<(UnixListener, PathBuf)>, ActivationError> {
        let unfit = || ActivationError::Unfit(name.to_owned(), "a Unix stream socket with a path, listening");
        let Some(socket) = self.listening(name, unfit)? else { return Ok(None) };
        let listener = UnixListener::from(socket);
        let address = listener.local_addr().map_err(|_| unfit())?;
        let path = address.as_pathname().ok_or_else(unfit)?.to_owned();
        if let Some(expected) = expected.filter(|expected| *expected != path) {
            return Err(ActivationError::Address {
                name: name.to_owned(),
                found: path.display().to_string(),
                expected: expected.display().to_string(),
            });
        }
        judge_directory(&path).map_err(ActivationError::Loose)?;
        let file = std::fs::symlink_metadata(&path).map_err(|_| unfit())?;
        if file.mode() & 0o777 & !audience.mode() != 0 {
            return Err(ActivationError::Mode(path));
        }
        listener.set_nonblocking(true).map_err(ActivationError::Unreadable)?;
        Ok(Some((listener, path)))
    }

    /// The TCP socket of this name, non-blocking; none where none was handed over.
    ///
    /// # Errors
    /// It is not what it should be.
    pub fn tcp(
        &mut self,
        name: &str,
        expected: Option<SocketAddr>,
    ) -> Result<Option<TcpListener>, ActivationError> {
        let unfit = || ActivationError::Unfit(name.to_owned(), "a TCP socket, listening");
        let Some(socket) = self.listening(name, unfit)? else { return Ok(None) };
        let listener = TcpListener::from(socket);
        let found = listener.local_addr().map_err(|_| unfit())?;
        if let Some(expected) = expected.filter(|expected| *expected != found) {
            return Err(ActivationError::Address {
                name: name.to_owned(),
                found: found.to_string(),
                expected: expected.to_string(),
            });
        }
        listener.set_nonblocking(true).map_err(ActivationError::Unreadable)?;
        Ok(Some(listener))
    }

    /// Nothing may be left: a socket that nobody serves would let clients wait for ever.
    ///
    /// # Errors
    /// `Unknown`.
    pub fn end(self) -> Result<(), ActivationError> {
        match self.0.into_iter().next() {
            None => Ok(()),
            Some((name, _)) => Err(ActivationError::Unknown(shown(&name))),
        }
    }

    fn listening(
        &mut self,
        name: &str,
        unfit: impl Fn() -> ActivationError,
    ) -> Result<Option<OwnedFd>, ActivationError> {
        let Some(at) = self.0.iter().position(|(other, _)| other == name) else { return Ok(None) };
        let (_, socket) = self.0.swap_remove(at);
        let is_stream = getsockopt(&socket, sockopt::SockType) == Ok(SockType::Stream);
        let listens = getsockopt(&socket, sockopt::AcceptConn) == Ok(true);
        if is_stream && listens { Ok(Some(socket)) } else { Err(unfit()) }
    }
}

#[expect(unsafe_code, reason = "a descriptor comes as a number")]
fn own(descriptor: RawFd) -> OwnedFd {
    // SAFETY: it is open, for `sd_notify` has set its flags; it is nobody else's, for the service manager opened it
    // for this process, and the variables that name it are taken only once, before anything is opened here.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}

/// A name as it may be shown: the service manager's own characters, and not too many.
fn shown(name: &str) -> String {
    name.chars().filter(|c| c.is_ascii_graphic()).take(64).collect()
}
