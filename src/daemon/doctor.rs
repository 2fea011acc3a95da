//! What is wrong with the host, and how to mend it: the findings behind `tokenkeep doctor`.
//!
//! Pure: facts in, findings out, so every judgement is tested without the host that would need it. A check that
//! finds nothing says so too; a reader sees what was looked at.
//!
//! Never takes a fact that could not be had for a good one.

mod tls;

use std::time::{Duration, SystemTime};

use tokenkeep_client::wire::Finding;

use super::sandbox::Walls;
use crate::net::server::Condition;
use crate::os::host::{Facts, Found, Limit};
use crate::os::sandbox::{FileWall, OnForbidden};
use crate::os::swap::Medium;
use crate::room::Kind;

/// Files that are open beside the connections: journal, index, audit log, sockets, the runtime's own.
const OTHER_FILES: u64 = 256;

/// Below this much free space, `doctor` warns: a busy vault writes it in days.
const LITTLE_FREE: u64 = 1 << 30;

/// Below this much free space, the store is about to refuse changes.
const NO_FREE: u64 = 128 << 20;

/// A root key that has sealed for this long is due (NIST SP 800-57 part 1, section 5.3.6: key-wrapping keys, up
/// to 2 years; half of it leaves a year to do it).
const OLD_KEY: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// What the daemon knows beside the facts of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The connections that the configuration allows.
    pub connections: usize,
    /// The state directory.
    pub state_directory: Found,
    /// The socket of applications.
    pub unix_socket: Found,
    /// The socket of admins.
    pub admin_socket: Found,
    /// Whether memory can be swapped out.
    pub memory: Memory,
    /// What the pages are that keys stand in.
    pub key_pages: Kind,
    /// What keeps the daemon in.
    pub walls: Walls,
    /// Where the root keys come from.
    pub root_key_source: String,
    /// How long the first root key has been sealing, where that is known.
    pub root_key_age: Option<Duration>,
    /// The mTLS listener, where there is one.
    pub tls: Option<Condition>,
}

/// What keeps memory from the swap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// All of it is locked (mlockall(2)).
    Locked,
    /// Nothing does, beyond what keys have of their own.
    Swappable,
}

/// Everything that was looked at.
#[must_use]
pub fn findings(facts: &Facts, checked: &Checked) -> Vec<Finding> {
    let mut findings = vec![
        user(facts),
        kernel(facts),
        core_dumps(facts),
        inspection(facts),
        tracing(facts),
        open_files(facts, checked.connections),
        locked_memory(facts, checked.memory),
        swap(facts, checked.memory),
        key_pages(checked.key_pages),
        sandbox(checked.walls),
        state_directory(facts, &checked.state_directory),
        socket("unix_socket", &checked.unix_socket, 0o666),
        socket("admin_socket", &checked.admin_socket, 0o600),
        free_space(facts),
        clock(facts),
        ok(
            "root_key_source",
            format!("{}; asked at start and by `tokenkeep key reload` alone", checked.root_key_source),
        ),
    ];
    findings.extend(checked.root_key_age.map(root_key_age));
    findings.extend(checked.tls.iter().flat_map(|condition| tls::findings(condition, SystemTime::now())));
    findings
}

fn user(facts: &Facts) -> Finding {
    match facts.uid {
        0 => warn(
            "user",
            "the daemon runs as root, which only environment = \"development\" allows",
            "give it a user of its own: User=tokenkeep in the systemd unit",
        ),
        uid => ok("user", format!("the daemon runs as user {uid}")),
    }
}

/// `SO_PEERPIDFD` came with Linux 6.5; without it no unit is ever proved.
fn kernel(facts: &Facts) -> Finding {
    let mut numbers = facts.kernel.split(|c: char| !c.is_ascii_digit()).map_while(|n| n.parse::<u32>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) if (major, minor) >= (6, 5) => {
            ok("kernel", format!("Linux {major}.{minor}"))
        }
        (Some(major), Some(minor)) => warn(
            "kernel",
            format!(
                "Linux {major}.{minor} cannot prove the unit of a caller: clients with a unit never match"
            ),
            "run Linux 6.5 or later, or tell clients apart by user",
        ),
        _ => unknown("kernel", "the release of the kernel"),
    }
}

