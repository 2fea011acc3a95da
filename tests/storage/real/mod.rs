//! Faults that are real, not answers that were made up: a file system filled to the last byte, one that the kernel turns
//! read-only, limits of the process.
//!
//! `TOKENKEEP_REAL_TRIALS=50` is the long form (`make faults`), which fills ext4 too.
//!
//! Never lends a hand: what heals does so by itself, or by the next start.

mod aborted;
mod brim;
mod limits;
mod mounted;
mod press;
mod read_only;

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use self::mounted::Mounted;
use self::press::Press;
use crate::audited::Audited;
use crate::chance::Chance;
use crate::daemon::{Daemon, Place};
use crate::writer::Writer;

const WRITERS: usize = 4;
/// Longer than anything takes on a machine that is merely slow.
const PATIENCE: Duration = Duration::from_secs(60);

fn place_on(disk: &Mounted) -> Place {
    Place::new(disk.room())
}

fn writers(chance: &mut Chance) -> Vec<Writer> {
    (0..WRITERS).map(|number| Writer::new(number, chance.split())).collect()
}

/// The second life: the first one makes the vault, and its files short from the next start on.
fn begin(place: &Place) -> Daemon {
    place.start().unwrap().kill();
    place.start().unwrap()
}

/// Does something while the writers write; ends when they have ended, which they do when the daemon has.
fn under_load<T>(press: &Press, writers: &mut [Writer], place: &Place, deed: impl FnOnce() -> T) -> T {
    thread::scope(|scope| {
        for writer in writers {
            scope.spawn(|| press.write(writer, place));
        }
        deed()
    })
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(2));
    }
    began.elapsed()
}

/// What is wrong after a start: everything that was acknowledged must be there, and the audit log speak of it once.
fn wrong_after_start(place: &Place, writers: &mut [Writer]) -> Vec<String> {
    let daemon = place.start().unwrap();
    let mut wrong: Vec<String> = Vec::new();
    for writer in writers {
        wrong.extend(writer.examine(daemon.application()).iter().map(ToString::to_string));
    }
    let verified = daemon.admin().done("POST", "/admin/v1/audit/verify", &Value::Null);
    if verified["intact"] != true {
        wrong.push(verified.to_string());
    }
    let status = daemon.application().read("/v1/status").unwrap().json();
    if status["store"]["state"] != "ok" || status["audit"]["state"] != "ok" || !status["quarantine"].is_null()
    {
        wrong.push(status.to_string());
    }
    let head = status["store"]["sequence"].as_u64().unwrap();
    daemon.kill();
    wrong.extend(Audited::read(&place.state()).findings(head).iter().map(ToString::to_string));
    wrong
}

/// The daemon's own last line.
fn last_line(place: &Place) -> String {
    let said = place.last_words();
    let line = said.lines().rev().find(|line| line.starts_with("tokenkeepd: ")).unwrap_or_default();
    line.to_owned()
}

fn exists_with(directory: &Path, part: &str) -> bool {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name()).any(|name| name.to_string_lossy().contains(part))
}

fn not_run(why: &str) {
    println!("NOT RUN: {why}");
}
