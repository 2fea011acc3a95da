//! The real daemon, as users run it: its own process, a policy, the audit log on.
//!
//! Never the vault of anybody: its directories are made for the run and go with it.

use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::address::Address;
use super::load::{Plan, Until};
use super::process::{self, Server};
use super::request::{Act, ORGS};
use super::tls;

/// The daemon, with a vault of its own that goes with it.
pub(crate) struct Daemon {
    server: Server,
    socket: PathBuf,
    mtls: Address,
    _state: tempfile::TempDir,
    sockets: tempfile::TempDir,
}

/// A vault whose daemon does not run.
pub(crate) struct Asleep {
    state: tempfile::TempDir,
    sockets: tempfile::TempDir,
    mtls: Address,
}

impl Asleep {
    /// Starts the daemon on it again.
    pub(crate) fn go_on(self) -> Daemon {
        let Self { state, sockets, mtls } = self;
        let program = Path::new(env!("CARGO_BIN_EXE_tokenkeepd"));
        let server = launch(program, &state.path().join(CONFIGURATION), sockets.path());
        Daemon { server, socket: sockets.path().join(SOCKET), mtls, _state: state, sockets }
    }
}

const CONFIGURATION: &str = "tokenkeep.toml";
const SOCKET: &str = "tokenkeep.sock";

fn launch(program: &Path, configuration: &Path, sockets: &Path) -> Server {
    let log = std::fs::File::create(sockets.join("log")).expect("a log");
    let mut command = Command::new(program);
    command.arg("--config").arg(configuration).stderr(log);
    Server::start(command)
}

impl Daemon {
    /// Starts it. The state is on the disk of the build; sockets have short paths elsewhere.
    pub(crate) fn start() -> Self {
        Self::start_program(Path::new(env!("CARGO_BIN_EXE_tokenkeepd")))
    }

    /// As [`Daemon::start`], another build of it.
    pub(crate) fn start_program(program: &Path) -> Self {
        let state = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        let sockets = tempfile::tempdir().expect("a directory");
        let socket = sockets.path().join(SOCKET);
        tls::issue(state.path());
        let port = process::free_port();
        let mtls = Address::Tls(port, state.path().to_owned());
        let file = write_configuration(state.path(), sockets.path(), port);
        Self { server: launch(program, &file, sockets.path()), socket, mtls, _state: state, sockets }
    }

    /// Stores a token set under each key.
    pub(crate) fn fill(&self, keys: u32) {
        self.plan(Act::Org, 1, keys, Until::Key(ORGS)).run();
        self.plan(Act::Put, 64, keys, Until::Key(keys)).run();
    }

    pub(crate) fn plan(&self, act: Act, connections: usize, keys: u32, until: Until) -> Plan {
        Plan {
            server_at: Address::Unix(self.socket.clone()),
            server: self.server.id(),
            act,
            connections,
            keys,
            until,
        }
    }

    /// Its other door, and the directory of the certificates.
    pub(crate) fn mtls(&self) -> (&Address, &Path) {
        (&self.mtls, self._state.path())
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.server.id()
    }

    /// Where its sockets are.
    pub(crate) fn sockets(&self) -> &Path {
        self.sockets.path()
    }

    /// Its state directory.
    pub(crate) fn state(&self) -> PathBuf {
        self._state.path().join("state")
    }

    /// As [`Daemon::stop`], to go on later.
    pub(crate) fn pause(self) -> Asleep {
        self.server.stop();
        Asleep { state: self._state, sockets: self.sockets, mtls: self.mtls }
    }

    /// Kills it, to go on later.
    pub(crate) fn break_off(self) -> Asleep {
        self.server.kill();
        Asleep { state: self._state, sockets: self.sockets, mtls: self.mtls }
    }

    /// Asks it to stop, and waits.
    pub(crate) fn stop(self) {
        self.server.stop();
    }

    /// As [`Daemon::stop`]; gives what it has written.
    pub(crate) fn stop_and_leave(self) -> tempfile::TempDir {
        self.server.stop();
        self._state
    }

    /// One answer to a read, as it comes through this door.
    pub(crate) fn answer(&self, door: &Address, keys: u32) -> Vec<u8> {
        let mut line = door.connector().connect();
        line.write_all(Act::Read.request(keys).of(0)).expect("it takes the request");
        let mut answer = vec![0; 8192];
        let length = line.read(&mut answer).expect("it answers");
        answer.truncate(length);
        answer
    }
}

fn write_configuration(state: &Path, sockets: &Path, mtls: SocketAddr) -> PathBuf {
    let key = tokenkeep::crypto::key::KeyText::generate();
    private(&state.join("root.key"), key.expose());
    let (state, sockets) = (state.display(), sockets.display());
    let text = format!(
        "environment = \"development\"\n\
         state_directory = \"{state}/state\"\n\
         [listen]\nunix = \"{sockets}/tokenkeep.sock\"\nadmin = \"{sockets}/admin.sock\"\n\
         [listen.mtls]\naddress = \"{mtls}\"\ncertificate = \"{state}/server.crt\"\nkey = \"{state}/server.key\"\n\
         client_ca = \"{state}/ca.crt\"\n\
         [root_key]\nsource = \"file\"\npath = \"{state}/root.key\"\n\
         [[provider]]\nid = \"github\"\n\
         [[client]]\nname = \"bench\"\nunix = {{ user = {uid} }}\nmtls = {{ san = \"{client}\" }}\norgs = [\"*\"]\nproviders = [\"github\"]\n\
         allow = [\"org:create\", \"connection:*\", \"token:read\"]\n\
         rate = {{ per_second = 1000000, burst = 1000000 }}\n\
         [audit]\nsync = \"interval 50ms\"\n\
         [memory]\nlock = \"preferred\"\nsecret_pages = \"preferred\"\n",
        uid = nix::unistd::geteuid(),
        client = tls::CLIENT,
    );
    let file = PathBuf::from(format!("{state}/{CONFIGURATION}"));
    private(&file, &text);
    file
}

fn private(path: &Path, text: &str) {
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).expect("a file");
}