fn core_dumps(facts: &Facts) -> Finding {
    match facts.core {
        Some(Limit { soft: Some(0), hard: Some(0) }) => ok("core_dumps", "no core file can be written"),
        Some(_) => fail(
            "core_dumps",
            "a core file could be written, with keys in it",
            "restart the daemon; set LimitCORE=0 in the systemd unit",
        ),
        None => unknown("core_dumps", "the limit of core files"),
    }
}

fn inspection(facts: &Facts) -> Finding {
    match facts.is_dumpable {
        Some(false) => ok("inspection", "processes of the same user cannot read the daemon's memory"),
        Some(true) => fail(
            "inspection",
            "processes of the same user can read the daemon's memory",
            "restart the daemon; nothing may run it under another program that undoes PR_SET_DUMPABLE",
        ),
        None => unknown("inspection", "whether the process is dumpable"),
    }
}

fn tracing(facts: &Facts) -> Finding {
    match facts.ptrace_scope {
        Some(0) => warn(
            "ptrace_scope",
            "the kernel lets processes of one user trace each other",
            "sysctl kernel.yama.ptrace_scope=1, or 3 on hosts where nobody debugs",
        ),
        Some(scope) => ok("ptrace_scope", format!("kernel.yama.ptrace_scope is {scope}")),
        None => ok("ptrace_scope", "the kernel has no Yama; that the daemon is not dumpable stands for it"),
    }
}

pub(super) fn open_files(facts: &Facts, connections: usize) -> Finding {
    let needed = u64::try_from(connections).unwrap_or(u64::MAX).saturating_add(OTHER_FILES);
    match facts.open_files {
        Some(Limit { soft: Some(soft), .. }) if soft < needed => fail(
            "open_files",
            format!("{soft} files may be open, and {connections} connections need {needed}"),
            format!("set LimitNOFILE={needed} in the systemd unit, or lower connections in [limits]"),
        ),
        Some(_) => ok("open_files", format!("enough for {connections} connections")),
        None => unknown("open_files", "the limit of open files"),
    }
}

fn locked_memory(facts: &Facts, memory: Memory) -> Finding {
    let mend = "set LimitMEMLOCK=infinity in the systemd unit (containers: --ulimit memlock=-1), and restart the daemon";
    match (memory, facts.locked_memory) {
        (Memory::Locked, _) => ok("locked_memory", "all memory of the daemon is locked"),
        (Memory::Swappable, Some(Limit { soft: Some(soft), .. })) => {
            warn("locked_memory", format!("memory is not locked: {} KiB of it may be", soft >> 10), mend)
        }
        (Memory::Swappable, _) => warn("locked_memory", "memory is not locked", mend),
    }
}

fn key_pages(kind: Kind) -> Finding {
    let mend = "run Linux 6.5 or later (5.14 with secretmem.enable=1) with memfd_secret(2) allowed, and set \
                secret_pages = \"required\" in [memory]";
    match kind {
        Kind::Secret => ok("key_pages", "keys stand in memory that nobody else can read, not even root"),
        Kind::Locked => warn("key_pages", "keys stand in locked memory, which root can read", mend),
        Kind::Unlocked => {
            warn("key_pages", "keys stand in memory that root can read and the swap can take", mend)
        }
    }
}

pub(super) fn swap(facts: &Facts, memory: Memory) -> Finding {
    if memory == Memory::Locked {
        return ok("swap", "whether there is some or not, memory is locked");
    }
    let Some(swaps) = &facts.swaps else {
        return unknown("swap", "whether there is swap");
    };
    let mut on_disk = swaps.iter().filter(|swap| swap.medium == Medium::Plain).map(|swap| swap.name.as_str());
    match on_disk.next() {
        None if swaps.is_empty() => ok("swap", "there is none for the daemon"),
        None => ok("swap", "what is swapped stays in memory, or is encrypted"),
        Some(first) => {
            let names = on_disk.fold(first.to_owned(), |names, name| format!("{names}, {name}"));
            fail(
                "swap",
                format!("keys and tokens may reach the disk, by {names}, which is not encrypted"),
                "let the daemon lock its memory (LimitMEMLOCK=infinity in the systemd unit), or run swapoff -a and \
                 remove it from /etc/fstab, or set MemorySwapMax=0 in the systemd unit",
            )
        }
    }
}

