//! The real `tokenkeep-egress`, in a room of its own, and the daemon's part played from outside.

use std::fs;
use std::io::{IoSliceMut, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::kit::vault::write_private;
use crate::kit::{PATIENCE, poll};

pub(crate) struct WayOut {
    room: TempDir,
    egress: Option<Child>,
}

impl WayOut {
    /// One that does not run yet.
    pub(crate) fn stopped() -> Self {
        Self { room: tempfile::Builder::new().prefix("tke").tempdir().expect("a directory"), egress: None }
    }

    /// One that connects to this OpenBao.
    pub(super) fn to(address: &str) -> Self {
        let mut way = Self::stopped();
        way.configure(address);
        way.start_with(&way.configuration_file());
        way
    }

    /// Has the configuration name this OpenBao.
    pub(super) fn configure(&self, address: &str) {
        let text = format!(
            "environment = \"development\"\nstate_directory = \"/nonexistent\"\n[root_key]\nsource = \"openbao\"\n\
             address = \"{address}\"\npath = \"a\"\ntoken = {{ file = \"/nonexistent\" }}\n{}",
            self.section()
        );
        write_private(&self.configuration_file(), text.as_bytes());
    }

    /// The lines of the configuration that lead here.
    pub(crate) fn section(&self) -> String {
        format!("[egress]\nsocket = \"{}\"\n", self.socket().display())
    }

    pub(crate) fn configuration_file(&self) -> PathBuf {
        self.room.path().join("tokenkeep.toml")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.room.path().join("egress.sock")
    }

    pub(super) fn room(&self) -> &Path {
        self.room.path()
    }

    /// Starts it with this configuration file, and waits until it listens.
    pub(crate) fn start_with(&mut self, configuration: &Path) {
        let mut program = program();
        program.arg("--config").arg(configuration);
        self.run(program);
    }

    /// Starts it as a service manager does, with this socket.
    pub(super) fn start_handed(&mut self, socket: OwnedFd) {
        const LAUNCH: &str =
            r#"exec 3<&0 </dev/null; export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=egress; exec "$@""#;
        let mut command = Command::new("sh");
        command.args(["-c", LAUNCH, "sh"]).arg(program().get_program());
        command.arg("--config").arg(self.configuration_file()).stdin(Stdio::from(socket));
        self.run(command);
    }

    pub(super) fn run(&mut self, mut program: Command) {
        let log = fs::File::create(self.room.path().join("egress.err")).expect("a file");
        let egress = program.stdout(Stdio::null()).stderr(log).spawn();
        self.egress = Some(egress.expect("it starts"));
        poll("egress to listen", || {
            let ended = self.egress.as_mut()?.try_wait().expect("wait");
            assert!(ended.is_none(), "it ended: {}", self.said());
            self.said().contains("ready: ").then_some(())
        });
    }

    /// What it has said so far.
    pub(super) fn said(&self) -> String {
        fs::read_to_string(self.room.path().join("egress.err")).unwrap_or_default()
    }

    pub(super) fn says(&self, words: &str) {
        poll(words, || self.said().contains(words).then_some(()));
    }

    pub(super) fn pid(&self) -> u32 {
        self.egress.as_ref().expect("it runs").id()
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid().try_into().expect("a pid")), signal).expect("a signal");
    }

    /// Asks as the daemon would: the code, and the connection where there is one.
    pub(super) fn ask(&self, line: &str) -> (Option<char>, Option<TcpStream>) {
        let mut stream = self.connect();
        let _ = stream.write_all(line.as_bytes());
        answer(&stream)
    }

    pub(super) fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.socket()).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a deadline");
        stream
    }
}

impl Drop for WayOut {
    fn drop(&mut self) {
        if let Some(mut egress) = self.egress.take() {
            let _ = egress.kill();
            let _ = egress.wait();
        }
    }
}

/// The program, with nothing that it could heed but what would lead it astray.
pub(super) fn program() -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_tokenkeep-egress"));
    program.env_clear().env("https_proxy", "http://127.0.0.1:9").env("ALL_PROXY", "socks5://127.0.0.1:9");
    program.env("LOCALDOMAIN", "evil.example").env("RES_OPTIONS", "nameserver:127.0.0.9");
    program
}

/// The code and the connection; no code where the stream has ended.
#[expect(unsafe_code, reason = "a descriptor comes as a number")]
pub(super) fn answer(stream: &UnixStream) -> (Option<char>, Option<TcpStream>) {
    let mut byte = [0];
    let mut room = nix::cmsg_space!([RawFd; 4]);
    let mut into = [IoSliceMut::new(&mut byte)];
    let received = recvmsg::<()>(stream.as_raw_fd(), &mut into, Some(&mut room), MsgFlags::MSG_CMSG_CLOEXEC);
    let Ok(message) = received else { return (None, None) };
    let mut descriptors = Vec::new();
    for control in message.cmsgs().expect("whole") {
        if let ControlMessageOwned::ScmRights(received) = control {
            descriptors.extend(received);
        }
    }
    let length = message.bytes;
    assert!(descriptors.len() <= 1);
    // SAFETY: the kernel has just opened it for this process.
    let socket = descriptors.first().map(|one| TcpStream::from(unsafe { OwnedFd::from_raw_fd(*one) }));
    ((length == 1).then(|| char::from(byte[0])), socket)
}

/// Where a connection leads.
pub(super) fn peer(answer: (Option<char>, Option<TcpStream>)) -> SocketAddr {
    assert_eq!(answer.0, Some('+'));
    answer.1.expect("a connection").peer_addr().expect("connected")
}
