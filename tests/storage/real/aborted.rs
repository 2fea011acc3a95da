//! A sync that says that it was done, on an ext4 that gives up at that moment: what it covered is there afterwards.
//!
//! Never asks of `fdatasync` alone what it does not do there: without the proof behind it ([`tokenkeep::os::durable`]) about one trial in
//! five finds a line gone, which all of these together do not miss.

use std::fs::{self, File};
use std::io::Write;
use std::process;
use std::thread;
use std::time::Duration;

use tokenkeep::os::{durable, space};

use super::mounted::{Mounted, System};
use super::not_run;
use crate::chance::Chance;
use crate::number;

const TRIALS: u64 = 24;
const LINE: [u8; 200] = [b'x'; 200];

#[test]
fn what_was_synced_is_there_when_the_file_system_gives_up() {
    let seed = number("TOKENKEEP_REAL_SEED").unwrap_or_else(|| u64::from(process::id()));
    let trials = number("TOKENKEEP_REAL_TRIALS").unwrap_or_default().max(TRIALS);
    let mut chance = Chance::new(seed);
    let disk = match Mounted::new(System::Ext4, 64) {
        Ok(disk) => disk,
        Err(why) => return not_run(&format!("the test of a file system that gives up: {why}")),
    };
    let path = disk.room().join("vault/state/lines");
    let mut synced = 0;
    for _ in 0..trials {
        let mut file = File::options().create(true).append(true).open(&path).unwrap();
        let said = thread::scope(|scope| {
            let writing = scope.spawn(|| append(&mut file));
            thread::sleep(Duration::from_millis(5) + chance.span(Duration::from_millis(200)));
            disk.abort();
            writing.join().unwrap()
        });
        drop(file);
        disk.mend();
        let there = fs::read(&path).unwrap();
        assert!(
            there.len() >= said && there[..said].iter().all(|byte| *byte == b'x'),
            "seed {seed}: {said} bytes were synced, {} are there",
            there.len()
        );
        synced += said / LINE.len();
        fs::remove_file(&path).unwrap();
    }
    assert!(synced > 0, "nothing was written");
    println!("given up | seed {seed}, {trials} times, {synced} lines synced before, all there");
}

/// Appends lines, as the audit log does, until one is not taken; how many bytes were synced before.
fn append(file: &mut File) -> usize {
    let mut synced = 0;
    loop {
        let taken = space::reserve(file, synced as u64, 1 << 20)
            .and_then(|()| file.write_all(&LINE))
            .and_then(|()| durable::sync_data(file));
        if taken.is_err() {
            return synced;
        }
        synced += LINE.len();
    }
}
