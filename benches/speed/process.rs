//! Servers that are measured: each a process of its own, on a core of its own where there are two.
//!
//! Never leaves one running.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Who runs where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Core {
    Client,
    Server,
}

/// Keeps this thread, and what it starts, on a core.
pub(crate) fn settle_on(core: Core) {
    let own = sched_getaffinity(Pid::from_raw(0)).expect("affinity");
    let cores: Vec<usize> = (0..CpuSet::count()).filter(|core| own.is_set(*core).unwrap_or(false)).collect();
    let (Some(first), Some(last)) = (cores.first(), cores.last()) else { return };
    let mut set = CpuSet::new();
    set.set(if core == Core::Server { *first } else { *last }).expect("a core");
    sched_setaffinity(Pid::from_raw(0), &set).expect("affinity");
}

/// What a process has used of the processor (proc_pid_stat(5), fields 14 and 15).
pub(crate) fn cpu(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the server runs");
    let (_, fields) = stat.rsplit_once(") ").expect("a name");
    let ticks: u64 =
        fields.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().expect("ticks")).sum();
    // USER_HZ is 100 on every architecture that is measured here (time(7)).
    Duration::from_millis(ticks * 10)
}

/// What each thread of a process has used of the processor, with its name.
pub(crate) fn cpu_of_threads(pid: u32) -> Vec<(String, Duration)> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("the server runs");
    let of_task = |path: std::path::PathBuf| {
        // One that has ended meanwhile is counted with the process alone.
        let stat = std::fs::read_to_string(path.join("stat")).ok()?;
        let (head, fields) = stat.rsplit_once(") ")?;
        let ticks: u64 =
            fields.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        Some((head.split_once('(')?.1.to_owned(), Duration::from_millis(ticks * 10)))
    };
    tasks.filter_map(|task| of_task(task.ok()?.path())).collect()
}

/// What a process has in memory, in MiB (proc_pid_status(5), VmRSS).
pub(crate) fn resident_mib(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the server runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib / 1024.0
}

/// A loopback port that nobody listens on now.
pub(crate) fn free_port() -> SocketAddr {
    let held = TcpListener::bind("127.0.0.1:0").expect("a port");
    held.local_addr().expect("an address")
}

/// A server. What it says is not read, but it has somewhere to say it: some end when they have not.
pub(crate) struct Server {
    child: Child,
    _said: BufReader<ChildStdout>,
}

impl Server {
    /// Starts it on the core of servers, and waits until it has said a line.
    pub(crate) fn start(command: Command) -> Self {
        Self::start_on(Core::Server, command)
    }

    /// As [`Server::start`], on this core.
    pub(crate) fn start_on(core: Core, mut command: Command) -> Self {
        let started = std::thread::spawn(move || {
            settle_on(core);
            command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the server starts")
        });
        let mut child = started.join().expect("the server starts");
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        stdout.read_line(&mut line).expect("a line");
        assert!(!line.is_empty(), "the server ended before it was ready");
        Self { child, _said: stdout }
    }

    /// As [`Server::start`], for one that only makes its socket.
    pub(crate) fn start_with_socket(command: Command, socket: &Path) -> Self {
        let server = Self::start(command);
        let patience = Instant::now() + Duration::from_secs(10);
        while !socket.exists() {
            assert!(Instant::now() < patience, "the server made no socket");
            std::thread::sleep(Duration::from_millis(10));
        }
        server
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to stop, and waits.
    pub(crate) fn stop(mut self) {
        self.end();
    }

    /// Ends it without a word (signal(7), SIGKILL), and waits.
    pub(crate) fn kill(mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }

    fn end(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let pid = Pid::from_raw(self.child.id() as i32);
            let _ended = kill(pid, Signal::SIGTERM);
        }
        let _status = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}
