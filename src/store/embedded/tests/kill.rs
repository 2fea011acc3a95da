//! kill -9 from outside, at random: what the killed process was told is durable is there.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use super::*;

/// Where the child finds its state; without it, the child's part does nothing.
const DIRECTORY: &str = "TOKENKEEP_TEST_KILL_DIRECTORY";

fn options(directory: PathBuf, expected: Mark) -> Options {
    let clock = Arc::new(ManualClock::at(UNIX_EPOCH));
    let witness = Arc::new(Standing(Mutex::new(Mark::START)));
    let mut options = Options::new(directory, [7; 16], MacKey::new(&[9; 32]), witness, expected, clock);
    options.segment_bytes = 256 << 10;
    // So that it is killed while it makes snapshots too, and while it removes what they cover.
    options.snapshot_after = 256 << 10;
    options
}

/// The child: eight writers count up, each under its own key, and tell every acknowledgement.
#[test]
#[ignore = "run by the other test, in a process that it kills"]
fn writes_until_killed() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let (store, _) = EmbeddedStore::open(options(directory.into(), Mark::START)).unwrap();
    thread::scope(|scope| {
        for writer in 0..8_u64 {
            let store = &store;
            scope.spawn(move || {
                let before = store.read(&key(writer)).unwrap();
                let from =
                    before.map_or(0, |record| u64::from_le_bytes(*record.value.first_chunk().unwrap()));
                for count in from + 1.. {
                    let value = count.to_le_bytes().repeat(1 + usize::try_from(count % 100).unwrap());
                    let mark = wait(store.commit(put(writer, &value))).unwrap();
                    let chain: String = mark.chain.iter().map(|byte| format!("{byte:02x}")).collect();
                    let line = format!("ack {writer} {count} {} {chain}\n", mark.sequence);
                    // Past the capture of the test harness, and in one write: a line is whole or not there.
                    io::stdout().lock().write_all(line.as_bytes()).unwrap();
                }
            });
        }
    });
}

fn mark(sequence: &str, chain: &str) -> Mark {
    let mut mark = Mark { sequence: sequence.parse().unwrap(), ..Mark::START };
    for (at, byte) in mark.chain.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&chain[2 * at..2 * at + 2], 16).unwrap();
    }
    mark
}

#[test]
fn nothing_acknowledged_is_lost_to_kill_9() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path().join("state");
    let mut counts = [0_u64; 8];
    for round in 0..10_usize {
        let child = "store::embedded::tests::kill::writes_until_killed";
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", child, "--ignored", "--nocapture", "--test-threads=1"])
            .env(DIRECTORY, &directory)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut expected = Mark::START;
        let mut acknowledged = 0;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            // The harness may have begun a line of its own.
            let Some((_, line)) = line.split_once("ack ") else { continue };
            let fields: Vec<&str> = line.split(' ').collect();
            let [writer, count, sequence, chain] = fields[..] else { panic!("{line}") };
            let writer: usize = writer.parse().unwrap();
            counts[writer] = counts[writer].max(count.parse().unwrap());
            let mark = mark(sequence, chain);
            if mark.sequence > expected.sequence {
                expected = mark;
            }
            acknowledged += 1;
            if acknowledged == 50 + round * 61 {
                // SIGKILL (std::process::Child::kill); what it wrote before is read to the end.
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(acknowledged >= 50, "the child did not get that far");
        let (store, _) = EmbeddedStore::open(options(directory.clone(), expected)).unwrap();
        for (writer, count) in counts.iter().enumerate() {
            let record = store.read(&key(writer as u64)).unwrap();
            let found = record.map_or(0, |record| u64::from_le_bytes(*record.value.first_chunk().unwrap()));
            assert!(found >= *count, "round {round}: writer {writer} was told {count} and finds {found}");
        }
    }
}
