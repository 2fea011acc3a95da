//! A process that is held still while it is looked at.
//!
//! Never left stopped: it goes on when the guard is dropped.

use std::fs;
use std::io;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::process::Process;

/// The process stands still for as long as this lives.
#[derive(Debug)]
pub struct Stopped(Pid);

impl Process {
    /// Stops it (SIGSTOP), and comes back when each of its threads stands still.
    ///
    /// # Errors
    /// It is gone, or is somebody else's.
    pub fn stop(self) -> io::Result<Stopped> {
        let pid = Pid::from_raw(self.pid as i32);
        kill(pid, Signal::SIGSTOP)?;
        let stopped = Stopped(pid);
        while !self.stands_still()? {
            std::thread::yield_now();
        }
        Ok(stopped)
    }

    /// The state stands behind the name, which is in parentheses (proc_pid_stat(5)).
    fn stands_still(self) -> io::Result<bool> {
        let threads = fs::read_dir(format!("/proc/{}/task", self.pid))?.flatten();
        let states = threads.filter_map(|thread| fs::read_to_string(thread.path().join("stat")).ok());
        Ok(states.filter_map(|stat| stat.rsplit_once(") ")?.1.chars().next()).all(|state| state == 'T'))
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        // It may be gone.
        let _ = kill(self.0, Signal::SIGCONT);
    }
}
