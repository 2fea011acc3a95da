//! The mTLS listener of the daemon: bound, with its files read, and its files watched.
//!
//! Never listens with files that were not judged.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::config::{Mtls, TlsKey};
use super::exit::Exit;
use crate::crypto::root_key::credential::DIRECTORY_VARIABLE;
use crate::net::server::{MaterialError, TlsServer};
use crate::os::private_file::PrivateFileError;
use crate::os::socket::listen_tcp;

/// How often the files are looked at: certificates live for hours at least.
const LOOK: Duration = Duration::from_secs(2);

/// The mTLS listener.
pub(super) struct MtlsDoor {
    /// Bound and listening.
    pub(super) socket: TcpListener,
    /// Its TLS; [`TlsServer::reload`] reads the files again.
    pub(super) tls: Arc<TlsServer>,
}

/// Why there is none: the code, and what to do.
pub(super) type Fault = (Exit, String);

impl MtlsDoor {
    /// Reads the files, and binds the address unless a socket was handed over.
    pub(super) fn open(config: &Mtls, handed: Option<TcpListener>) -> Result<Self, Fault> {
        let tls = read(config)?;
        let socket = handed.map_or_else(|| listen_tcp(config.address), Ok).map_err(|why| {
            let what = format!(
                "nothing listens at {}: {why}; choose another address in [listen.mtls]",
                config.address
            );
            (Exit::Configuration, what)
        })?;
        Ok(Self { socket, tls })
    }

    /// Where it really listens.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.socket.local_addr().ok()
    }
}

/// Reads the files alone.
pub(super) fn read(config: &Mtls) -> Result<Arc<TlsServer>, Fault> {
    let credentials = std::env::var_os(DIRECTORY_VARIABLE).map(PathBuf::from);
    let Some(sources) = config.sources(credentials) else {
        let name = if let TlsKey::Credential(name) = &config.key { name.as_str() } else { "" };
        let what = format!("{DIRECTORY_VARIABLE} is not set, so systemd gave no credential");
        return Err((
            Exit::Configuration,
            format!("{what}; set LoadCredential={name}:PATH in the systemd unit"),
        ));
    };
    TlsServer::open(sources).map(Arc::new).map_err(|why| (exit(&why), format!("[listen.mtls]: {why}")))
}

fn exit(why: &MaterialError) -> Exit {
    match why {
        MaterialError::File(
            PrivateFileError::Loose(..) | PrivateFileError::NotRegular(_) | PrivateFileError::Owner(..),
        ) => Exit::Unsafe,
        MaterialError::File(_) | MaterialError::Unusable(..) => Exit::Configuration,
    }
}

/// Reads the files again when they change. Runs until the daemon ends.
pub(super) async fn keep(tls: Arc<TlsServer>) {
    let mut look = tokio::time::interval(LOOK);
    let mut seen = None;
    loop {
        look.tick().await;
        let tls = Arc::clone(&tls);
        let mut before = seen.take();
        // Reading a long list takes its time, which is not that of the requests.
        let read = tokio::task::spawn_blocking(move || {
            // What is wrong with them is logged there.
            tls.reload_if_changed(&mut before);
            before
        });
        seen = read.await.unwrap_or_default();
    }
}