fn sandbox(walls: Walls) -> Finding {
    let kernel = "run Linux 6.12 or later, with landlock in lsm=";
    match walls {
        Walls::Both(_, OnForbidden::Tell) => warn(
            "sandbox",
            "the daemon runs with --sandbox-log: a forbidden system call is refused and logged, and does not end it",
            "restart it without",
        ),
        Walls::Both(FileWall::Whole, _) => {
            ok("sandbox", "system calls and files are restricted (seccomp, Landlock)")
        }
        Walls::Both(FileWall::Older, _) => warn(
            "sandbox",
            "system calls and files are restricted, as far as this kernel's Landlock goes",
            kernel,
        ),
        Walls::Both(FileWall::Absent, _) => {
            warn("sandbox", "system calls are restricted, files are not: the kernel has no Landlock", kernel)
        }
        Walls::None => fail("sandbox", "there is none in this build", "run an ordinary build"),
    }
}

fn state_directory(facts: &Facts, found: &Found) -> Finding {
    let path = found.path.display();
    match (found.mode, found.uid) {
        (Some(mode), Some(uid)) if mode & 0o077 == 0 && uid == facts.uid => {
            ok("state_directory", format!("{path} is the daemon's alone"))
        }
        (Some(mode), Some(uid)) => fail(
            "state_directory",
            format!("{path} has mode {mode:04o} and belongs to user {uid}"),
            format!("chown {} {path} && chmod 0700 {path}; then see who could have read it", facts.uid),
        ),
        _ => {
            fail("state_directory", format!("{path} is gone"), "stop the daemon and restore it from a backup")
        }
    }
}

fn socket(check: &str, found: &Found, meant: u32) -> Finding {
    let path = found.path.display();
    match found.mode {
        // Tighter is the operator's choice.
        Some(mode) if mode & !meant == 0 => ok(check, format!("{path} has mode {mode:04o}")),
        Some(mode) => fail(
            check,
            format!("{path} has mode {mode:04o}, looser than {meant:04o}"),
            format!("chmod {meant:04o} {path}"),
        ),
        None => fail(
            check,
            format!("{path} is gone, so nobody can connect any more"),
            "restart the daemon; see what removed it (RuntimeDirectory= of another unit?)",
        ),
    }
}

fn free_space(facts: &Facts) -> Finding {
    let mend = "make room on the file system of the state directory, or enlarge it";
    match facts.free {
        Some(free) if free < NO_FREE => {
            fail("free_space", format!("{} MiB are free; changes are about to be refused", free >> 20), mend)
        }
        Some(free) if free < LITTLE_FREE => warn("free_space", format!("{} MiB are free", free >> 20), mend),
        Some(free) => ok("free_space", format!("{} GiB are free", free >> 30)),
        None => unknown("free_space", "how much space is free"),
    }
}

fn clock(facts: &Facts) -> Finding {
    match facts.is_clock_synchronised {
        Some(true) => ok("clock", "systemd-timesyncd keeps it"),
        Some(false) => warn(
            "clock",
            "systemd-timesyncd has not set the clock yet; tokens may seem valid that have ended",
            "see timedatectl timesync-status; the daemon should start After=time-sync.target",
        ),
        None => warn(
            "clock",
            "systemd-timesyncd does not keep it, and whether another program does is not known",
            "see timedatectl, or chronyc tracking",
        ),
    }
}

fn root_key_age(age: Duration) -> Finding {
    let days = age.as_secs() / (24 * 60 * 60);
    if age < OLD_KEY {
        return ok("root_key_age", format!("the first root key has sealed for {days} days"));
    }
    warn(
        "root_key_age",
        format!("the first root key has sealed for {days} days"),
        "tokenkeep key generate; put the new key first in the list; tokenkeep key reload; tokenkeep key rotate",
    )
}

fn ok(check: &str, detail: impl Into<String>) -> Finding {
    Finding { check: check.into(), level: "ok".into(), detail: detail.into(), mend: None }
}

fn warn(check: &str, detail: impl Into<String>, mend: impl Into<String>) -> Finding {
    Finding { check: check.into(), level: "warn".into(), detail: detail.into(), mend: Some(mend.into()) }
}

fn fail(check: &str, detail: impl Into<String>, mend: impl Into<String>) -> Finding {
    Finding { check: check.into(), level: "fail".into(), detail: detail.into(), mend: Some(mend.into()) }
}

fn unknown(check: &str, what: &str) -> Finding {
    let mend = "see that the sandbox of the unit lets the daemon read /proc (ProcSubset=all)";
    warn(check, format!("{what} is not known"), mend)
}

#[cfg(test)]
mod tests;
