//! What is so on this host: the facts that `doctor` judges.
//!
//! Knows no judgement. A fact that cannot be had is `None`, and is not taken for a good one.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::prctl;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use nix::sys::utsname::uname;

use super::swap::{self, Swap};
use super::{space, user};

/// A resource limit (getrlimit(2)); `None` is without limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// What holds now.
    pub soft: Option<u64>,
    /// What the process may raise it to.
    pub hard: Option<u64>,
}

/// A file or directory as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where.
    pub path: PathBuf,
    /// The permission bits, or `None` where there is nothing, or nothing that we may look at.
    pub mode: Option<u32>,
    /// Its owner.
    pub uid: Option<u32>,
}

impl Found {
    /// Looks.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        let status = fs::symlink_metadata(path).ok();
        Self {
            path: path.to_owned(),
            mode: status.as_ref().map(|status| status.mode() & 0o7777),
            uid: status.as_ref().map(MetadataExt::uid),
        }
    }
}

/// What is so on this host and in this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The user we act as.
    pub uid: u32,
    /// Release of the kernel.
    pub kernel: String,
    /// Largest core file.
    pub core: Option<Limit>,
    /// Whether the process may be dumped and inspected (PR_SET_DUMPABLE(2const)).
    pub is_dumpable: Option<bool>,
    /// Bytes that may be locked in memory.
    pub locked_memory: Option<Limit>,
    /// Open files.
    pub open_files: Option<Limit>,
    /// Swap areas in use.
    pub swaps: Option<Vec<Swap>>,
    /// Yama's restriction of ptrace(2), 0 to 3; `None` where the kernel has no Yama.
    pub ptrace_scope: Option<u8>,
    /// Whether the clock is kept by systemd-timesyncd; `None` where that is not the one that keeps it.
    pub is_clock_synchronised: Option<bool>,
    /// Bytes free below the state directory.
    pub free: Option<u64>,
}

impl Facts {
    /// Gathers them. `state_directory` is where the free space is looked up.
    #[must_use]
    pub fn gather(state_directory: &Path) -> Self {
        Self {
            uid: user::effective(),
            kernel: kernel_release(),
            core: limit(Resource::RLIMIT_CORE),
            is_dumpable: prctl::get_dumpable().ok(),
            locked_memory: limit(Resource::RLIMIT_MEMLOCK),
            open_files: limit(Resource::RLIMIT_NOFILE),
            swaps: swap::in_use(),
            ptrace_scope: ptrace_scope(),
            is_clock_synchronised: is_clock_synchronised(),
            free: space::free(state_directory).ok(),
        }
    }
}

fn kernel_release() -> String {
    uname().map(|name| name.release().to_string_lossy().into_owned()).unwrap_or_default()
}

fn limit(resource: Resource) -> Option<Limit> {
    let finite = |value| (value != RLIM_INFINITY).then_some(value);
    getrlimit(resource).ok().map(|(soft, hard)| Limit { soft: finite(soft), hard: finite(hard) })
}

fn ptrace_scope() -> Option<u8> {
    fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").ok()?.trim().parse().ok()
}

/// systemd-timesyncd makes this file when it has set the clock (systemd-timesyncd.service(8)). The kernel's
/// own word (adjtimex(2)) has no safe wrapper in `nix`.
fn is_clock_synchronised() -> Option<bool> {
    fs::metadata("/run/systemd/timesync").ok()?;
    fs::exists("/run/systemd/timesync/synchronized").ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_facts_of_this_process_can_be_had() {
        let directory = tempfile::tempdir().unwrap();
        let facts = Facts::gather(directory.path());
        assert_eq!(facts.uid, user::effective());
        assert!(facts.kernel.contains('.'));
        assert!(facts.open_files.is_some() && facts.core.is_some() && facts.locked_memory.is_some());
        assert!(facts.free.is_some() && facts.swaps.is_some() && facts.is_dumpable.is_some());
        assert_eq!(Facts::gather(&directory.path().join("none")).free, None);
    }

    #[test]
    fn a_path_is_found_with_mode_and_owner_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("made");
        crate::os::private_file::create_directory(&path).unwrap();
        let found = Found::at(&path);
        assert_eq!((found.mode, found.uid), (Some(0o700), Some(user::effective())));
        assert_eq!(Found::at(&directory.path().join("none")).mode, None);
    }
}
