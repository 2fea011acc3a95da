//! How fast it is: `cargo bench --bench speed -- [read] [flood] [commit] [seal] [reseal] [hygiene] [queue] [disk]`, all of them where none is named.
//!
//! The hard problem: a figure of one machine and one moment says nothing about another. The answer: each figure
//! stands beside a yardstick that was measured in the same run, in turns with it, and the ratio comes first.
//! `BENCH=short` only shows that it works: its figures mean nothing. Where others use the machine too,
//! `chrt --rr 10` before it keeps them off the two cores (sched(7); root); not `--fifo`: threads of sled wait for each other spinning.
//!
//! Never measures less than users run: the real daemon, with audit, policy and every check on.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints what it finds, and stops where it cannot go on"
)]

mod address;
mod bare;
mod commit;
mod daemon;
mod disk;
mod flood;
mod handshake;
mod hygiene;
mod least;
mod load;
mod process;
mod queue;
mod read;
mod report;
mod request;
mod reseal;
mod seal;
mod tls;

use std::time::{Duration, Instant};

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    /// Of one turn of one candidate.
    turn: Duration,
    /// Turns of each; the median counts.
    rounds: usize,
    /// Connections in the vault.
    keys: u32,
}

impl Extent {
    /// Whether it is only to be seen that it works.
    fn is_short(self) -> bool {
        self.rounds == 1
    }

    fn of_environment() -> Self {
        match std::env::var("BENCH").as_deref() {
            Ok("short") => {
                println!("BENCH=short: it works, and the figures mean nothing");
                Self { turn: Duration::from_millis(200), rounds: 1, keys: 2_000 }
            }
            _ => Self { turn: Duration::from_millis(1500), rounds: 3, keys: 100_000 },
        }
    }
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    match words.first().map(String::as_str) {
        Some("serve-bare") => return bare::serve(&words[1..]),
        Some("serve-least") => return least::serve(&words[1..]),
        Some("strangers") => return flood::run_as_process(&words[1..]),
        Some("load") => return load::run_as_process(&words[1..]),
        _ => {}
    }
    let begun = Instant::now();
    let extent = Extent::of_environment();
    let wanted = |name: &str| words.is_empty() || words.iter().any(|word| word == name);
    if wanted("read") {
        read::measure(extent);
    }
    if wanted("flood") {
        flood::measure(extent);
    }
    if wanted("commit") {
        commit::measure(extent);
    }
    if wanted("seal") {
        seal::measure(extent);
    }
    if wanted("reseal") {
        reseal::measure(extent);
    }
    if wanted("hygiene") {
        hygiene::measure(extent);
    }
    if wanted("queue") {
        queue::measure(extent);
    }
    if wanted("disk") {
        disk::measure(extent);
    }
    println!("\n{:.0} s in all", begun.elapsed().as_secs_f64());
}
