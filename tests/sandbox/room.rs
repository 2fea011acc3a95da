//! Where attempts are made: a vault's directories, and things beside them that are none of its business.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::PathBuf;

use tempfile::TempDir;

pub(crate) struct Room {
    directory: TempDir,
    /// The secret manager that is configured, and a stranger.
    configured: TcpListener,
    stranger: TcpListener,
    _abstract: UnixListener,
}

impl Room {
    pub(crate) fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("tks").tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name);
        for name in ["state", "etc", "elsewhere"] {
            fs::create_dir(at(name)).expect("a directory");
        }
        fs::write(at("elsewhere/file"), "elsewhere").expect("a file");
        fs::write(at("etc/root.key"), "key").expect("a file");
        fs::write(at("state/program"), "#!/bin/sh\n").expect("a file");
        for name in ["keys/..old", "keys/..new"] {
            fs::create_dir_all(at(name)).expect("a directory");
            fs::write(at(name).join("root.key"), "key").expect("a file");
        }
        symlink("..old", at("keys/..data")).expect("a link");
        let name = format!("tks-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("an address");
        let listen = || TcpListener::bind("127.0.0.1:0").expect("a port");
        let outside = UnixListener::bind_addr(&address).expect("a socket");
        Self { directory, configured: listen(), stranger: listen(), _abstract: outside }
    }

    /// For the process that tries: the directory, the ports, and whom it must not reach.
    pub(crate) fn arguments(&self) -> [String; 4] {
        let port = |listener: &TcpListener| listener.local_addr().expect("an address").port().to_string();
        let directory = self.directory.path().to_str().expect("UTF-8").to_owned();
        [directory, port(&self.configured), port(&self.stranger), std::process::id().to_string()]
    }
}

/// The same from within.
pub(crate) struct Surroundings {
    pub(crate) directory: PathBuf,
    pub(crate) configured: u16,
    pub(crate) stranger: u16,
    pub(crate) parent: i32,
}

impl Surroundings {
    pub(crate) fn of(arguments: &[String]) -> Self {
        let [directory, configured, stranger, parent] = arguments else { panic!("four arguments") };
        Self {
            directory: PathBuf::from(directory),
            configured: configured.parse().expect("a port"),
            stranger: stranger.parse().expect("a port"),
            parent: parent.parse().expect("a process"),
        }
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.at("state")
    }

    pub(crate) fn abstract_address(&self) -> SocketAddr {
        SocketAddr::from_abstract_name(format!("tks-{}", self.parent)).expect("an address")
    }

    pub(crate) fn connect(&self, port: u16) -> std::io::Result<()> {
        TcpStream::connect(("127.0.0.1", port)).map(drop)
    }
}
