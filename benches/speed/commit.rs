//! Durable commits: through the store, and through the whole daemon, against one writer's append and fdatasync.
//!
//! Never counts a commit before it was answered for.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokenkeep::chain::Mark;
use tokenkeep::clock::SystemClock;
use tokenkeep::crypto::mac::MacKey;
use tokenkeep::store::embedded::{EmbeddedStore, Options};
use tokenkeep::store::journal::record;
use tokenkeep::store::{Batch, Change, Key, Store, Witness};

use super::Extent;
use super::daemon::Daemon;
use super::load::Until;
use super::report::{Table, against, median};
use super::request::Act;

const WRITERS: [usize; 3] = [1, 8, 64];
/// Of the store, where 64 write.
const GOAL: f64 = 8.0;
/// About what a connection takes, sealed.
const VALUE: usize = 900;

/// There is no audit log behind the store here.
struct NoLog;

impl Witness for NoLog {
    fn durable_head(&self) -> Mark {
        Mark::START
    }
}

/// Measures and prints.
pub(crate) fn measure(extent: Extent) {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let vault = [7; 16];
    let options = Options::new(
        directory.path().to_owned(),
        vault,
        MacKey::new(&[7; 32]),
        Arc::new(NoLog),
        Mark::START,
        Arc::new(SystemClock),
    );
    let (store, _) = EmbeddedStore::open(options).expect("a store");
    let store = Arc::new(store);
    let daemon = Daemon::start();
    daemon.fill(extent.keys.min(2_000));
    let mut bare = Vec::new();
    let mut stores = WRITERS.map(|_| Vec::new());
    let mut daemons = WRITERS.map(|_| Vec::new());
    for round in 0..extent.rounds {
        bare.push(append_and_sync(directory.path(), round, extent.turn));
        for (at, writers) in WRITERS.into_iter().enumerate() {
            stores[at].push(commit(&store, writers, extent.turn));
            let plan = daemon.plan(Act::Put, writers, extent.keys.min(2_000), Until::Elapsed(extent.turn));
            daemons[at].push(plan.run().per_second);
        }
    }
    let bare = median(bare);
    let mut table = Table::new(
        "durable commits, against one writer's append + fdatasync of as many bytes",
        &["writers", "what", "against the loop", "goal", "a second"],
    );
    table.row(vec![
        "1".into(),
        "append + fdatasync".into(),
        "1.00".into(),
        String::new(),
        format!("{bare:.0}"),
    ]);
    for (name, all) in [("store", stores), ("PUT through the daemon", daemons)] {
        for (writers, figures) in WRITERS.into_iter().zip(all) {
            let per_second = median(figures);
            let goal = (name == "store" && writers == 64).then_some(GOAL);
            let [ratio, verdict] = against(per_second / bare, goal);
            table.row(vec![writers.to_string(), name.into(), ratio, verdict, format!("{per_second:.0}")]);
        }
    }
    table.print();
    store.close();
}

fn batch(number: u64) -> Batch {
    let mut key = [3; 33];
    key[1..9].copy_from_slice(&number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
    Batch {
        preconditions: Vec::new(),
        changes: vec![Change::Put(Key(key), vec![7; VALUE])],
        note: vec![7; 160],
    }
}

fn append_and_sync(directory: &Path, round: usize, turn: Duration) -> f64 {
    let mut file = File::create(directory.join(format!("bare-{round}"))).expect("a file");
    let bytes = vec![7; record::length(&batch(0))];
    let (begun, mut count) = (Instant::now(), 0_u32);
    while begun.elapsed() < turn {
        file.write_all(&bytes).and_then(|()| file.sync_data()).expect("the disk takes it");
        count += 1;
    }
    f64::from(count) / begun.elapsed().as_secs_f64()
}

fn commit(store: &Arc<EmbeddedStore>, writers: usize, turn: Duration) -> f64 {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let committed = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    runtime.block_on(async {
        let tasks = (0..writers).map(|writer| {
            let (store, committed) = (Arc::clone(store), Arc::clone(&committed));
            tokio::spawn(async move {
                let mut number = (writer as u64) << 32 | u64::from(begun.elapsed().subsec_nanos());
                while begun.elapsed() < turn {
                    number += 1;
                    store.commit(batch(number)).await.expect("durable");
                    committed.fetch_add(1, Ordering::Relaxed);
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.expect("ends");
        }
    });
    committed.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64()
}
