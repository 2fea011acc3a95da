//! Runs a program for its output: no shell, no environment but a fixed `PATH`, a deadline, a cap.
//!
//! The hard problem: a program that hangs, or leaves children behind, must not hold the daemon up or outlive
//! its deadline. The answer: it leads a process group of its own, and the whole group is killed in the end,
//! while the leader is dead but not yet reaped, so that the group's id cannot have gone to somebody else.
//!
//! The environment is `PATH` alone, so the daemon's own settings and credentials do not reach the program; one
//! that needs more (`HOME`, a profile) is given a wrapper script that says so. It runs in `/`.
//!
//! Never shows or keeps what the program writes to stderr: such messages may quote secrets.

use std::fmt;
use std::fs::Metadata;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use zeroize::Zeroizing;

use super::user;

/// Where the program finds programs of its own.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How often a program that has closed its output is asked whether it has ended.
const EXIT_POLL: Duration = Duration::from_millis(2);

/// Why there is no output.
#[derive(Debug)]
pub enum ExecError {
    /// The program ended with this status and not with success.
    Failed(ExitStatus),
    /// The kernel's.
    Io(io::Error),
    /// Others can change the program, or a directory on the way to it.
    Loose(PathBuf),
    /// The program's path is relative: what it means depends on where one stands.
    NotAbsolute,
    /// There is no such program, or it cannot be run.
    NotAProgram(PathBuf),
    /// It wrote more than so many bytes.
    OutputTooLarge(usize),
    /// It had not ended by the deadline, and was killed.
    TimedOut(Duration),
}

impl fmt::Display for ExecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(status) => write!(f, "the program failed ({status})"),
            Self::Io(error) => write!(f, "the program cannot be run: {error}"),
            Self::Loose(path) => write!(
                f,
                "others can change {}; give it to root and run: chmod go-w {}",
                path.display(),
                path.display()
            ),
            Self::NotAbsolute => f.write_str("the program is not named by an absolute path"),
            Self::NotAProgram(path) => write!(f, "{} is not a program that can be run", path.display()),
            Self::OutputTooLarge(most) => write!(f, "the program wrote more than {most} bytes"),
            Self::TimedOut(deadline) => {
                write!(f, "the program had not ended after {deadline:?} and was killed")
            }
        }
    }
}

impl std::error::Error for ExecError {}

/// Runs the program and gives what it wrote to stdout, at most `most` bytes, in memory that is wiped.
/// It is done when it has closed its stdout and ended with success, before the deadline.
///
/// # Errors
/// See [`ExecError`].
pub fn output_of(
    program: &Path,
    arguments: &[String],
    deadline: Duration,
    most: usize,
) -> Result<Zeroizing<Vec<u8>>, ExecError> {
    let ends_at = Instant::now() + deadline;
    let resolved = judge_program(program)?;
    let leader = Command::new(resolved)
        .arg0(program) // programs that answer to several names look at it
        .args(arguments)
        .env_clear()
        .env("PATH", PATH)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(ExecError::Io)?;
    let mut group = Group { leader, is_reaped: false };
    let late = || ExecError::TimedOut(deadline);
    let stdout = group.leader.stdout.take().ok_or_else(|| ExecError::Io(io::ErrorKind::BrokenPipe.into()))?;
    let output = read_until(stdout, ends_at, most).map_err(|stop| stop.into_error(late))?;
    group.wait_until(ends_at).map_err(|stop| stop.into_error(late))?;
    let status = group.end().map_err(ExecError::Io)?;
    if status.success() { Ok(output) } else { Err(ExecError::Failed(status)) }
}

