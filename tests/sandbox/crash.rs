//! Faults: a panic and the signals that end a process, in one that has gone through the daemon's own start.

use std::ffi::OsString;
use std::fs;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Output};

use nix::sys::signal::{Signal, raise};
use tokenkeep::os::hardening;

use crate::TRY;
use crate::room::Room;

/// What the process works on, and must not show.
const CANARY: &str = "ghr_canary-of-a-token";

const SIGNALS: [Signal; 6] =
    [Signal::SIGABRT, Signal::SIGBUS, Signal::SIGFPE, Signal::SIGILL, Signal::SIGQUIT, Signal::SIGSEGV];

/// Whether it is one of these that is to be tried here.
pub(crate) fn happens(name: &str) -> bool {
    match name.split_once('-') {
        Some(("panic", program)) => {
            let arguments = ["tokenkeep", "--version"].map(OsString::from);
            match program {
                "tokenkeep-doorman" => drop(tokenkeep::doorman::run(arguments)),
                "tokenkeep-egress" => drop(tokenkeep::egress::run(arguments)),
                "tokenkeepd" => drop(tokenkeep::daemon::run::run(arguments)),
                _ => drop(tokenkeep::cli::run(arguments)),
            }
            let token = CANARY.to_owned();
            assert!(std::hint::black_box(token.is_empty()), "the token is {token}");
            true
        }
        Some(("signal", number)) => {
            hardening::harden().expect("hardened");
            let token = std::hint::black_box(CANARY.to_owned());
            let signal = Signal::try_from(number.parse::<i32>().expect("a number")).expect("a signal");
            // The first may only take the handler of the Rust library away.
            for _ in 0..2 {
                raise(signal).expect("a signal");
            }
            drop(token);
            true
        }
        _ => false,
    }
}

pub(crate) fn panic_is_quiet() {
    for program in ["tokenkeepd", "tokenkeep-doorman", "tokenkeep-egress", "tokenkeep"] {
        let (output, _) = happened(&format!("panic-{program}"));
        let said =
            String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("a fault of tokenkeep at tests/sandbox/crash.rs:"), "{said}");
        assert!(!said.contains("canary") && !said.contains("backtrace") && !said.contains("stack"), "{said}");
    }
}

pub(crate) fn signals_are_quiet() {
    for signal in SIGNALS {
        let (output, files) = happened(&format!("signal-{}", signal as i32));
        assert_eq!(output.status.signal(), Some(signal as i32), "{signal}");
        assert!(!output.status.core_dumped(), "{signal}");
        assert!(output.stderr.is_empty() && output.stdout.is_empty(), "{signal}");
        assert_eq!(files, 0, "{signal} left a file");
    }
}

/// In a directory of its own, with all that could make it talk; and how many files it left there.
fn happened(what: &str) -> (Output, usize) {
    let room = Room::new();
    let directory = tempfile::tempdir().expect("a directory");
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -c unlimited; exec \"$@\"", "sh"])
        .arg(std::env::current_exe().expect("this program"));
    command.args([TRY, what, "boot", "end"]).args(room.arguments()).current_dir(directory.path());
    command.envs([("RUST_BACKTRACE", "full"), ("RUST_LIB_BACKTRACE", "full")]).arg0("sh");
    let output = command.output().expect("it starts");
    (output, fs::read_dir(directory.path()).expect("a directory").count())
}
