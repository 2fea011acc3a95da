//! kill -9 under load, again and again: what was acknowledged is there after the restart, whole, and nothing else is.
//!
//! Eight writers on the real socket, each with a ledger; the daemon is killed at a random moment, now and then once
//! more while it starts, now and then with its index damaged or gone in between. Then everything that was ever
//! written is read and held against the ledgers. At the end the audit log must be whole and speak once of each change.
//!
//! `TOKENKEEP_CRASH_ROUNDS=300` is the long form, which also holds each restart on an untouched index to its bound;
//! `TOKENKEEP_CRASH_SEED` repeats a run as far as threads allow.
//!
//! kill -9 leaves the kernel's cache alone: a power cut is another test's matter (src/store/embedded/tests).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "tests")]

mod audited;
mod chance;
mod daemon;
mod damage;
mod ledger;
mod writer;

use std::collections::BTreeSet;
use std::env;
use std::process;
use std::thread;
use std::time::{Duration, Instant};

use audited::Audited;
use chance::Chance;
use daemon::{Daemon, Place};
use ledger::{Finding, Kind};
use serde_json::Value;
use writer::{Writer, names};

const WRITERS: usize = 8;
const ROUNDS: u64 = 15;
/// Writers write for less than this.
const WRITING: Duration = Duration::from_millis(500);
/// The promise about a restart. Where the index was damaged or is gone it is built anew from the journal, which takes
/// as long as the journal is.
const RESTART_BOUND: Duration = Duration::from_secs(2);
/// What a round adds to the audit log is verified within this; only a daemon that hangs takes longer.
const VERIFY_BOUND: Duration = Duration::from_millis(200);
/// A run that takes longer than this a round does not end by itself.
const ROUND_BOUND: Duration = Duration::from_secs(15);

#[derive(Default)]
struct Tally {
    rounds: u64,
    killed_in_start: u64,
    damaged: u64,
    /// With the index as the daemon left it.
    slowest_restart: Duration,
    /// With the index damaged or gone.
    slowest_rebuild: Duration,
    findings: Vec<Finding>,
}

#[test]
fn nothing_acknowledged_is_lost_to_kill_9() {
    let long = env::var("TOKENKEEP_CRASH_ROUNDS").ok().map(|text| text.parse().expect("a number of rounds"));
    let seed =
        env::var("TOKENKEEP_CRASH_SEED").map_or_else(|_| u64::from(process::id()), |s| s.parse().unwrap());
    let (rounds, began) = (long.unwrap_or(ROUNDS), Instant::now());
    let mut chance = Chance::new(seed);
    let directory = tempfile::tempdir().unwrap();
    let place = Place::new(directory.path());
    let mut writers: Vec<Writer> = (0..WRITERS).map(|number| Writer::new(number, chance.split())).collect();
    let mut tally = Tally::default();
    let mut daemon = place.start().unwrap();
    while tally.rounds < rounds && tally.findings.is_empty() {
        assert!(began.elapsed() < ROUND_BOUND * u32::try_from(rounds).unwrap(), "the run does not end");
        tally.rounds += 1;
        write_and_kill(&mut writers, daemon, chance.span(WRITING), &mut tally);
        daemon = match restart(&place, &mut chance, &mut tally) {
            Ok(daemon) => daemon,
            Err(why) => panic!("seed {seed}, round {}: {why}", tally.rounds),
        };
        examine(&mut writers, &daemon, &mut tally);
    }
    let patience = daemon::ANSWER_DEADLINE + VERIFY_BOUND * u32::try_from(rounds).unwrap();
    let verified = daemon.admin().waiting(patience).done("POST", "/admin/v1/audit/verify", &Value::Null);
    let audited = Audited::read(&place.state());
    let changes = writers.iter().map(|writer| writer.ledger.acknowledged + writer.ledger.in_doubt.0).sum();
    tally.findings.extend(audited.findings(changes));
    println!("{}", tally.line(&writers, &verified, &audited));
    if !tally.findings.is_empty() {
        let kept = directory.keep();
        let findings: String = tally.findings.iter().take(10).map(|finding| format!("{finding}\n")).collect();
        panic!("seed {seed}, round {}, kept in {}:\n{findings}", tally.rounds, kept.display());
    }
    assert_eq!(verified["intact"], true, "{verified}");
    if long.is_some() {
        assert!(tally.slowest_restart <= RESTART_BOUND, "a restart took {:?}", tally.slowest_restart);
    }
}

