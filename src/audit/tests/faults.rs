//! A log that was replaced, removed or shortened under us takes nothing more; a full disk passes.
//!
//! Never asserts how long it took.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::audit::State;

fn broken_by(change: impl FnOnce(&Kit, &Path)) -> String {
    let kit = Kit::new();
    let (log, _) = kit.open();
    append(&log, 3);
    change(&kit, &kit.path(&kit.files()[0]));
    let reason = until_refused(&log);
    assert_eq!(log.health().state, State::Failed(reason.clone()));
    let who = asked_by("b");
    let refused = wait(log.append_durable(&read_of(&who, "r")));
    assert_eq!(refused, Err(AuditError::Unavailable(reason.clone())), "and it stays so");
    reason
}

#[test]
fn a_removed_file_stops_the_log() {
    assert!(broken_by(|_, file| fs::remove_file(file).unwrap()).contains("removed"));
}

#[test]
fn a_replaced_file_stops_the_log() {
    let reason = broken_by(|kit, file| {
        let copy = kit.scratch.path().join("copy");
        fs::copy(file, &copy).unwrap();
        fs::hard_link(file, kit.scratch.path().join("kept")).unwrap();
        fs::rename(copy, file).unwrap();
    });
    assert!(reason.contains("replaced"), "{reason}");
}

#[test]
fn a_renamed_file_stops_the_log() {
    assert!(broken_by(|kit, file| fs::rename(file, kit.path("elsewhere")).unwrap()).contains("gone"));
}

#[test]
fn a_truncated_or_lengthened_file_stops_the_log() {
    let open = |file: &Path| fs::OpenOptions::new().append(true).open(file).unwrap();
    assert!(broken_by(|_, file| open(file).set_len(100).unwrap()).contains("bytes long"));
    assert!(broken_by(|_, file| open(file).set_len(100_000).unwrap()).contains("bytes long"));
}

#[test]
fn loosened_permissions_stop_the_log() {
    let loosen = |_: &Kit, file: &Path| fs::set_permissions(file, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(broken_by(loosen).contains("permissions"));
}

#[test]
fn a_directory_moved_away_or_replaced_stops_the_log() {
    let away = |kit: &Kit| fs::rename(kit.directory(), kit.scratch.path().join("away")).unwrap();
    assert!(broken_by(|kit, _| away(kit)).contains("gone"));
    broken_by(|kit, file| {
        away(kit);
        fs::create_dir(kit.directory()).unwrap();
        let held = kit.scratch.path().join("away").join(file.file_name().unwrap());
        fs::hard_link(held, file).unwrap();
    });
}

/// `make unit` runs it, in a mount namespace of its own:
/// `unshare -m sh -c 'mount -t tmpfs -o size=32m none /mnt && SMALL_FS=/mnt cargo test a_full_disk_passes -- --ignored'`.
#[test]
#[ignore = "needs SMALL_FS, a file system of about 32 MiB"]
fn a_full_disk_passes() {
    let place = PathBuf::from(std::env::var_os("SMALL_FS").expect("SMALL_FS"));
    let kit = Kit { scratch: tempfile::tempdir_in(place).unwrap(), ..Kit::new() };
    let (log, _) = kit.open();
    append(&log, 10);
    assert_eq!(log.health().state, State::Ok);
    let ballast = kit.scratch.path().join("ballast");
    let filled = fs::write(&ballast, vec![1; 40 << 20]);
    assert!(filled.is_err(), "the file system is small");
    // The reserve lasts for a while, and says so early; a day may change meanwhile.
    let who = asked_by("b");
    let mut written = 0;
    while log.health().state == State::Ok {
        log.append(&read_of(&who, "r")).unwrap();
        written += 1;
    }
    kit.clock.advance(Duration::from_secs(86_400));
    let mut afterwards = 0;
    let many = || -> Vec<_> { (0..50).map(|_| log.gather(&read_of(&who, "r")).unwrap()).collect() };
    while many().into_iter().all(|gathered| wait(gathered.written()).is_ok()) {
        afterwards += 50;
    }
    log.verify().unwrap();
    let reason = loop {
        match log.append(&read_of(&who, "r")) {
            Ok(_) => afterwards += 1,
            Err(error) => break error.to_string(),
        }
    };
    assert!(many().into_iter().all(|gathered| wait(gathered.written()).is_err()), "none of them");
    eprintln!("{written} entries until low, {afterwards} more until full");
    assert!(afterwards > 5_000, "{afterwards}");
    assert!(reason.contains("no room"), "{reason}");
    assert_eq!(log.health().state, State::Low);
    assert!(log.append(&read_of(&who, "r")).is_err(), "still full");
    log.verify().unwrap();
    fs::remove_file(&ballast).unwrap();
    log.append(&read_of(&who, "r")).unwrap();
    for _ in 0..6_000 {
        if log.health().state == State::Ok {
            append(&log, 1);
            if kit.files().len() == 2 {
                log.verify().unwrap();
                return;
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("never recovered: {:?} {:?}", log.health(), kit.files());
}
