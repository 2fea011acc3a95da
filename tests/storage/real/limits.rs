//! Limits of the process, reached: the length of a file, and descriptors.
//!
//! Never raised while the daemon runs.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process;
use std::thread;
use std::time::Duration;

use super::press::{Press, takes_changes};
use super::{begin, last_line, under_load, wait_until, writers, wrong_after_start};
use crate::chance::Chance;
use crate::daemon::{Line, Place};
use crate::power_cut::roomy;

fn segments(place: &Place) -> Vec<PathBuf> {
    let found = std::fs::read_dir(place.state().join("journal")).into_iter().flatten().flatten();
    found
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "journal"))
        .collect()
}

/// Descriptors beyond those of a daemon whom nobody asks: for the writers, and for a segment and its directory.
const SPARE: usize = super::WRITERS + 4;

#[test]
fn files_that_may_not_grow_end_the_daemon_with_a_word() {
    let mut chance = Chance::new(u64::from(process::id()));
    let scratch = roomy();
    let (place, mut writers) = (Place::new(scratch.path()), writers(&mut chance));
    begin(&place).kill();
    println!("RLIMIT_FSIZE\n| bytes | answers | how it ended |\n|---|---|---|");
    for bytes in [3 << 20, 1 << 20, 300 << 10] {
        let limited = place.clone().within(&format!("--fsize={bytes}"));
        let press = Press::default();
        let said = match limited.start() {
            Err(why) => {
                assert!(why.contains("exit status: 74"), "{why}");
                last_line(&place)
            }
            Ok(mut daemon) => under_load(&press, &mut writers, &limited, || {
                let mut ended = None;
                wait_until("its end", || {
                    ended = daemon.ended_by_now();
                    ended.is_some()
                });
                press.is_over();
                let (status, line) = (ended.unwrap(), last_line(&place));
                assert_eq!((status.code(), status.signal()), (Some(74), None), "{line}");
                line
            }),
        };
        assert!(said.contains("File too large"), "{said}");
        println!("| {bytes} | {:?} | {said} |", press.refusals.lock().unwrap());
        let wrong = wrong_after_start(&place, &mut writers);
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

#[test]
fn descriptors_that_run_out_lose_nothing_and_come_back() {
    let mut chance = Chance::new(u64::from(process::id()));
    let scratch = roomy();
    let (place, mut writers) = (Place::new(scratch.path()), writers(&mut chance));
    let daemon = begin(&place);
    let most = daemon.open_files() + SPARE;
    daemon.kill();
    let limited = place.clone().within(&format!("--nofile={most}"));
    let mut daemon = limited.start().unwrap();
    let press = Press::default();
    let became = under_load(&press, &mut writers, &limited, || {
        thread::sleep(Duration::from_millis(100));
        let idle: Vec<Line> = (0..200).filter_map(|_| Line::to(&limited.socket()).ok()).collect();
        // The next segment is ready; the one after it needs a descriptor, and so does who reads what lies in another.
        let mut newest = BTreeSet::new();
        wait_until("a want of descriptors, or the segment after the next", || {
            newest.extend(segments(&place));
            newest.len() > 3 || press.refused() > 0 || daemon.ended_by_now().is_some()
        });
        drop(idle);
        press.is_over();
        wait_until("changes to be taken", || {
            takes_changes(&daemon).is_ok() || daemon.ended_by_now().is_some()
        });
        let ended = daemon.ended_by_now();
        daemon.kill_now();
        ended.map(|status| format!("{status}: {}", last_line(&place)))
    });
    println!("RLIMIT_NOFILE | {most} | {:?}", press.refusals.lock().unwrap());
    let wrong = wrong_after_start(&place, &mut writers);
    assert!(wrong.is_empty(), "{became:?}: {wrong:#?}");
    assert_eq!(became, None, "it goes on");
}
