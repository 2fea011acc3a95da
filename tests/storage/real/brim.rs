//! A disk that is filled to the last byte at a random moment, while a snapshot is being made, or before a start; and then
//! has room again.
//!
//! Never empties the disk before every writer was refused.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::mounted::{Mounted, System};
use super::press::{Press, takes_changes};
use super::{
    WRITERS, begin, exists_with, not_run, place_on, under_load, wait_until, writers, wrong_after_start,
};
use crate::chance::Chance;
use crate::daemon::{Daemon, Place};
use crate::number;

const TRIALS: u64 = 1;
/// Room for what is set aside, and for snapshots of what the writers write.
const MEBIBYTES: u64 = 128;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum When {
    BeforeAStart,
    DuringASnapshot,
    WhileWriting,
}

const ALL: [When; 3] = [When::WhileWriting, When::DuringASnapshot, When::BeforeAStart];

#[derive(Debug, Default)]
struct Row {
    trials: u64,
    acknowledged: u64,
    refusals: BTreeMap<String, u64>,
    slowest_healing: Duration,
    wrong: Vec<String>,
}

#[test]
fn a_disk_without_a_byte_loses_nothing_and_heals_by_itself() {
    let seed = number("TOKENKEEP_REAL_SEED").unwrap_or_else(|| u64::from(process::id()));
    let long = number("TOKENKEEP_REAL_TRIALS");
    let systems: &[System] = if long.is_some() { &[System::Tmpfs, System::Ext4] } else { &[System::Tmpfs] };
    let (mut chance, mut table) = (Chance::new(seed), BTreeMap::new());
    for system in systems {
        let disk = match Mounted::new(*system, MEBIBYTES) {
            Ok(disk) => disk,
            Err(why) => {
                not_run(&format!("the test of a full disk on {system:?}: {why}"));
                continue;
            }
        };
        let place = place_on(&disk);
        let mut writers = writers(&mut chance);
        begin(&place).kill();
        for when in (0..long.unwrap_or(TRIALS)).flat_map(|_| ALL) {
            let row: &mut Row = table.entry((*system, when)).or_default();
            let before: u64 = writers.iter().map(|writer| writer.ledger.acknowledged).sum();
            trial(when, &place, &disk, &mut writers, &mut chance, row);
            let after: u64 = writers.iter().map(|writer| writer.ledger.acknowledged).sum();
            row.acknowledged += after - before;
            row.trials += 1;
            assert!(row.wrong.is_empty(), "seed {seed}, {system:?}, {when:?}: {:#?}", row.wrong);
        }
    }
    println!(
        "full disk | seed {seed}\n| on | filled | times | acknowledged | refused | healed within | lost |"
    );
    println!("|---|---|---|---|---|---|---|");
    for ((system, when), row) in &table {
        let Row { trials, acknowledged, refusals, slowest_healing, wrong } = row;
        let (ms, lost) = (slowest_healing.as_millis(), wrong.len());
        println!("| {system:?} | {when:?} | {trials} | {acknowledged} | {refusals:?} | {ms} ms | {lost} |");
    }
    let known = ["503 audit_unavailable", "507 storage_full"];
    for row in table.values() {
        assert!(row.refusals.keys().all(|name| known.contains(&name.as_str())), "{:?}", row.refusals);
        assert!(row.refusals.contains_key("507 storage_full"), "nothing was refused for want of room");
    }
}

fn trial(
    when: When,
    place: &Place,
    disk: &Mounted,
    writers: &mut [crate::writer::Writer],
    chance: &mut Chance,
    row: &mut Row,
) {
    let daemon = match when {
        When::BeforeAStart => {
            disk.fill();
            let daemon = place.start().unwrap();
            // Reads go on as long as there is room for their entries.
            let found = writers.iter_mut().flat_map(|writer| writer.examine(daemon.application()));
            let found = found.filter(|finding| !finding.what.contains("audit_unavailable"));
            row.wrong.extend(found.map(|finding| format!("while it was full: {finding}")));
            daemon
        }
        When::DuringASnapshot | When::WhileWriting => place.start().unwrap(),
    };
    let press = Press::default();
    under_load(&press, writers, place, || {
        match when {
            When::BeforeAStart => {}
            When::DuringASnapshot => {
                let snapshots = place.state().join("snapshots");
                // One that is too quick to be seen has just ended.
                let before = newest(&snapshots);
                wait_until("a snapshot", || exists_with(&snapshots, "tmp") || newest(&snapshots) != before);
            }
            When::WhileWriting => thread::sleep(chance.span(Duration::from_millis(400))),
        }
        keep_full(disk, &press);
        row.slowest_healing = heal(disk, &press, daemon, row).max(row.slowest_healing);
    });
    row.wrong.append(&mut press.findings.lock().unwrap());
    for (name, count) in press.refusals.into_inner().unwrap() {
        *row.refusals.entry(name).or_default() += count;
    }
    row.wrong.extend(wrong_after_start(place, writers));
}

fn newest(snapshots: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(snapshots).ok()?.flatten().map(|entry| entry.path());
    entries.filter(|path| path.extension().is_some_and(|end| end == "snapshot")).max()
}

/// Until everybody was refused, many times: what the daemon gives back is taken too.
fn keep_full(disk: &Mounted, press: &Press) {
    let enough = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !enough.load(Ordering::Relaxed) {
                disk.fill();
                thread::sleep(Duration::from_millis(1));
            }
        });
        let before = press.refused();
        wait_until("refusals", || press.refused() >= before + 20 * WRITERS as u64 || stands_still(press));
        enough.store(true, Ordering::Relaxed);
    });
}

/// All of them were told that nobody knows what came of it, and wait.
fn stands_still(press: &Press) -> bool {
    let before = press.refused();
    thread::sleep(Duration::from_millis(300));
    before > 0 && press.refused() == before
}

/// Gives the room back, waits until changes are taken again, lets the writers write, and kills.
fn heal(disk: &Mounted, press: &Press, mut daemon: Daemon, row: &mut Row) -> Duration {
    if let Some(status) = daemon.ended_by_now() {
        row.wrong.push(format!("it ended: {status}: {}", daemon.place().last_words()));
    }
    disk.clear();
    let began = Instant::now();
    wait_until("changes to be taken", || takes_changes(&daemon).is_ok() || daemon.ended_by_now().is_some());
    let healed = began.elapsed();
    press.is_over();
    thread::sleep(Duration::from_millis(150));
    if let Some(status) = daemon.ended_by_now() {
        row.wrong.push(format!("it ended: {status}: {}", daemon.place().last_words()));
    }
    daemon.kill();
    healed
}
