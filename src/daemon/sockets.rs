//! The sockets that the daemon listens on: handed over by the service manager, or made here.
//!
//! Never removes the file of one that was handed over.

use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use super::config::{Config, Listen};
use super::exit::Exit;
use super::failure::Failure;
use super::mtls::{self, MtlsDoor};
use crate::os::activation::{ActivationError, Handed};
use crate::os::socket::{Audience, BoundSocket, SocketError, listen_at};

/// One socket that listens.
pub(super) struct Socket {
    pub(super) listener: UnixListener,
    /// Where it is.
    pub(super) path: PathBuf,
    /// The file, where it is ours.
    file: Option<BoundSocket>,
}

/// All of them.
pub(super) struct Sockets {
    pub(super) application: Socket,
    pub(super) admin: Socket,
    pub(super) mtls: Option<MtlsDoor>,
}

/// The listeners alone.
pub(super) struct Doors {
    pub(super) application: UnixListener,
    pub(super) admin: UnixListener,
    pub(super) mtls: Option<MtlsDoor>,
}

/// The files to remove in the end.
pub(super) struct Files(Vec<BoundSocket>);

impl Sockets {
    /// Takes those that were handed over, makes the others.
    ///
    /// # Errors
    /// One cannot be had, or is not what it should be.
    pub(super) fn open(config: &Config, mut handed: Handed) -> Result<Self, Failure> {
        let listen = &config.listen;
        let expected = |path: &Path, is_written: bool| is_written.then(|| path.to_owned());
        let unix = expected(&listen.unix, listen.written.unix);
        let admin = expected(&listen.admin, listen.written.admin);
        let unix = taken(&mut handed, "application", unix.as_deref(), Audience::Everyone)?;
        let admin = taken(&mut handed, "admin", admin.as_deref(), Audience::Owner)?;
        let mtls = listen.mtls.as_ref();
        let remote =
            mtls.map(|mtls| handed.tcp("mtls", Some(mtls.address).filter(|address| address.port() != 0)));
        let remote = remote.transpose().map_err(|why| of_activation(&why))?.flatten();
        // Before anything is made: what is left over is a fault of the units.
        handed.end().map_err(|why| of_activation(&why))?;
        Ok(Self {
            application: unix.map_or_else(|| made(&listen.unix, Audience::Everyone), Ok)?,
            admin: admin.map_or_else(|| made(&listen.admin, Audience::Owner), Ok)?,
            mtls: mtls.map(|mtls| MtlsDoor::open(mtls, remote)).transpose().map_err(of_mtls)?,
        })
    }

    /// Where they really are.
    pub(super) fn found(&self, written: &Listen) -> Listen {
        Listen { unix: self.application.path.clone(), admin: self.admin.path.clone(), ..written.clone() }
    }

    /// The listeners, and the files that lead to them.
    /// Where those are that were made here.
    pub(super) fn made(&self) -> impl Iterator<Item = PathBuf> {
        let sockets = [&self.application, &self.admin];
        sockets.into_iter().filter(|socket| socket.file.is_some()).map(|socket| socket.path.clone())
    }

    pub(super) fn part(self) -> (Doors, Files) {
        let files = [self.application.file, self.admin.file];
        let doors =
            Doors { application: self.application.listener, admin: self.admin.listener, mtls: self.mtls };
        (doors, Files(files.into_iter().flatten().collect()))
    }
}

impl Files {
    /// Removes them, after the listeners were closed.
    pub(super) fn remove(self) {
        for file in self.0 {
            if let Err(why) = file.remove() {
                tracing::warn!(%why, "a socket file could not be removed");
            }
        }
    }
}

fn taken(
    handed: &mut Handed,
    name: &str,
    expected: Option<&Path>,
    audience: Audience,
) -> Result<Option<Socket>, Failure> {
    let found = handed.unix(name, expected, audience).map_err(|why| of_activation(&why))?;
    Ok(found.map(|(listener, path)| Socket { listener, path, file: None }))
}

fn made(path: &Path, audience: Audience) -> Result<Socket, Failure> {
    let (listener, file) = listen_at(path, audience).map_err(|why| of_socket(&why))?;
    Ok(Socket { listener, path: path.to_owned(), file: Some(file) })
}

fn of_activation(why: &ActivationError) -> Failure {
    let exit = match why {
        ActivationError::Loose(_) | ActivationError::Mode(_) => Exit::Unsafe,
        _ => Exit::Configuration,
    };
    Failure::new(exit, why)
}

fn of_socket(why: &SocketError) -> Failure {
    let exit = if matches!(why, SocketError::LooseDirectory(_)) { Exit::Unsafe } else { Exit::Configuration };
    Failure::new(exit, why)
}

pub(super) fn of_mtls((exit, why): mtls::Fault) -> Failure {
    Failure::new(exit, &why)
}
