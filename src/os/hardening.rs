//! What the process gives up before it reads its first secret.
//!
//! Each step can fail only where the kernel is older than what tokenkeep needs, or forbids the step; the
//! daemon then does not start.
//!
//! Never undone: none of these has a way back, except the umask.

use std::fmt;

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::{Mode, umask};

/// Comes with a write that goes beyond the limit of a file's size: its number.
pub const FILE_SIZE_SIGNAL: i32 = nix::sys::signal::Signal::SIGXFSZ as i32;

/// A step that the kernel did not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HardeningError {
    /// The step, in words.
    pub step: &'static str,
    errno: Errno,
}

impl fmt::Display for HardeningError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the kernel does not let the process {}: {}", self.step, self.errno.desc())
    }
}

impl std::error::Error for HardeningError {}

/// All of it, in order. Before any thread is started: the umask and the rest are then the same for all.
///
/// # Errors
/// The first step that fails.
pub fn harden() -> Result<(), HardeningError> {
    restrict_new_files();
    forbid_core_dumps()?;
    forbid_inspection()?;
    forbid_new_privileges()?;
    raise_open_files()
}

/// No core file (getrlimit(2), `RLIMIT_CORE`), whatever `core_pattern` says of files. A pipe in
/// `core_pattern` is run regardless of the limit: against that stands [`forbid_inspection`].
///
/// # Errors
/// The kernel's.
pub fn forbid_core_dumps() -> Result<(), HardeningError> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0).map_err(during("give up core dumps"))
}

/// Not dumpable: no core by any way, no ptrace(2) and no `/proc/PID/mem` for others of the same user
/// (PR_SET_DUMPABLE(2const)).
///
/// # Errors
/// The kernel's.
pub fn forbid_inspection() -> Result<(), HardeningError> {
    prctl::set_dumpable(false).map_err(during("forbid being inspected"))
}

/// No set-user-id program gains anything from here on, in no child either (PR_SET_NO_NEW_PRIVS(2const)).
///
/// # Errors
/// The kernel's.
pub fn forbid_new_privileges() -> Result<(), HardeningError> {
    prctl::set_no_new_privs().map_err(during("give up new privileges"))
}

/// What the daemon creates is its own alone.
pub fn restrict_new_files() {
    umask(Mode::S_IRWXG | Mode::S_IRWXO);
}

/// As many open files as the hard limit allows: a connection is one. The soft limit is small for the sake of
/// select(2), which nothing here uses.
///
/// # Errors
/// The kernel's.
pub fn raise_open_files() -> Result<(), HardeningError> {
    let failed = during("raise its limit of open files");
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(failed)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_err(failed)
}

fn during(step: &'static str) -> impl Fn(Errno) -> HardeningError + Copy {
    move |errno| HardeningError { step, errno }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::socket::{Audience, listen_at};
    use std::os::unix::fs::PermissionsExt;

    const INSIDE: &str = "TOKENKEEP_TEST_HARDENED";

    /// In a process of its own: what is given up does not come back.
    #[test]
    fn a_hardened_process_has_given_it_all_up() {
        if std::env::var_os(INSIDE).is_none() {
            let name = "os::hardening::tests::a_hardened_process_has_given_it_all_up";
            let status = std::process::Command::new(std::env::current_exe().unwrap())
                .args([name, "--exact", "--test-threads=1"])
                .env(INSIDE, "1")
                .stdout(std::process::Stdio::null())
                .status()
                .unwrap();
            assert!(status.success());
            return;
        }
        harden().unwrap();
        assert_eq!(getrlimit(Resource::RLIMIT_CORE).unwrap(), (0, 0));
        assert!(!prctl::get_dumpable().unwrap());
        assert!(prctl::get_no_new_privs().unwrap());
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert_eq!(soft, hard);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let (_listener, _bound) = listen_at(&path, Audience::Everyone).unwrap();
        let mode = std::fs::symlink_metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o666, "the umask does not shut out those who may connect");
        assert_eq!(umask(Mode::empty()).bits(), 0o077);
    }
}
