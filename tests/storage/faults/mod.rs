//! Calls that fail under the daemon, from a random one on: a sync or a write that answers EIO, a write that is done in part, a disk
//! that is full or read-only, no more descriptors. What cannot be made durable is refused, or the daemon ends with code 74 and
//! says why; once the fault is over, what was acknowledged is there without anybody's hand.
//!
//! `TOKENKEEP_FAULT_TRIALS` says how often each.
//!
//! Never counts a refusal as an acknowledgement: what was refused may be there or not, as one whole.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::process;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use serde_json::{Value, json};

use crate::chance::Chance;
use crate::daemon::{Daemon, Line, Place};
use crate::disk::faults::{Faults, Field};
use crate::disk::recorder;
use crate::ledger::Finding;
use crate::number;
use crate::power_cut::roomy;
use crate::writer::Writer;

const TRIALS: u64 = 3;
const WRITERS: usize = 4;
/// Calls after which it fails at the latest.
const CALLS: u64 = 40;
/// Within which a daemon that can keep nothing has ended, or one that can goes on: shorter than its drain.
const ENDING: Duration = Duration::from_secs(10);
/// Longer than anything takes on a machine that is merely slow.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    DescriptorsUsedUp,
    DiskFull,
    ReadOnly,
    SyncFails,
    WriteFails,
    WriteShort,
}

const ALL: [Fault; 6] = [
    Fault::SyncFails,
    Fault::WriteFails,
    Fault::WriteShort,
    Fault::DiskFull,
    Fault::ReadOnly,
    Fault::DescriptorsUsedUp,
];

