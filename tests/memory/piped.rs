//! A program that the kernel pipes cores into (core(5)) gets none of the daemon's.
//!
//! The hard problem: the limit of cores does not count there, and the setting is the whole kernel's. The answer: it is set for
//! as long as two processes take to crash, and taken back whatever happens; and a program that leaks, with the same limit,
//! crashes first: its core must arrive, with its secret in it.
//!
//! Nothing else is tested meanwhile.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokenkeep_scanner::{Kind, Needles, Scanner};

use crate::canaries::Canaries;
use crate::kit::{Configuration, TestVault, is_root, skip};

const SETTING: &str = "/proc/sys/kernel/core_pattern";

/// The setting as it was, put back when this goes.
struct Pattern(Vec<u8>);

impl Pattern {
    fn set(text: &str) -> std::io::Result<Self> {
        let before = Self(fs::read(SETTING)?);
        fs::write(SETTING, text)?;
        Ok(before)
    }
}

impl Drop for Pattern {
    fn drop(&mut self) {
        if let Err(why) = fs::write(SETTING, &self.0) {
            eprintln!("{SETTING} could not be put back to {}: {why}", String::from_utf8_lossy(&self.0));
        }
    }
}

/// Keeps what it is piped, under the number of the process that crashed.
fn collector(directory: &Path) -> PathBuf {
    let path = directory.join("collect");
    let script = format!("#!/bin/sh\nexec cat >'{}'/core.\"$1\"\n", directory.display());
    fs::write(&path, script).expect("a script");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("its mode");
    path
}

/// The core of a process that has ended: the kernel runs the program before it says that.
fn core_of(directory: &Path, pid: u32) -> Option<Vec<u8>> {
    fs::read(directory.join(format!("core.{pid}"))).ok()
}

/// A shell without a limit to spare that has read a secret, crashes, and may be dumped.
fn leaks(secret: &str) -> u32 {
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -c 0; read secret; echo ready; read never"]);
    let mut child = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("sh");
    child.stdin.as_mut().unwrap().write_all(format!("{secret}\n").as_bytes()).unwrap();
    child.stdout.as_mut().unwrap().read_exact(&mut [0; 6]).unwrap();
    let pid = child.id();
    kill(Pid::from_raw(pid.try_into().expect("a pid")), Signal::SIGSEGV).expect("a signal");
    child.wait().expect("wait");
    pid
}

#[test]
#[ignore = "it changes a setting of the whole kernel for some seconds; `make memory` runs it alone"]
fn a_program_that_cores_are_piped_into_gets_none() {
    if !is_root() {
        return skip("what a program of core_pattern gets, which needs root");
    }
    let directory = tempfile::tempdir().expect("a directory");
    let (mut needles, canaries) = (Needles::default(), Canaries::default());
    let secret = tokenkeep_scanner::fresh_text().expect("randomness");
    needles.canary("what leaks", secret.as_bytes());
    let control = Scanner::new(needles);
    for signal in [Signal::SIGSEGV, Signal::SIGABRT, Signal::SIGBUS, Signal::SIGILL, Signal::SIGQUIT] {
        let mut vault = TestVault::with(Configuration::default());
        vault.create_org("acme");
        vault.put_pair("acme", "github/a", &canaries.plant("access token"), &canaries.plant("refresh token"));
        let pid = vault.pid();
        let pattern = match Pattern::set(&format!("|{} %P", collector(directory.path()).display())) {
            Ok(pattern) => pattern,
            Err(why) => return skip(&format!("what a program of core_pattern gets: {SETTING}: {why}")),
        };
        let leaked = leaks(&secret);
        let status = vault.crash(signal);
        drop(pattern);
        let Some(core) = core_of(directory.path(), leaked) else {
            return skip("what a program of core_pattern gets: the kernel does not run ours (a container?)");
        };
        assert!(control.bytes("the core", &core).count(Kind::Canary) > 0, "what leaks is in its core");
        assert_eq!((status.signal(), status.core_dumped()), (Some(signal as i32), false), "{signal}");
        assert!(core_of(directory.path(), pid).is_none(), "{signal}: a core of the daemon was piped");
        println!("{signal}: a core of {} KiB of what leaks, none of the daemon", core.len() >> 10);
    }
}
