//! What an entry costs: `cargo test --release --lib audit::tests::speed -- --ignored --nocapture`.
//!
//! Never asserts a time.

use std::time::Instant;

use super::*;
use crate::clock::SystemClock;

#[test]
#[ignore = "a measurement"]
fn an_entry_costs() {
    let kit = Kit::new();
    for threads in [1, 2, 4] {
        let options = Options { clock: Arc::new(SystemClock), ..kit.options() };
        let (log, _) = Log::open(options).unwrap();
        let each = 400_000 / threads;
        let began = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    let principal = asked_by("billing.service");
                    for _ in 0..each {
                        log.append(&read_of(&principal, "0193f2c4-7d1e-7a30-b1c5-5f0e6f9a2b11")).unwrap();
                    }
                });
            }
        });
        let taken = began.elapsed();
        let nanos = taken.as_nanos() / 400_000;
        eprintln!("{threads} threads: {nanos} ns an entry, {} a second", 1_000_000_000 / nanos);
        let began = Instant::now();
        let verified = log.verify().unwrap();
        eprintln!("verify: {} entries in {:?}", verified.entries, began.elapsed());
    }
    let began = Instant::now();
    drop(Log::open(kit.options()).unwrap());
    eprintln!("open: {:?}", began.elapsed());
}

#[test]
#[ignore = "a measurement"]
fn a_durable_entry_costs() {
    let kit = Kit::new();
    let (log, _) = kit.open();
    let log = Arc::new(log);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    for writers in [1, 8, 64] {
        let each = 6_400 / writers;
        let began = Instant::now();
        runtime.block_on(async {
            let tasks: Vec<_> = (0..writers)
                .map(|_| {
                    let log = Arc::clone(&log);
                    tokio::spawn(async move {
                        let principal = asked_by("billing.service");
                        for _ in 0..each {
                            log.append_durable(&read_of(&principal, "r")).await.unwrap();
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
        eprintln!(
            "{writers} writers: {:.0} durable entries a second",
            6_400.0 / began.elapsed().as_secs_f64()
        );
    }
}