impl Fault {
    fn strike(self, faults: &Faults, chance: &mut Chance) {
        let calls = i64::try_from(1 + chance.below(CALLS)).unwrap();
        let write = |errno: Errno| {
            faults.set(Field::WriteErrno, errno as i64);
            faults.set(Field::WriteIn, calls);
        };
        match self {
            Self::DescriptorsUsedUp => faults.set(Field::OpenErrno, Errno::EMFILE as i64),
            Self::DiskFull => write(Errno::ENOSPC),
            Self::ReadOnly => {
                faults.set(Field::OpenErrno, Errno::EROFS as i64);
                write(Errno::EROFS);
            }
            Self::SyncFails => {
                faults.set(Field::SyncErrno, Errno::EIO as i64);
                faults.set(Field::SyncIn, calls);
            }
            Self::WriteFails => write(Errno::EIO),
            Self::WriteShort => {
                faults.set(Field::WriteShort, 1);
                write(Errno::EIO);
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// With this code.
    Ended(Option<i32>),
    /// It went on to the end as if nothing were.
    WentOn,
    /// It refused, and took changes again when the fault was over.
    Healed,
    /// It refused, and goes on refusing until it is started again.
    Refuses,
}

#[test]
fn calls_that_fail_lose_nothing_and_are_named() {
    let seed = number("TOKENKEEP_FAULT_SEED").unwrap_or_else(|| u64::from(process::id()));
    let trials = number("TOKENKEEP_FAULT_TRIALS").unwrap_or(TRIALS);
    let mut chance = Chance::new(seed);
    let scratch = roomy();
    let faults = Faults::none(&scratch.path().join("faults"));
    let place = Place::new(scratch.path())
        .with("LD_PRELOAD", recorder(scratch.path()))
        .with("TOKENKEEP_RECORD_BELOW", scratch.path().join("vault/state"))
        .with("TOKENKEEP_RECORD_FAULTS", faults.path());
    let mut writers: Vec<Writer> = (0..WRITERS).map(|number| Writer::new(number, chance.split())).collect();
    let (mut table, mut wrong) = (BTreeMap::new(), Vec::new());
    for fault in (0..trials).flat_map(|_| ALL) {
        let outcome = trial(fault, &place, &faults, &mut writers, &mut chance);
        if let Outcome::Ended(code) = outcome
            && (code != Some(74) || !place.last_words().contains("tokenkeepd: storage damaged or failing: "))
        {
            wrong.push(format!("{fault:?}: it ended with {code:?}: {}", place.last_words()));
        }
        *table.entry((fault, outcome)).or_insert(0) += 1;
        faults.clear();
        wrong.extend(examine(&place, &mut writers).iter().map(|finding| format!("{fault:?}: {finding}")));
        assert!(wrong.is_empty(), "seed {seed}: {wrong:#?}");
    }
    println!("faults | seed {seed}\n| fault | what came of it | times |\n|---|---|---|");
    for ((fault, outcome), times) in &table {
        println!("| {fault:?} | {outcome:?} | {times} |");
    }
    // What can keep nothing any more must not stand in the way of the next start.
    let refuses: Vec<_> = table.keys().filter(|(_, outcome)| *outcome == Outcome::Refuses).collect();
    assert!(refuses.is_empty(), "refused, and neither ended nor healed: {refuses:?}");
    // A sync that failed must not be believed, whatever the next one says (fsync(2)).
    assert!(!table.contains_key(&(Fault::SyncFails, Outcome::Healed)), "a sync was tried again");
}

fn trial(
    fault: Fault,
    place: &Place,
    faults: &Faults,
    writers: &mut [Writer],
    chance: &mut Chance,
) -> Outcome {
    let mut daemon = place.start().unwrap();
    let _never_ends = request_without_end(place);
    let refused = thread::scope(|scope| {
        let lines: Vec<Line> = writers.iter().map(|_| daemon.application()).collect();
        let mut underway = Vec::new();
        for (writer, line) in writers.iter_mut().zip(lines) {
            underway.push(scope.spawn(|| writer.write(line)));
        }
        thread::sleep(chance.span(Duration::from_millis(200)));
        fault.strike(faults, chance);
        let began = Instant::now();
        // A want of descriptors may pass unnoticed: what is open stays open.
        let enough = if fault == Fault::DescriptorsUsedUp { Duration::from_millis(300) } else { PATIENCE };
        while began.elapsed() < enough && underway.iter().any(|writer| !writer.is_finished()) {
            thread::sleep(Duration::from_millis(5));
        }
        let refused = underway.iter().all(|writer| writer.is_finished());
        assert!(refused || fault == Fault::DescriptorsUsedUp, "{fault:?}: nothing is refused");
        if !refused {
            daemon.kill_now();
        }
        for writer in underway {
            let _refusal = writer.join().unwrap();
        }
        refused
    });
    if !refused {
        return Outcome::WentOn;
    }
    faults.clear();
    if let Some(code) = healed_or_ended(&mut daemon) { code } else { Outcome::Refuses }
}

/// Whose answer a daemon that drains waits for.
fn request_without_end(place: &Place) -> UnixStream {
    let mut stream = UnixStream::connect(place.socket()).unwrap();
    let head = "PUT /v1/orgs/healed/secrets/s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{";
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

/// What it does now that the fault is over; none where it neither ends nor heals.
fn healed_or_ended(daemon: &mut Daemon) -> Option<Outcome> {
    let began = Instant::now();
    while began.elapsed() < ENDING {
        if let Some(status) = daemon.ended_by_now() {
            return Some(Outcome::Ended(status.code()));
        }
        let healed = Line::to(&daemon.place().socket())
            .and_then(|mut line| line.ask("PUT", "/v1/orgs/healed", &[], ""))
            .is_ok_and(|answer| answer.status < 300);
        if healed {
            return Some(Outcome::Healed);
        }
        thread::sleep(Duration::from_millis(20));
    }
    None
}

/// Started again, it has everything, and takes changes.
fn examine(place: &Place, writers: &mut [Writer]) -> Vec<Finding> {
    let daemon = place.start().unwrap();
    let mut findings = Vec::new();
    for writer in writers {
        findings.extend(writer.examine(daemon.application()));
    }
    let verified = daemon.admin().done("POST", "/admin/v1/audit/verify", &Value::Null);
    assert_eq!(verified["intact"], true, "{verified}");
    daemon.application().done("PUT", "/v1/orgs/healed", &Value::Null);
    daemon.application().done("PUT", "/v1/orgs/healed/secrets/s", &json!({ "value": "v" }));
    daemon.kill();
    findings
}
