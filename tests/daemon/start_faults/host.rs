//! Hosts on which the daemon does not start in production: limits that are too small, memory that may reach a disk. In
//! development it starts there, and says so to `tokenkeep doctor`.
//!
//! Run by an ordinary user, which the tests become where root runs them.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::kit::configuration::other_uid;
use crate::kit::vault::Ended;
use crate::kit::{Client, Configuration, TestVault, is_root, own_uid, poll, skip};

/// A daemon of an ordinary user, and what its host is like.
struct Host {
    vault: TestVault,
    uid: u32,
    /// Of prlimit(1).
    limits: &'static [&'static str],
    /// Whether the limit of locked memory holds, or the right to lock any (`CAP_IPC_LOCK`), which root can give where it
    /// may not raise the limit itself.
    locks_any: bool,
    /// Instead of `/proc/swaps`, which takes root.
    swaps: Option<&'static str>,
}

impl Host {
    fn new(environment: &'static str, memory: &'static str) -> Self {
        let uid = if is_root() { other_uid() } else { own_uid() };
        let clients = vec![Client { uid, ..Client::own() }];
        let vault =
            TestVault::stopped(Configuration { environment, memory, clients, ..Configuration::default() });
        Self { vault, uid, limits: LITTLE, locks_any: false, swaps: None }
    }

    /// Whether this can be done here, which in a container not even root may.
    fn can(what: &[&str], why: &str) -> bool {
        let done = Command::new(what[0]).args(&what[1..]).arg("true").output();
        let can = is_root() && done.is_ok_and(|output| output.status.success());
        if !can {
            skip(why);
        }
        can
    }

    /// Everything in the room is the user's, and a copy of the daemon is where that user may look.
    fn furnish(&self) -> PathBuf {
        self.vault.write_configuration();
        let program = self.vault.room().join("tokenkeepd");
        fs::copy(env!("CARGO_BIN_EXE_tokenkeepd"), &program).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(self.vault.room().join("swaps"), self.swaps.unwrap_or_default()).unwrap();
        for entry in fs::read_dir(self.vault.room()).unwrap() {
            chown(entry.unwrap().path(), Some(self.uid), None).unwrap();
        }
        chown(self.vault.room(), Some(self.uid), None).unwrap();
        program
    }

    fn command(&self) -> Command {
        let (program, room) = (self.furnish(), self.vault.room());
        let mut words: Vec<String> = Vec::new();
        if self.swaps.is_some() {
            let mount = format!("mount --bind {}/swaps /proc/swaps && exec \"$@\"", room.display());
            words.extend(["unshare", "--mount", "sh", "-c", &mount, "sh"].map(str::to_owned));
        }
        words.push("prlimit".to_owned());
        words.extend(self.limits.iter().map(|limit| (*limit).to_owned()));
        if is_root() {
            let id = format!("{}", self.uid);
            words.extend(["setpriv", "--reuid", &id, "--regid", &id, "--clear-groups"].map(str::to_owned));
            if self.locks_any {
                words.extend(LOCKING[1..].iter().map(|word| (*word).to_owned()));
            }
        }
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg(program).arg("--config").arg(self.vault.configuration_file());
        command.current_dir("/").stdin(Stdio::null());
        command
    }

    fn is_refused(&self, words: &[&str]) {
        let output = self.command().output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        let line = errors.lines().last().unwrap_or_default().to_owned();
        Ended { code: output.status.code(), line }.with(77, words);
    }

    /// Starts, and gives what doctor says of this.
    fn starts(&self, check: &str) -> String {
        let out = fs::File::create(self.vault.room().join("out.log")).unwrap();
        let err = fs::File::create(self.vault.room().join("err.log")).unwrap();
        let mut daemon = self.command().stdout(out).stderr(err).spawn().unwrap();
        poll("the daemon to be ready", || {
            assert!(daemon.try_wait().unwrap().is_none(), "{}", self.vault.said());
            self.vault.said().contains("is ready").then_some(())
        });
        let findings = self.vault.admin().get("/admin/v1/doctor").is(200).json();
        let status = self.vault.admin().get("/v1/status").is(200).json();
        kill(Pid::from_raw(daemon.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
        assert_eq!(daemon.wait().unwrap().code(), Some(0), "{}", self.vault.said());
        let level = |check: &str| {
            let mut found = findings["findings"].as_array().unwrap().iter();
            found.find(|finding| finding["check"] == check).expect("a finding")["level"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        assert_eq!(status["locked_memory"], level("locked_memory") == "ok", "status and doctor say the same");
        level(check)
    }
}

const REQUIRED: &str = "lock = \"required\"\nsecret_pages = \"preferred\"";
const PREFERRED: &str = "lock = \"preferred\"\nsecret_pages = \"preferred\"";
const LOCKING: &[&str] = &["setpriv", "--inh-caps", "+ipc_lock", "--ambient-caps", "+ipc_lock"];
const LITTLE: &[&str] = &["--memlock=8388608"];

#[test]
fn memory_that_cannot_be_locked_is_refused_unless_that_is_allowed() {
    Host::new("production", REQUIRED).is_refused(&["lock its memory", "LimitMEMLOCK=infinity", "[memory]"]);
    assert_eq!(Host::new("development", PREFERRED).starts("locked_memory"), "warn");
    if Host::can(LOCKING, "the right to lock memory is given by root") {
        let mut host = Host::new("production", REQUIRED);
        host.locks_any = true;
        assert_eq!(host.starts("locked_memory"), "ok");
    }
}

#[test]
fn swap_on_a_plain_disk_is_refused_unless_memory_is_locked() {
    const PLAIN: &str = "Filename Type Size Used Priority\n/dev/sda-canary partition 1024 0 -2\n";
    if !Host::can(&["unshare", "--mount"], "another /proc/swaps takes a mount namespace of root") {
        return;
    }
    let swapping = |environment, memory, locks_any| {
        let mut host = Host::new(environment, memory);
        (host.swaps, host.locks_any) = (Some(PLAIN), locks_any);
        host
    };
    let refused = swapping("production", PREFERRED, false);
    refused.is_refused(&["/dev/sda-canary", "not encrypted", "LimitMEMLOCK=infinity", "swapoff"]);
    if Host::can(LOCKING, "the right to lock memory is given by root") {
        assert_eq!(swapping("production", PREFERRED, true).starts("swap"), "ok", "it is locked");
    }
    assert_eq!(swapping("development", PREFERRED, false).starts("swap"), "fail", "doctor says it");
}

#[test]
fn too_few_open_files_for_the_connections_are_refused() {
    let mut host = Host::new("production", PREFERRED);
    host.limits = &["--nofile=1000"];
    host.is_refused(&["1024 connections need 1280", "LimitNOFILE=1280", "[limits]"]);
    let mut host = Host::new("development", PREFERRED);
    host.limits = &["--nofile=1000"];
    assert_eq!(host.starts("open_files"), "fail");
}
