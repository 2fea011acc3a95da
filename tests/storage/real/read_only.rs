//! A file system that turns read-only under the daemon, as ext4 does when its disk fails.
//!
//! Never mended while the daemon runs.

use std::collections::BTreeMap;
use std::process;
use std::thread;
use std::time::{Duration, Instant};

use super::mounted::{Mounted, System};
use super::press::Press;
use super::{begin, last_line, not_run, place_on, under_load, writers, wrong_after_start};
use crate::chance::Chance;
use crate::number;

const TRIALS: u64 = 2;

#[test]
fn a_disk_that_turns_read_only_ends_the_daemon_and_loses_nothing() {
    let seed = number("TOKENKEEP_REAL_SEED").unwrap_or_else(|| u64::from(process::id()));
    let trials = number("TOKENKEEP_REAL_TRIALS").unwrap_or(TRIALS);
    let mut chance = Chance::new(seed);
    // The audit log grows with each trial.
    let disk = match Mounted::new(System::Ext4, 128 + trials) {
        Ok(disk) => disk,
        Err(why) => return not_run(&format!("the test of a disk that turns read-only: {why}")),
    };
    let (place, mut writers) = (place_on(&disk), writers(&mut chance));
    begin(&place).kill();
    let (mut ends, mut answers): (BTreeMap<String, u64>, BTreeMap<String, u64>) = Default::default();
    let mut slowest = Duration::ZERO;
    for _ in 0..trials {
        let mut daemon = place.start().unwrap();
        let press = Press::default();
        let status = under_load(&press, &mut writers, &place, || {
            thread::sleep(chance.span(Duration::from_millis(400)));
            assert!(disk.remount_read_only().is_err(), "files are open for writing");
            disk.abort();
            let began = Instant::now();
            let status = daemon.ended();
            slowest = began.elapsed().max(slowest);
            press.is_over();
            status
        });
        let (code, line) = (status.and_then(|status| status.code()), last_line(&place));
        assert_eq!(code, Some(74), "seed {seed}: {status:?}: {}", place.last_words());
        assert!(line.contains("storage damaged or failing: the "), "{line}");
        *ends.entry(line).or_default() += 1;
        for (name, count) in press.refusals.into_inner().unwrap() {
            *answers.entry(name).or_default() += count;
        }
        let in_vain = place.start().err().expect("it cannot be written to");
        assert!(in_vain.contains("exit status: 74"), "{in_vain}");
        *ends.entry(format!("started in vain: {}", last_line(&place))).or_default() += 1;
        disk.mend();
        let wrong = wrong_after_start(&place, &mut writers);
        assert!(wrong.is_empty(), "seed {seed}: {wrong:#?}");
    }
    println!(
        "read-only | seed {seed}, {trials} times, ended within {} ms\n| times | what it said |\n|---|---|",
        slowest.as_millis()
    );
    ends.iter().chain(&answers).for_each(|(said, times)| println!("| {times} | {said} |"));
}
