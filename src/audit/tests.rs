//! Tests of the audit log on real files: what it writes, what it notices.
//!
//! Never waits for a time to pass where it can wait for what it brings.

mod breaks;
mod chain;
mod crash;
mod document;
mod faults;
mod gathering;
mod kill;
mod segments;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tempfile::TempDir;

use super::entry::{Decision, Entry, Target, Who};
use super::{AuditError, Log, Opened, Options, Sync};
use crate::chain::Mark;
use crate::clock::ManualClock;
use crate::crypto::mac::MacKey;
use crate::domain::action::Action;
use crate::domain::principal::{Principal, Proof};
use crate::os::peer::Peer;

const VAULT: [u8; 16] = [7; 16];

/// So long that no sync happens by itself.
const NEVER: Sync = Sync::Interval(Duration::from_secs(86_400));

/// 2026-11-21T18:00:00Z.
fn evening() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_795_284_000)
}

fn key() -> MacKey {
    MacKey::new(&[3; 32])
}

/// A log in a scratch directory, with a clock that the test moves.
struct Kit {
    scratch: TempDir,
    clock: Arc<ManualClock>,
    segment_most: u64,
    sync: Sync,
}

impl Kit {
    fn new() -> Self {
        Self {
            scratch: tempfile::tempdir().unwrap(),
            clock: Arc::new(ManualClock::at(evening())),
            segment_most: 64 * 1024 * 1024,
            sync: Sync::DEFAULT,
        }
    }

    fn directory(&self) -> PathBuf {
        self.scratch.path().join("audit")
    }

    fn options(&self) -> Options {
        let clock = Arc::<ManualClock>::clone(&self.clock);
        Options { directory: self.directory(), vault: VAULT, key: key(), sync: self.sync, clock }
    }

    fn open(&self) -> (Log, Opened) {
        Log::open_with(self.options(), self.segment_most).unwrap()
    }

    fn refusal(&self) -> String {
        match Log::open_with(self.options(), self.segment_most) {
            Ok(_) => panic!("opened"),
            Err(error) => error.to_string(),
        }
    }

    /// Names of the files, in order.
    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory()).unwrap();
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn path(&self, file: &str) -> PathBuf {
        self.directory().join(file)
    }
}

fn asked_by(unit: &str) -> Who {
    let peer = Peer { uid: 1000, gid: 1001, pid: 4242, unit: Some(unit.into()) };
    Who::of(&Principal { name: "billing".into(), proof: Proof::Unix(peer) })
}

fn read_of<'a>(who: &'a Who, request_id: &'a str) -> Entry<'a> {
    Entry {
        request_id,
        who,
        action: Action::TokenRead,
        org: Some("acme"),
        target: Some(Target::Named("github/main")),
        decision: Decision::Allow,
        outcome: "ok",
        reason: None,
        pass: None,
        generation: Some(7),
        journal: None,
    }
}

fn append(log: &Log, count: usize) -> Mark {
    let who = asked_by("billing.service");
    let mut mark = Mark::START;
    for number in 0..count {
        mark = log.append(&read_of(&who, &format!("request-{number}"))).unwrap();
    }
    mark
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Appends until the log refuses, for at most a minute; the reason.
fn until_refused(log: &Log) -> String {
    let who = asked_by("billing.service");
    for _ in 0..6_000 {
        if let Err(AuditError::Unavailable(reason)) = log.append(&read_of(&who, "after")) {
            return reason;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the log never noticed");
}
