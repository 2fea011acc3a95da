//! What the state takes on the disk, while 100,000 connections are written again fifty times through the real daemon; and what a
//! start after that takes, and the memory of the daemon.
//!
//! The hard problem: the highest moment may be short. The answer: each kind of file is looked at every few milliseconds, by the
//! blocks that it really has, and the moment counts at which all of them together were highest.
//!
//! Never counts the audit log, which only grows, and whose keeping is a setting of its own. Where there are no backups, as here, no journal is
//! kept for them: all of it counts.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use super::Extent;
use super::daemon::Daemon;
use super::load::Until;
use super::process;
use super::report::{Table, against_ceiling, median};
use super::request::Act;

/// How often each connection is written again.
const REWRITES: u32 = 50;

/// Of the live data.
const MOST: f64 = 3.0;

/// Of a start, in seconds.
const START: f64 = 3.0;

/// Changes that may wait for the index: then writers wait too.
const WAITING: u32 = 1 << 16;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// Bytes on the disk by kind.
#[derive(Debug, Clone, Copy, Default)]
struct Taken {
    journal: u64,
    snapshots: u64,
    index: u64,
    rest: u64,
}

impl Taken {
    fn of(state: &Path) -> Self {
        let (journal, snapshots) = (state.join("journal"), state.join("snapshots"));
        let (index, audit) = (state.join("index"), state.join("audit"));
        let all = [&journal, &snapshots, &index, &audit];
        let [journal, snapshots, index, _] = all.map(|directory| blocks(directory, &[]));
        Self { journal, snapshots, index, rest: blocks(state, &all.map(PathBuf::as_path)) }
    }

    fn sum(&self) -> u64 {
        self.journal + self.snapshots + self.index + self.rest
    }
}

/// What the files in the directory really take; what goes while it is looked at takes nothing.
fn blocks(directory: &Path, except: &[&Path]) -> u64 {
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    let paths = entries.flatten().map(|entry| entry.path());
    let of = |path: PathBuf| match fs::symlink_metadata(&path) {
        Ok(file) if file.is_dir() => blocks(&path, except),
        Ok(file) => file.blocks() * 512,
        Err(_) => 0,
    };
    paths.filter(|path| !except.contains(&path.as_path())).map(of).sum()
}

/// What there is at rest: records, and bytes of their keys and values, by the newest snapshot (docs/snapshot-format.md).
fn live(state: &Path) -> (u64, u64) {
    let names = fs::read_dir(state.join("snapshots")).expect("snapshots").flatten().map(|entry| entry.path());
    let newest = names.filter(|path| path.extension().is_some_and(|end| end == "snapshot")).max();
    let bytes = fs::read(newest.expect("a snapshot")).expect("it can be read");
    let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    let (mut at, mut records, mut sum) = (180, 0, 0);
    loop {
        let (length, count) = (number(at) as usize, number(at + 4));
        if count == 0 {
            return (records, sum);
        }
        let mut record = at + 8;
        for _ in 0..count {
            let value = number(record + 41);
            (records, sum) = (records + 1, sum + 33 + u64::from(value));
            record += 45 + value as usize;
        }
        at += length;
    }
}

/// What many looks have found.
struct Looks {
    highest: Taken,
    /// Of the sums.
    median: u64,
}

/// Looks until it is told to stop.
fn look(state: &Path, done: &AtomicBool) -> Looks {
    let (mut highest, mut sums) = (Taken::default(), Vec::new());
    while !done.load(Ordering::Relaxed) {
        let now = Taken::of(state);
        if now.sum() > highest.sum() {
            highest = now;
        }
        sums.push(now.sum() as f64);
        std::thread::sleep(LOOK);
    }
    Looks { highest, median: median(sums) as u64 }
}

/// Measures and prints.
pub(crate) fn measure(extent: Extent) {
    let rewrites = if extent.is_short() { 2 } else { REWRITES };
    let daemon = Daemon::start();
    daemon.fill(extent.keys);
    let state = daemon.state();
    let (done, fresh) = (AtomicBool::new(false), process::resident_mib(daemon.id()));
    let (looks, load) = std::thread::scope(|scope| {
        let looking = scope.spawn(|| look(&state, &done));
        let load = daemon.plan(Act::Put, 64, extent.keys, Until::Key(extent.keys * rewrites)).run();
        done.store(true, Ordering::Relaxed);
        (looking.join().expect("it looks"), load)
    });
    let resident = process::resident_mib(daemon.id());
    // It looks every two seconds whether something is to be done.
    std::thread::sleep(if extent.is_short() { Duration::ZERO } else { Duration::from_secs(10) });
    let rest = Taken::of(&state);
    // Before it goes with the daemon.
    let (records, live) = if extent.is_short() { (0, 0) } else { live(&state) };
    if extent.is_short() {
        println!("\nof {} connections there is no snapshot: what is on the disk is segments", extent.keys);
    } else {
        let what = format!(
            "{} connections written again {rewrites} times, {:.0} a second",
            extent.keys, load.per_second
        );
        takes((records, live), rest, &looks, &what);
    }
    println!(
        "\nresident memory: {fresh:.0} MiB when they were stored, {resident:.0} MiB when they were written again"
    );
    starts(daemon, extent.keys).print();
}