/// The program that the path leads to, if nobody but root and the daemon's user can change it, or any
/// directory on the way to it.
///
/// # Errors
/// `Loose`, `NotAbsolute`, `NotAProgram`.
pub fn judge_program(program: &Path) -> Result<PathBuf, ExecError> {
    if !program.is_absolute() {
        return Err(ExecError::NotAbsolute);
    }
    let none = |_| ExecError::NotAProgram(program.to_owned());
    let resolved = program.canonicalize().map_err(none)?;
    let status = resolved.metadata().map_err(none)?;
    if !status.is_file() || status.permissions().mode() & 0o111 == 0 {
        return Err(ExecError::NotAProgram(program.to_owned()));
    }
    for path in resolved.ancestors() {
        if can_others_change(&path.metadata().map_err(none)?) {
            return Err(ExecError::Loose(path.to_owned()));
        }
    }
    Ok(resolved)
}

fn can_others_change(status: &Metadata) -> bool {
    let is_strange = status.uid() != 0 && status.uid() != user::effective();
    // In a sticky directory (/tmp) others cannot rename or remove what is not theirs.
    let is_sticky = status.is_dir() && status.mode() & 0o1000 != 0;
    is_strange || (status.mode() & 0o022 != 0 && !is_sticky)
}

enum Stop {
    Io(io::Error),
    Late,
    TooLarge(usize),
}

impl Stop {
    fn into_error(self, late: impl Fn() -> ExecError) -> ExecError {
        match self {
            Self::Io(error) => ExecError::Io(error),
            Self::Late => late(),
            Self::TooLarge(most) => ExecError::OutputTooLarge(most),
        }
    }
}

impl From<Errno> for Stop {
    fn from(errno: Errno) -> Self {
        Self::Io(errno.into())
    }
}

/// One buffer, as large as it may become: it never grows, so it leaves no copy behind.
fn read_until(mut stdout: ChildStdout, ends_at: Instant, most: usize) -> Result<Zeroizing<Vec<u8>>, Stop> {
    fcntl(&stdout, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    let mut buffer = Zeroizing::new(vec![0; most.saturating_add(1)]);
    let mut length = 0;
    loop {
        match stdout.read(&mut buffer[length..]) {
            Ok(0) => {
                buffer.truncate(length);
                return Ok(buffer);
            }
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait_readable(&stdout, ends_at)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Stop::Io(error)),
        }
        if length > most {
            return Err(Stop::TooLarge(most));
        }
        if Instant::now() >= ends_at {
            return Err(Stop::Late);
        }
    }
}

fn wait_readable(stdout: &ChildStdout, ends_at: Instant) -> Result<(), Stop> {
    let left = ends_at.saturating_duration_since(Instant::now());
    // Rounded up: a wait of 0 ms would spin.
    let left = PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
    match poll(&mut [PollFd::new(stdout.as_fd(), PollFlags::POLLIN)], left) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// The program and all it started that did not leave its process group. Killed and reaped when dropped.
struct Group {
    leader: Child,
    is_reaped: bool,
}

impl Group {
    /// Waits for the leader to end, and leaves it unreaped.
    fn wait_until(&self, ends_at: Instant) -> Result<(), Stop> {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT | WaitPidFlag::WNOHANG;
        loop {
            match waitid(Id::Pid(self.id()), flags) {
                Ok(WaitStatus::StillAlive) | Err(Errno::EINTR) => {}
                Ok(_) => return Ok(()),
                Err(errno) => return Err(errno.into()),
            }
            if Instant::now() >= ends_at {
                return Err(Stop::Late);
            }
            std::thread::sleep(EXIT_POLL);
        }
    }

    /// Kills what is left of the group and reaps its leader.
    fn end(&mut self) -> io::Result<ExitStatus> {
        // The leader is not reaped, so the id of the group is still its own. EPERM and ESRCH: nobody is left
        // whom we could or would have to kill.
        let _ = killpg(self.id(), Signal::SIGKILL);
        let status = self.leader.wait();
        self.is_reaped = status.is_ok();
        status
    }

    fn id(&self) -> Pid {
        Pid::from_raw(self.leader.id().cast_signed())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Once the leader is reaped, the id may be another's.
        if !self.is_reaped {
            let _ = self.end();
        }
    }
}

#[cfg(test)]
mod tests;
