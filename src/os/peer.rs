//! Who is at the other end of a Unix socket, by the kernel's word.
//!
//! The hard problem: a process id says nothing for sure. By the time `/proc/PID` is read, the process may be
//! gone and another may have its id. The answer: a pidfd of the peer, taken from the socket itself
//! (`SO_PEERPIDFD`, Linux 6.5); only if it still stands for a living process *after* the reading, the reading
//! was about that process.
//!
//! All of it is about the process that called connect(2). One that hands its connected socket to another
//! process vouches for it.
//!
//! In a user namespace, all users that have no id there are shown as one, `nobody`. Where that can be, that id
//! is nobody's, and such a peer is refused.
//!
//! When in doubt there is no unit, and a client that is bound to a unit is not matched.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::OnceLock;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{getsockopt, sockopt};

/// The process that connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Effective user when it connected (unix(7), `SO_PEERCRED`).
    pub uid: u32,
    /// Effective group when it connected.
    pub gid: u32,
    /// Process when it connected; 0 where it is in a PID namespace that cannot be seen from here.
    pub pid: u32,
    /// The systemd unit of that process, where it runs in one (systemd.unit(5)).
    pub unit: Option<String>,
}

impl Peer {
    /// Asks the kernel who connected this Unix socket.
    ///
    /// # Errors
    /// The kernel's; for one, if it is not a connected Unix socket. `PermissionDenied`, if the peer's user has
    /// no id in our user namespace.
    pub fn of(socket: &impl AsFd) -> io::Result<Self> {
        static NOBODY: OnceLock<Option<u32>> = OnceLock::new();
        let credentials = getsockopt(socket, sockopt::PeerCredentials)?;
        let nobody = NOBODY.get_or_init(|| {
            let read = |path| std::fs::read_to_string(path).unwrap_or_default();
            nobody(&read("/proc/self/uid_map"), &read("/proc/sys/kernel/overflowuid"))
        });
        if *nobody == Some(credentials.uid()) {
            let what = "the caller's user has no id in the daemon's user namespace";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
        }
        let pid = u32::try_from(credentials.pid()).unwrap_or(0);
        Ok(Self { uid: credentials.uid(), gid: credentials.gid(), pid, unit: unit_of(socket, pid) })
    }
}

/// The effective user of who connected, as this user namespace shows it. In one of its own, all strangers are the same:
/// this tells who owns a socket from who does not only where the kernel keeps the strangers out by its mode.
///
/// # Errors
/// The kernel's.
pub fn uid_of(socket: &impl AsFd) -> io::Result<u32> {
    Ok(getsockopt(socket, sockopt::PeerCredentials)?.uid())
}

/// The owner of a socket's file, as this user namespace shows it: whom [`uid_of`] is compared with.
///
/// # Errors
/// The kernel's.
pub fn owner_of(path: &Path) -> io::Result<u32> {
    std::fs::symlink_metadata(path).map(|file| file.uid())
}

/// The id that stands for all users without one here (user_namespaces(7), "Unmapped user and group IDs"), unless
/// all have one: from the text of `uid_map` and of `overflowuid`.
fn nobody(uid_map: &str, overflow: &str) -> Option<u32> {
    let is_whole = |line: &str| line.split_whitespace().collect::<Vec<_>>() == ["0", "0", "4294967295"];
    (!uid_map.lines().any(is_whole)).then(|| overflow.trim().parse().unwrap_or(65_534))
}

fn unit_of(socket: &impl AsFd, pid: u32) -> Option<String> {
    if pid == 0 {
        return None;
    }
    // Before Linux 6.5: ENOPROTOOPT. The process is gone and reaped: ESRCH, or EINVAL in some kernels.
    let pidfd = getsockopt(socket, sockopt::PeerPidfd).ok()?;
    let cgroups = read_while_alive(&pidfd, || std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok())?;
    unit_of_cgroup(&cgroups)
}

/// What was read, if the process was still there afterwards: then its id was still its own.
fn read_while_alive<T>(pidfd: &impl AsFd, read: impl FnOnce() -> Option<T>) -> Option<T> {
    let found = read()?;
    is_alive(pidfd).then_some(found)
}

/// A pidfd becomes readable when its process ends (pidfd_open(2)).
fn is_alive(pidfd: &impl AsFd) -> bool {
    let mut watched = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
    loop {
        match poll(&mut watched, PollTimeout::ZERO) {
            Ok(ready) => return ready == 0,
            Err(Errno::EINTR) => {}
            Err(_) => return false,
        }
    }
}

/// The system unit in the text of `/proc/PID/cgroup` (cgroups(7)): on the line of version 2 (`0::/…`), else
/// on that of version 1 (`N:name=systemd:/…`).
///
/// systemd's own rule (`sd_pid_get_unit`): pass over the slices; what comes next is the unit, and whatever is
/// below it is the unit's own affair. A unit that may make cgroups (`Delegate=`), or a user's service manager
/// below `user@1000.service`, names what is below as it pleases: such a name proves nothing.
#[must_use]
pub fn unit_of_cgroup(text: &str) -> Option<String> {
    let path_on = |hierarchy: &str| {
        text.lines().find_map(|line| {
            let (_, rest) = line.split_once(':')?;
            rest.strip_prefix(hierarchy)
        })
    };
    unit_of_path(path_on(":/")).or_else(|| unit_of_path(path_on("name=systemd:/")))
}