fn takes((records, live): (u64, u64), rest: Taken, looks: &Looks, what: &str) {
    let highest = &looks.highest;
    let mib = |bytes: u64| format!("{:.1}", bytes as f64 / f64::from(1 << 20));
    let title = format!("on the disk: {what}; {records} records, {} MiB with their keys", mib(live));
    let columns =
        ["what", "at the end, MiB", "at the highest moment, MiB", "against live, end", "highest", "goal"];
    let mut table = Table::new(&title, &columns);
    let against = |bytes: u64| bytes as f64 / live as f64;
    let mut row = |what: &str, of: fn(&Taken) -> u64, goal: String| {
        let (end, top) = (of(&rest), of(highest));
        let ratio = |bytes| format!("{:.2}", against(bytes));
        table.row(vec![what.into(), mib(end), mib(top), ratio(end), ratio(top), goal]);
    };
    row("snapshots", |taken| taken.snapshots, String::new());
    row("journal", |taken| taken.journal, String::new());
    row("index", |taken| taken.index, String::new());
    row("all else but the audit log", |taken| taken.rest, String::new());
    let [_, verdict] = against_ceiling(against(highest.sum()), MOST);
    row("in all", Taken::sum, verdict);
    let [half, verdict] = against_ceiling(against(looks.median), MOST);
    table.row(vec![
        "half of the time, in all".into(),
        String::new(),
        mib(looks.median),
        String::new(),
        half,
        verdict,
    ]);
    table.print();
}

/// Holds the thread that brings changes into the index, where this host lets one: while it waits, since it has locks while it works.
fn hold_applier(daemon: u32) -> Option<Pid> {
    // After a start it reads all keys.
    std::thread::sleep(Duration::from_secs(3));
    let tasks = fs::read_dir(format!("/proc/{daemon}/task")).ok()?.flatten().map(|task| task.path());
    let is_it = |task: &PathBuf| {
        fs::read_to_string(task.join("comm")).is_ok_and(|name| name.trim() == "store-applier")
    };
    let thread = tasks.into_iter().find(is_it)?;
    let thread = Pid::from_raw(thread.file_name()?.to_str()?.parse().ok()?);
    ptrace::seize(thread, ptrace::Options::empty()).ok()?;
    ptrace::interrupt(thread).ok()?;
    waitpid(thread, Some(WaitPidFlag::__WALL)).ok()?;
    Some(thread)
}

/// How long it takes until the daemon is ready, as it was left in each way.
fn starts(daemon: Daemon, keys: u32) -> Table {
    let mut table = Table::new("", &["a start", "seconds", "goal", "resident MiB then"]);
    let state = daemon.state();
    let mut row = |what: &str, began: Instant, daemon: &Daemon| {
        let [seconds, verdict] = against_ceiling(began.elapsed().as_secs_f64(), START);
        let resident = process::resident_mib(daemon.id());
        table.row(vec![what.into(), seconds, verdict, format!("{resident:.0}")]);
    };
    let stopped = daemon.pause();
    let began = Instant::now();
    let daemon = stopped.go_on();
    row("after a stop: index counted, last segment read", began, &daemon);
    let stopped = daemon.break_off();
    let began = Instant::now();
    let mut daemon = stopped.go_on();
    row("after kill -9: the same, and what the index had not got", began, &daemon);
    if let Some(applier) = hold_applier(daemon.id()) {
        let waiting = keys.min(WAITING);
        daemon.plan(Act::Put, 64, keys, Until::Key(waiting)).run();
        // Whoever is traced ends only when that was seen.
        kill(Pid::from_raw(daemon.id() as i32), Signal::SIGKILL).expect("it runs");
        waitpid(applier, Some(WaitPidFlag::__WALL)).expect("its thread ends");
        let stopped = daemon.break_off();
        let began = Instant::now();
        daemon = stopped.go_on();
        row(&format!("after kill -9 with {waiting} changes that the index had not got"), began, &daemon);
    } else {
        println!("not measured, since no thread can be held here: a start with all changes to be made again");
    }
    let stopped = daemon.break_off();
    fs::remove_dir_all(state.join("index")).expect("an index");
    let began = Instant::now();
    let daemon = stopped.go_on();
    row("without its index: snapshot and journal read, index made anew", began, &daemon);
    daemon.stop();
    table
}
