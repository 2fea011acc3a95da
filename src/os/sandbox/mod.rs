//! The walls that the process puts around itself once it has all that it needs from outside: which files (Landlock)
//! and which system calls (seccomp).
//!
//! The hard problem: both hold for the thread that asks for them and for those that it makes later, and a thread that
//! was left out is a hole in all of it. The answer: they are put up while there is one thread alone, and the process
//! does not go on where there are more.
//!
//! Never taken down, and never half put up: whatever fails ends the start.

mod calls;
mod files;
mod names;
mod told;

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

pub use files::FileWall;

/// What the process needs from here on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// Below these directories, files are made, changed and removed.
    pub written: Vec<PathBuf>,
    /// These files, and what is below these directories, are read. What is not there is left out.
    pub read: Vec<PathBuf>,
    /// In these directories, files are removed: those of its own sockets.
    pub cleared: Vec<PathBuf>,
    /// Who is connected to.
    pub outbound: Outbound,
    /// What a forbidden system call leads to.
    pub on_forbidden: OnForbidden,
}

/// Who is connected to over IP. Nobody is listened to: those sockets are there before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Outbound {
    /// Nobody.
    #[default]
    None,
    /// Whoever has one of these ports, after DNS has said where that is.
    Ports(Vec<u16>),
}

/// What a forbidden system call leads to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnForbidden {
    /// The end of the process.
    #[default]
    End,
    /// A line on stderr that names it, and a refusal.
    Tell,
}

/// Why there are no walls.
#[derive(Debug)]
pub enum SandboxError {
    /// The filter of system calls.
    Calls(String),
    /// The rules of files.
    Files(String),
    /// There are more threads.
    Threads(usize),
}

impl fmt::Display for SandboxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Calls(why) => write!(f, "system calls cannot be restricted (seccomp): {why}"),
            Self::Files(why) => write!(f, "files cannot be restricted (Landlock): {why}"),
            Self::Threads(count) => write!(f, "{count} threads are there where one was to be"),
        }
    }
}

impl std::error::Error for SandboxError {}

/// Puts them up, for this process and whatever comes of it. Other threads have so long to end: one that has is seen for
/// a moment longer, and one that waits for a resolver takes its time.
///
/// # Errors
/// See [`SandboxError`]. The process must end then: some of it may hold.
pub fn enter(rules: &Rules, patience: Duration) -> Result<FileWall, SandboxError> {
    alone(patience)?;
    // Before there are walls, so that a fault in it does not leave the process between them.
    let calls = calls::filters(&rules.outbound, rules.on_forbidden, std::process::id())
        .map_err(|why| SandboxError::Calls(why.to_string()))?;
    if rules.on_forbidden == OnForbidden::Tell {
        told::listen().map_err(|why| SandboxError::Calls(why.to_string()))?;
    }
    let wall = files::restrict(rules).map_err(|why| SandboxError::Files(why.to_string()))?;
    for filter in &calls {
        seccompiler::apply_filter(filter).map_err(|why| SandboxError::Calls(why.to_string()))?;
    }
    Ok(wall)
}

fn alone(patience: Duration) -> Result<(), SandboxError> {
    let began = Instant::now();
    loop {
        let threads = fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
        match threads {
            1 => return Ok(()),
            _ if began.elapsed() < patience => std::thread::sleep(Duration::from_millis(1)),
            threads => return Err(SandboxError::Threads(threads)),
        }
    }
}