fn unit_of_path(path: Option<&str>) -> Option<String> {
    let path = path?;
    // The cgroup is gone (the unit ended), or lies outside of our cgroup namespace.
    if path.ends_with(" (deleted)") || path.split('/').any(|component| component == "..") {
        return None;
    }
    let component = path.split('/').map(unescaped).find(|name| !is_named(name, "slice"))?;
    is_unit_name(component).then(|| component.to_owned())
}

/// systemd puts one `_` before a name that the kernel could take for a file of its own, and before one that
/// begins with `_` (`cg_escape` in systemd's source).
fn unescaped(component: &str) -> &str {
    component.strip_prefix('_').unwrap_or(component)
}

/// Whether it can be the name of a unit that processes run in: a service or a scope.
#[must_use]
pub fn is_unit_name(name: &str) -> bool {
    is_named(name, "scope") || is_named(name, "service")
}

/// Whether it is a unit's name of this kind: `PREFIX.KIND`, of the characters of systemd.unit(5), at most 255.
fn is_named(name: &str, kind: &str) -> bool {
    let valid = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b':' | b'-' | b'_' | b'.' | b'\\' | b'@');
    name.len() <= 255
        && name.strip_suffix(kind).and_then(|rest| rest.strip_suffix('.')).is_some_and(|p| !p.is_empty())
        && name.bytes().all(valid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn the_unit_is_the_first_that_is_no_slice() {
        for (text, unit) in [
            ("0::/system.slice/web.service\n", Some("web.service")),
            ("0::/system.slice/web.service/worker", Some("web.service")),
            ("0::/system.slice/system-web.slice/web@1.service", Some("web@1.service")),
            ("0::/init.scope", Some("init.scope")),
            ("0::/user.slice/user-1000.slice/session-3.scope", Some("session-3.scope")),
            (r"0::/system.slice/srv-a\x2db.service", Some(r"srv-a\x2db.service")),
            ("0::/system.slice/_cpu.service", Some("cpu.service")),
            ("1:name=systemd:/system.slice/web.service\n0::/", Some("web.service")),
            (
                "12:pids:/system.slice/evil.service\n1:name=systemd:/system.slice/web.service",
                Some("web.service"),
            ),
            ("0::/system.slice/web.service\n1:name=systemd:/system.slice/old.service", Some("web.service")),
            ("0::/", None),
            ("0::/system.slice", None),
            ("0::/docker/0123", None),
            ("0::/web.service (deleted)", None),
            ("0::/web.service/worker (deleted)", None),
            ("0::/../web.service", None),
            ("0::/system.slice/.service", None),
            ("3:cpu:/system.slice/web.service", None),
            ("", None),
            ("0", None),
        ] {
            assert_eq!(unit_of_cgroup(text).as_deref(), unit, "{text}");
        }
    }

    #[test]
    fn a_name_below_another_unit_proves_nothing() {
        let delegated = "0::/system.slice/evil.service/web.service";
        assert_eq!(unit_of_cgroup(delegated).as_deref(), Some("evil.service"));
        let users_own = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/web.service";
        assert_eq!(unit_of_cgroup(users_own).as_deref(), Some("user@1000.service"));
    }

    #[test]
    fn nobody_is_a_user_only_where_all_users_have_ids() {
        assert_eq!(nobody("         0          0 4294967295\n", "65534\n"), None);
        assert_eq!(nobody("         0     100000      65536\n", "65534\n"), Some(65_534));
        assert_eq!(nobody("0 0 1\n990 990 1\n", "65533\n"), Some(65_533));
        assert_eq!(nobody("", ""), Some(65_534));
    }

    #[test]
    fn the_kernel_names_this_process() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let peer = Peer::of(&ours).unwrap();
        assert_eq!(peer.pid, std::process::id());
        assert_eq!(peer.uid, nix::unistd::geteuid().as_raw());
        assert_eq!(peer.gid, nix::unistd::getegid().as_raw());
        let cgroups = std::fs::read_to_string("/proc/self/cgroup").unwrap();
        assert_eq!(peer.unit, unit_of_cgroup(&cgroups));
        assert!(is_alive(&getsockopt(&ours, sockopt::PeerPidfd).unwrap()));
    }

    const CONNECT: &str = "TOKENKEEP_TEST_CONNECT";

    #[test]
    fn a_process_that_ended_has_no_unit() {
        if let Some(path) = std::env::var_os(CONNECT) {
            let mut socket = UnixStream::connect(path).unwrap();
            std::io::Read::read(&mut socket, &mut [0]).unwrap(); // until killed
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["os::peer::tests::a_process_that_ended_has_no_unit", "--exact"])
            .env(CONNECT, &path)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let pidfd = getsockopt(&accepted, sockopt::PeerPidfd).unwrap();
        assert!(is_alive(&pidfd));
        assert_eq!(Peer::of(&accepted).unwrap().pid, child.id());
        assert_eq!(read_while_alive(&pidfd, || Some(1)), Some(1));
        let ends_meanwhile = || {
            child.kill().unwrap();
            child.wait().unwrap();
            Some(1)
        };
        assert_eq!(read_while_alive(&pidfd, ends_meanwhile), None);
        assert!(!is_alive(&pidfd));
        let peer = Peer::of(&accepted).unwrap();
        assert_eq!((peer.uid, peer.unit), (nix::unistd::geteuid().as_raw(), None));
    }
}
