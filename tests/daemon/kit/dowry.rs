//! What a service manager gives a daemon beside its command line: variables, and sockets from descriptor 3 on.
//!
//! The hard problem: `LISTEN_PID` and `WATCHDOG_PID` name the very process that is started. The answer: a shell that
//! puts everything in place and then becomes the daemon, so that its number is the daemon's.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};

/// Nothing, unless something is added.
#[derive(Debug, Default)]
pub struct Dowry {
    pub variables: Vec<(String, OsString)>,
    /// `FileDescriptorName=` and the socket; up to three.
    pub sockets: Vec<(&'static str, OwnedFd)>,
    /// A program, with its arguments, that becomes the daemon.
    pub before: Vec<String>,
    /// The daemon; none: that of this build, or of `TOKENKEEP_TEST_DAEMON`.
    pub program: Option<OsString>,
    /// Beside the configuration file.
    pub arguments: Vec<OsString>,
}

fn program() -> OsString {
    let built = || OsString::from(env!("CARGO_BIN_EXE_tokenkeepd"));
    std::env::var_os("TOKENKEEP_TEST_DAEMON").unwrap_or_else(built)
}

/// Descriptors 0, 1 and 2 of the shell carry the sockets: those a parent can set.
const LAUNCH: &str = r#"
out=$1 err=$2 count=$3; shift 3
exec 3<&0 4<&1 5<&2 </dev/null >"$out" 2>"$err"
[ "$count" -gt 2 ] || exec 5<&-
[ "$count" -gt 1 ] || exec 4<&-
[ "$count" -gt 0 ] || exec 3<&-
[ "$count" -eq 0 ] || export LISTEN_FDS="$count" LISTEN_PID="${LISTEN_PID:-$$}"
export WATCHDOG_PID=$$
exec "$@"
"#;

impl Dowry {
    pub fn command(&self, room: &Path, configuration: &Path) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", LAUNCH, "sh"]);
        command.arg(room.join("out.log")).arg(room.join("err.log")).arg(self.sockets.len().to_string());
        command
            .args(&self.before)
            .arg(self.program.clone().unwrap_or_else(program))
            .arg("--config")
            .arg(configuration)
            .args(&self.arguments);
        let socket = |at: usize| match self.sockets.get(at) {
            Some((_, socket)) => Stdio::from(socket.try_clone().expect("a descriptor")),
            None => Stdio::null(),
        };
        command.stdin(socket(0)).stdout(socket(1)).stderr(socket(2));
        let names: Vec<&str> = self.sockets.iter().map(|(name, _)| *name).collect();
        if !names.is_empty() {
            command.env("LISTEN_FDNAMES", names.join(":"));
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }
}