fn write_and_kill(writers: &mut [Writer], daemon: Daemon, after: Duration, tally: &mut Tally) {
    thread::scope(|scope| {
        let lines: Vec<_> = writers.iter().map(|_| daemon.application()).collect();
        let underway: Vec<_> =
            writers.iter_mut().zip(lines).map(|(writer, line)| scope.spawn(|| writer.write(line))).collect();
        thread::sleep(after);
        daemon.kill();
        tally.findings.extend(underway.into_iter().filter_map(|writer| writer.join().unwrap().err()));
    });
}

fn restart(place: &Place, chance: &mut Chance, tally: &mut Tally) -> Result<Daemon, String> {
    let damaged = chance.once_in(4).then(|| damage::befall(&place.state(), chance));
    tally.damaged += u64::from(damaged.is_some());
    if chance.once_in(5) {
        tally.killed_in_start += 1;
        place.start_and_kill(chance.span(Duration::from_millis(200)));
    }
    let daemon = place.start().map_err(|why| format!("{}: {why}", damaged.unwrap_or("index untouched")))?;
    let slowest = match damaged {
        Some(_) => &mut tally.slowest_rebuild,
        None => &mut tally.slowest_restart,
    };
    *slowest = daemon.started_in.max(*slowest);
    Ok(daemon)
}

fn examine(writers: &mut [Writer], daemon: &Daemon, tally: &mut Tally) {
    thread::scope(|scope| {
        let lines: Vec<_> = writers.iter().map(|_| daemon.application()).collect();
        let underway: Vec<_> = writers
            .iter_mut()
            .zip(lines)
            .map(|(writer, line)| scope.spawn(|| writer.examine(line)))
            .collect();
        for writer in underway {
            tally.findings.extend(writer.join().unwrap());
        }
    });
    let known: BTreeSet<String> = writers.iter().flat_map(Writer::orgs).collect();
    let listed = names(&daemon.admin().list("/admin/v1/orgs").unwrap(), "org");
    let phantom = listed.difference(&known).map(|org| Finding::new(Kind::Phantom, format!("org {org}")));
    let lost = known.difference(&listed).map(|org| Finding::new(Kind::Lost, format!("org {org}")));
    tally.findings.extend(phantom.chain(lost));
}

impl Tally {
    fn line(&self, writers: &[Writer], verified: &Value, audited: &Audited) -> String {
        let count = |kind| self.findings.iter().filter(|finding| finding.kind == kind).count();
        let acknowledged: u64 = writers.iter().map(|writer| writer.ledger.acknowledged).sum();
        let done: u64 = writers.iter().map(|writer| writer.ledger.in_doubt.0).sum();
        let undone: u64 = writers.iter().map(|writer| writer.ledger.in_doubt.1).sum();
        let audit = if verified["intact"] == true { "intact" } else { "BROKEN" };
        format!(
            "kill -9 | rounds {} | killed in start {} | index damaged {} | acknowledged {acknowledged} | \
             answer lost {} (done {done}, not done {undone}) | lost {} | torn {} | phantom {} | refused {} | unaudited {} | \
             slowest restart {} ms | slowest rebuild {} ms | audit {audit}, {} entries, {} recovered",
            self.rounds,
            self.killed_in_start,
            self.damaged,
            done + undone,
            count(Kind::Lost),
            count(Kind::Torn),
            count(Kind::Phantom),
            count(Kind::Refused),
            count(Kind::Unaudited),
            self.slowest_restart.as_millis(),
            self.slowest_rebuild.as_millis(),
            verified["entries"],
            audited.recovered,
        )
    }
}
