//! The watchdog is fed as long as everything moves, and not by anything that merely runs.

use nix::errno::Errno;
use nix::sys::ptrace;
use nix::unistd::Pid;

use super::{Notified, has, value};
use crate::kit::{Configuration, skip};

/// The thread of this name (`/proc/PID/task/TID/comm` has 15 characters of it).
fn thread(pid: u32, name: &str) -> Pid {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let found = tasks
        .map(|task| task.unwrap().path())
        .find(|task| std::fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim() == name));
    let task = found.unwrap_or_else(|| panic!("no thread {name}"));
    Pid::from_raw(task.file_name().unwrap().to_str().unwrap().parse().unwrap())
}

#[test]
fn a_part_that_stands_still_is_named_and_not_fed_for() {
    let (mut vault, manager) = Notified::over(Configuration::default());
    vault.dowry.variables.push(("WATCHDOG_USEC".into(), "2000000".into()));
    vault.start();
    let alive = manager.hears("WATCHDOG=1");
    assert_eq!(value(&alive, "STATUS"), "serving: 0 records, store ok, audit ok");
    for (name, words) in [
        ("store-committer", "not well: the store's committer does not answer"),
        ("audit-sync", "not well: the audit log's thread does not move"),
    ] {
        manager.hears("WATCHDOG=1");
        let thread = thread(vault.pid(), name);
        match ptrace::seize(thread, ptrace::Options::empty()) {
            Err(Errno::EPERM) => return skip("a part that stands still: no right to hold a thread"),
            seized => seized.unwrap(),
        }
        ptrace::interrupt(thread).unwrap();
        manager.hears(&format!("STATUS={words}"));
        let meanwhile = manager.until(&format!("STATUS={words}"));
        assert!(!meanwhile.iter().any(|message| has(message, "WATCHDOG")), "{meanwhile:?}");
        // The stop must have been seen before it can be ended.
        nix::sys::wait::waitpid(thread, Some(nix::sys::wait::WaitPidFlag::__WALL)).unwrap();
        ptrace::detach(thread, None).unwrap();
    }
    manager.hears("WATCHDOG=1");
    vault.stop();
}

#[test]
fn an_audit_log_that_has_failed_is_not_fed_for() {
    let (mut vault, manager) = Notified::over(Configuration::default());
    vault.dowry.variables.push(("WATCHDOG_USEC".into(), "2000000".into()));
    vault.start();
    manager.hears("WATCHDOG=1");
    for file in vault.audit_files() {
        std::fs::remove_file(file).unwrap();
    }
    manager.hears("STATUS=not well: the audit log has failed");
    let meanwhile = manager.until("STATUS=not well: the audit log has failed");
    assert!(!meanwhile.iter().any(|message| has(message, "WATCHDOG")), "{meanwhile:?}");
}
