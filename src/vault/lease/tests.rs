//! What is done to the files of a store, and whether the store finds out.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::process::Command;

use super::*;

const VAULT: [u8; 16] = [7; 16];

struct Store {
    room: tempfile::TempDir,
}

impl Store {
    fn new() -> Self {
        let room = tempfile::tempdir().unwrap();
        let journal = room.path().join("state/journal");
        fs::create_dir_all(&journal).unwrap();
        fs::write(journal.join("00000000000000000001.journal"), b"one").unwrap();
        fs::write(journal.join("next.tmp"), b"").unwrap();
        let store = Self { room };
        store.renew("state", 5);
        store
    }

    fn lease(&self, directory: &str, machine: &str) -> Lease {
        Lease::new(&self.room.path().join(directory), VAULT, &MacKey::new(&[1; 32]), machine).expect("room")
    }

    fn renew(&self, directory: &str, sequence: u64) {
        let now = Moment::from_unix(1_795_284_000).unwrap();
        self.lease(directory, "here").renew(1, sequence, now).unwrap();
    }

    fn doubt(&self, directory: &str) -> Option<Doubt> {
        self.lease(directory, "here").doubt(1, 5)
    }

    fn run(&self, command: &str) {
        let done = Command::new("sh").args(["-c", command]).current_dir(self.room.path()).status().unwrap();
        assert!(done.success(), "{command}");
    }
}

#[test]
fn a_store_that_was_left_alone_or_renamed_is_itself() {
    let store = Store::new();
    assert_eq!(store.doubt("state"), None);
    store.run("mv state elsewhere");
    assert_eq!(store.doubt("elsewhere"), None);
    store.run("printf two >> elsewhere/journal/00000000000000000001.journal");
    assert_eq!(store.doubt("elsewhere"), None, "its journal went on");
}

#[test]
fn every_copy_is_noticed() {
    let cases = [
        ("cp -a state copy", "copy", Doubt::Copied),
        ("cp -al state copy", "copy", Doubt::Copied),
        ("tar c state | (mkdir t && tar x -C t) && mv t/state copy", "copy", Doubt::Copied),
        ("cp -a state old && rm -r state && mv old state", "state", Doubt::Copied),
        ("rm state/lease.json", "state", Doubt::LeaseLost),
        ("sed -i s/5/6/ state/lease.json", "state", Doubt::LeaseLost),
        ("echo {} > state/lease.json", "state", Doubt::LeaseLost),
        ("cp -p state/lease.json x && mv x state/lease.json", "state", Doubt::Restored),
        ("cp -a state/journal x && rm -r state/journal && mv x state/journal", "state", Doubt::Restored),
    ];
    for (command, directory, doubt) in cases {
        let store = Store::new();
        store.run(command);
        assert_eq!(store.doubt(directory), Some(doubt), "{command}");
    }
}

#[test]
fn a_copy_that_is_put_back_is_noticed_once_the_lease_was_renewed() {
    // Into the files that are there, and over them.
    for command in ["cp -a copy/. state/", "(cd copy && tar c .) | tar x -C state"] {
        let store = Store::new();
        store.run("cp -a state copy");
        store.renew("state", 9);
        store.run(command);
        assert_eq!(store.doubt("state"), Some(Doubt::Restored), "{command}");
    }
}

#[test]
fn what_is_older_than_its_lease_or_on_another_machine_is_noticed() {
    let store = Store::new();
    assert_eq!(store.lease("state", "here").doubt(1, 4), Some(Doubt::Restored));
    assert_eq!(store.lease("state", "here").doubt(0, 5), Some(Doubt::Restored));
    assert_eq!(store.lease("state", "there").doubt(1, 5), Some(Doubt::OtherMachine));
    let other =
        Lease::new(&store.room.path().join("state"), VAULT, &MacKey::new(&[2; 32]), "here").expect("room");
    assert_eq!(other.doubt(1, 5), Some(Doubt::LeaseLost), "another vault's");
}

#[test]
fn a_birth_that_nobody_knew_is_no_doubt() {
    let known = Identity { inode: 1, born_at: Some(5) };
    let unknown = Identity { inode: 1, born_at: None };
    assert!(Named::from(&unknown).is(&known) && Named::from(&known).is(&unknown));
    assert!(!Named::from(&known).is(&Identity { inode: 1, born_at: Some(6) }));
    assert!(!Named::from(&known).is(&Identity { inode: 2, born_at: Some(5) }));
}
