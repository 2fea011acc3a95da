//! kill -9 at any instant: what was acknowledged is there, and the chain is whole.
//!
//! Never kills by the clock: the child is killed after it has acknowledged so many.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use super::*;
use crate::audit::verify;

const PLACE: &str = "AUDIT_TEST_PLACE";

fn kit_at(place: PathBuf) -> (Options, u64) {
    let clock = Arc::new(ManualClock::at(evening()));
    (Options { directory: place, vault: VAULT, key: key(), sync: Sync::DEFAULT, clock }, 20_000)
}

#[test]
#[ignore = "the child of the test below"]
fn child() {
    let (options, segment_most) = kit_at(std::env::var_os(PLACE).expect("run by the test below").into());
    let (log, _) = Log::open_with(options, segment_most).unwrap();
    // Without a lock or a buffer between the mark and the parent.
    let say = |mark: Mark| {
        let chain: String = mark.chain.iter().map(|byte| format!("{byte:02x}")).collect();
        std::io::stderr().write_all(format!("{} {chain}\n", mark.sequence).as_bytes()).unwrap();
    };
    let who = asked_by("billing.service");
    wait(async {
        loop {
            say(append(&log, 1));
            let gathered: Vec<_> = (0..3).map(|_| log.gather(&read_of(&who, "r")).unwrap()).collect();
            for gathered in gathered {
                say(gathered.written().await.unwrap());
            }
        }
    });
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let kit = Kit::new();
    for round in 0..8 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "audit::tests::kill::child", "--ignored", "--nocapture", "--test-threads=1"])
            .env(PLACE, kit.directory())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
        for _ in 0..1 + round * 97 {
            said.next().unwrap().unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let last = said.map_while(Result::ok).last();
        let (options, segment_most) = kit_at(kit.directory());
        let (log, opened) = Log::open_with(options, segment_most).unwrap();
        if let Some((sequence, chain)) = last.as_deref().and_then(|line| line.split_once(' '))
            && chain.len() == 64
        {
            let sequence: u64 = sequence.parse().unwrap();
            assert!(opened.head.sequence >= sequence, "round {round}");
            let page = log.query(&super::super::Filter::default(), sequence - 1, 1).unwrap();
            assert!(page.entries[0].ends_with(&format!("{chain}\"}}")), "round {round}");
        }
        assert_eq!(log.verify().unwrap().head, opened.head);
    }
    assert!(kit.files().len() > 3);
    verify(&kit.directory(), &key(), VAULT, None).unwrap();
}
