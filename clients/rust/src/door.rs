//! The daemon's doors: where it is, and how a connection to it is opened.
//!
//! Never sends a byte of a request.

use crate::error::Handshake;
#[cfg(feature = "mtls")]
use crate::mtls::{self, Mtls};
use crate::pool::Line;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use tokio::net::UnixStream;

/// A way to the daemon.
pub(crate) enum Door {
    #[cfg(feature = "mtls")]
    Mtls(Box<Mtls>),
    Unix(PathBuf),
}

/// Why no connection came about.
pub(crate) enum Closed {
    #[cfg_attr(not(feature = "mtls"), expect(dead_code, reason = "a Unix socket has no handshake"))]
    Handshake(Handshake),
    Io(io::ErrorKind),
}

impl Door {
    pub(crate) async fn open(&self) -> Result<Line, Closed> {
        match self {
            #[cfg(feature = "mtls")]
            Self::Mtls(door) => {
                let (stream, epoch) = door.open().await?;
                let probe = stream.get_ref().0.inner().as_fd().try_clone_to_owned()?;
                Line::over(stream, probe, epoch).await
            }
            Self::Unix(socket) => {
                let stream = UnixStream::connect(socket).await?;
                let probe = stream.as_fd().try_clone_to_owned()?;
                Line::over(stream, probe, 0).await
            }
        }
    }

    /// Connections of another epoch were opened with credentials that are no longer in use.
    pub(crate) fn epoch(&self) -> u64 {
        match self {
            #[cfg(feature = "mtls")]
            Self::Mtls(door) => door.epoch(),
            Self::Unix(_) => 0,
        }
    }

    /// What to call the daemon in `Host`.
    pub(crate) fn host(&self) -> &str {
        match self {
            #[cfg(feature = "mtls")]
            Self::Mtls(door) => door.authority(),
            // RFC 9112, section 3.2: a Host there must be, and over a Unix socket it says nothing.
            Self::Unix(_) => "tokenkeep",
        }
    }

    pub(crate) fn socket(&self) -> Option<&Path> {
        match self {
            #[cfg(feature = "mtls")]
            Self::Mtls(_) => None,
            Self::Unix(socket) => Some(socket),
        }
    }

    /// Why the daemon ended a new connection, where it said that it does not take our side of the handshake.
    pub(crate) fn refusal(error: &hyper::Error) -> Option<Handshake> {
        #[cfg(feature = "mtls")]
        return mtls::refusal(error);
        #[cfg(not(feature = "mtls"))]
        {
            let _: &hyper::Error = error;
            None
        }
    }
}

impl From<io::Error> for Closed {
    fn from(error: io::Error) -> Self {
        #[cfg(feature = "mtls")]
        if let Some(handshake) = mtls::handshake(&error) {
            return Self::Handshake(handshake);
        }
        Self::Io(error.kind())
    }
}
