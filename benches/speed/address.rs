//! Where a server is, and a caller's line to it: plain over a Unix socket, or mTLS.

use std::io::{ErrorKind, Read, Result, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ClientConfig;

use super::tls::{self, Tls};

/// Where a server is.
#[derive(Debug, Clone)]
pub(crate) enum Address {
    /// Over mTLS, with the files of [`tls::issue`] in this directory.
    Tls(SocketAddr, PathBuf),
    Unix(PathBuf),
}

impl Address {
    /// As one word of a command line.
    pub(crate) fn to_word(&self) -> String {
        match self {
            Self::Tls(address, directory) => format!("tls:{address}:{}", directory.display()),
            Self::Unix(path) => path.display().to_string(),
        }
    }

    pub(crate) fn parse(word: &str) -> Self {
        let Some(rest) = word.strip_prefix("tls:") else { return Self::Unix(word.into()) };
        let (address, directory) = rest.split_at(rest.find(":/").expect("a directory"));
        Self::Tls(address.parse().expect("an address"), directory[1..].into())
    }

    pub(crate) fn connector(&self) -> Connector {
        match self {
            Self::Tls(address, directory) => Connector::Tls(*address, tls::client(directory)),
            Self::Unix(path) => Connector::Unix(path.clone()),
        }
    }
}

/// Makes lines.
pub(crate) enum Connector {
    Tls(SocketAddr, Arc<ClientConfig>),
    Unix(PathBuf),
}

impl Connector {
    pub(crate) fn connect(&self) -> Line {
        match self {
            Self::Tls(address, config) => {
                Line::Tls(Box::new(Tls::connect(*address, config).expect("a handshake")))
            }
            Self::Unix(path) => Line::Unix(UnixStream::connect(path).expect("the server listens")),
        }
    }
}

/// A caller's line to a server.
pub(crate) enum Line {
    Tls(Box<Tls>),
    Unix(UnixStream),
}

impl Line {
    /// What has come, at least a byte unless a record of TLS is not whole yet.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        match self {
            Self::Tls(tls) => tls.read(buffer),
            Self::Unix(socket) => match socket.read(buffer)? {
                0 => Err(ErrorKind::UnexpectedEof.into()),
                read => Ok(read),
            },
        }
    }

    pub(crate) fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        match self {
            Self::Tls(tls) => tls.write_all(bytes),
            Self::Unix(socket) => socket.write_all(bytes),
        }
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tls(tls) => tls.as_fd(),
            Self::Unix(socket) => socket.as_fd(),
        }
    }
}
