//! Looks through a daemon and whatever it writes, for all that was planted and for every key.
//!
//! The hard problem is a scan that finds nothing because it saw nothing. The answer: each looks for something that is
//! there by right as well, the vault's id, and what could not be read may be secret memory and nothing else.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use tokenkeep_scanner::{Kind, Needles, Process, Report, Scanner, Through};

use crate::canaries::Canaries;
use crate::keys;
use crate::kit::{TestVault, files, poll, skip};
use crate::load::KeyRing;

pub(crate) struct Survey {
    wanted: Scanner,
    /// What stands in the memory of every daemon.
    control: Scanner,
    /// How many orgs' keys it looks for.
    pub(crate) org_keys: usize,
}

impl Survey {
    pub(crate) fn new(vault: &TestVault, ring: &KeyRing, canaries: &Canaries) -> Self {
        let mut needles = Needles::default();
        canaries.add_to(&mut needles);
        let orgs = keys::add_to(&mut needles, vault, &ring.roots);
        assert!(needles.fernet_key("the application's key", &ring.retired));
        println!("looking for {} canaries and the keys, {orgs} of orgs among them", canaries.count());
        let header = fs::read(vault.state().join("vault.json")).expect("the header");
        let header: serde_json::Value = serde_json::from_slice(&header).expect("JSON");
        let id = header["vault_id"].as_str().expect("an id");
        let id: Vec<u8> =
            (0..16).map(|at| u8::from_str_radix(&id[2 * at..2 * at + 2], 16).unwrap()).collect();
        let mut control = Needles::default();
        control.canary("the vault's id", &id);
        Self { wanted: Scanner::new(needles), control: Scanner::new(control), org_keys: orgs }
    }

    /// All of its memory as it runs, and again while it stands still.
    pub(crate) fn live(&self, vault: &TestVault, when: &str) -> [Report; 2] {
        let process = Process::new(vault.pid());
        let scan = |scanner| process.scan(scanner, Through::Mem).expect("its memory");
        assert!(scan(&self.control).count(Kind::Canary) > 0, "it is blind");
        let running = told(scan(&self.wanted), when, "running");
        let _still = process.stop().expect("it is ours");
        [running, told(scan(&self.wanted), when, "stopped")]
    }

    /// A core file as gdb writes it, registers of every thread included.
    pub(crate) fn core(&self, vault: &TestVault, when: &str) -> Report {
        let core = Process::new(vault.pid()).core_file(vault.room()).expect("a core file");
        let scan = |scanner| core.scan(scanner).expect("it can be read");
        assert!(scan(&self.control).count(Kind::Canary) > 0, "it is blind");
        told(scan(&self.wanted), when, "core file")
    }

    /// Bytes that are at hand.
    pub(crate) fn through(&self, name: &str, bytes: &[u8]) -> Report {
        self.wanted.bytes(name, bytes)
    }

    /// Every file of the state directory, and everything that the daemon has said.
    pub(crate) fn files(&self, vault: &TestVault) {
        for (path, bytes) in files::below(vault.state()) {
            let report = self.through(&path.display().to_string(), &bytes);
            assert!(report.hits.is_empty(), "{report}");
        }
        let report = self.through("what it said", vault.said().as_bytes());
        assert!(report.hits.is_empty(), "{report}");
    }
}

fn told(report: Report, when: &str, how: &str) -> Report {
    let hidden: u64 = report.unread.iter().map(|unread| unread.length).sum();
    println!("{when}, {how}, {} KiB hidden: {report}", hidden >> 10);
    for unread in &report.unread {
        assert!(unread.region.contains("secretmem"), "this could not be read: {unread:?}");
    }
    report
}

/// Whether memory of a process that is not dumpable may be read; says so where not.
pub(crate) fn may_look(vault: &TestVault) -> bool {
    let opened = fs::File::open(format!("/proc/{}/mem", vault.pid()));
    if let Err(why) = &opened {
        skip(&format!("the memory of the daemon, which is not dumpable, cannot be read by this user: {why}"));
    }
    opened.is_ok()
}

/// Longer than a connection of HTTP/2 that rests is kept (`src/transport/pulse.rs`).
const REST: Duration = Duration::from_millis(4500);

/// Of the time, what a daemon at rest may use of a core: it looks at each open connection once a second, which in a debug
/// build and with a hundred of them is about a hundredth. One that serves or tidies up uses many times that.
const TIDYING: f64 = 0.05;

/// Waits until the daemon does nothing: what it was asked is answered, and what it held for that is let go.
pub(crate) fn rest(vault: &TestVault) {
    let process = Path::new("/proc").join(vault.pid().to_string());
    let busy = || {
        let stat = fs::read_to_string(process.join("stat")).expect("it runs");
        let fields = stat.rsplit_once(") ").expect("a name in parentheses").1;
        // utime and stime in ticks of 10 ms (proc_pid_stat(5)).
        let times = fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number"));
        let used = Duration::from_millis(10) * times.sum::<u64>().try_into().expect("not for years");
        (used, fs::read_dir(process.join("fd")).expect("its descriptors").count())
    };
    poll("the daemon to rest", || {
        let (used, open) = busy();
        let began = Instant::now();
        std::thread::sleep(REST);
        let (used_since, open_since) = busy();
        let share = (used_since - used).as_secs_f64() / began.elapsed().as_secs_f64();
        println!("at rest? {:.1} % of a core, {open} descriptors, then {open_since}", share * 100.0);
        (share <= TIDYING && open_since == open).then_some(())
    });
}
