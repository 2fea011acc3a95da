//! The command line as transcripts: the real program against a scripted daemon.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod alert;
mod audit;
mod backup;
mod connection;
mod import;
mod key;
#[path = "../../clients/rust/tests/kit/mod.rs"]
mod kit;
mod manual;
mod org;
mod provider;
mod secret;
mod status;
mod usage;

use kit::Daemon;
use std::io::Write;
use std::process::{Command, Stdio};

/// What the program said.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    exit: i32,
    out: String,
    err: String,
}

impl Told {
    /// Success, with these lines and nothing beside them.
    fn is(&self, out: &str) {
        assert_eq!((self.exit, self.out.as_str(), self.err.as_str()), (0, out, ""));
    }

    /// A failure with this exit code; stdout stays empty.
    fn fails(&self, exit: i32, err: &str) {
        assert_eq!((self.exit, self.err.as_str(), self.out.as_str()), (exit, err, ""));
    }
}

/// Runs `tokenkeep` with the words of `line`.
fn tokenkeep(daemon: &Daemon, line: &str) -> Told {
    tokenkeep_with(daemon, line, b"")
}

/// Runs `tokenkeep` with the words of `line` and this stdin.
fn tokenkeep_with(daemon: &Daemon, line: &str, stdin: &[u8]) -> Told {
    let mut command = program(line);
    finish(command.arg("--socket").arg(daemon.socket()), stdin)
}

fn program(line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tokenkeep"));
    command.args(line.split_whitespace()).env_remove("TOKENKEEP_ADMIN");
    command
}

fn finish(command: &mut Command, stdin: &[u8]) -> Told {
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.spawn().unwrap();
    // A program that refuses its arguments does not read; that is seen from its exit code.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Told { exit: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}
