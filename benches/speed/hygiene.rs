//! What it costs that plaintext does not stay in memory and the process is walled in: the daemon against a build of it
//! that lacks all of that (the feature `dangerous-without-hygiene`).
//!
//! The hard problem: the two differ by less than a machine does from one second to the next. The answer: both stand
//! ready at once, their turns follow each other, now one first and now the other, and each pair gives a ratio of its
//! own; the middle one counts.
//!
//! Never builds beside the target directory that tests use, and never builds for the short form.

use std::path::PathBuf;
use std::process::Command;

use super::Extent;
use super::daemon::Daemon;
use super::load::{Load, Until};
use super::report::{Table, against, median};
use super::request::Act;

const CROWDS: [usize; 2] = [8, 64];
/// Throughput with everything on, against the same build with everything off.
const GOAL: f64 = 0.80;
/// Names a daemon that was built with the feature, instead of building one.
const BUILT: &str = "TOKENKEEP_BENCH_WITHOUT_HYGIENE";

/// Measures and prints.
pub(crate) fn measure(extent: Extent) {
    let Some(without) = program(extent) else {
        println!(
            "\nNOT RUN: the cost of hygiene; {BUILT} names no daemon built with dangerous-without-hygiene"
        );
        return;
    };
    let (on, off) = (Daemon::start(), Daemon::start_program(&without));
    on.fill(extent.keys);
    off.fill(extent.keys);
    let columns =
        ["connections", "build", "on against off", "goal", "req/s", "p50 us", "p99 us", "server CPU us"];
    let mut table =
        Table::new("token read over the Unix socket, memory hygiene and sandbox on and off", &columns);
    for connections in CROWDS {
        let run = |daemon: &Daemon| {
            daemon.plan(Act::Read, connections, extent.keys, Until::Elapsed(extent.turn)).run()
        };
        let pairs: Vec<(Load, Load)> = (0..2 * extent.rounds)
            .map(|round| {
                let sooner = round.is_multiple_of(2).then(|| run(&on));
                let off = run(&off);
                (sooner.unwrap_or_else(|| run(&on)), off)
            })
            .collect();
        let ratio = median(pairs.iter().map(|(on, off)| on.per_second / off.per_second).collect());
        let [ratio, verdict] = against(ratio, Some(GOAL));
        table.row(row(connections, "on", [ratio, verdict], pairs.iter().map(|(on, _)| on).collect()));
        let yardstick = ["1.00".into(), String::new()];
        table.row(row(connections, "off", yardstick, pairs.iter().map(|(_, off)| off).collect()));
    }
    table.print();
    on.stop();
    off.stop();
}

fn row(connections: usize, build: &str, [ratio, verdict]: [String; 2], loads: Vec<&Load>) -> Vec<String> {
    let of = |figure: fn(&Load) -> f64| median(loads.iter().map(|load| figure(load)).collect());
    vec![
        connections.to_string(),
        build.into(),
        ratio,
        verdict,
        format!("{:.0}", of(|load| load.per_second)),
        format!("{:.1}", of(|load| load.p50_us)),
        format!("{:.1}", of(|load| load.p99_us)),
        format!("{:.2}", of(|load| load.cpu_us)),
    ]
}

/// The daemon without hygiene: the one that was named, or one that is built now.
fn program(extent: Extent) -> Option<PathBuf> {
    if let Some(named) = std::env::var_os(BUILT) {
        return Some(named.into());
    }
    if extent.is_short() {
        return None;
    }
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/without-hygiene");
    println!("\nbuilding the daemon without hygiene into {}", directory.display());
    let built = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["build", "--release", "--locked", "--bin", "tokenkeepd"])
        .args(["--features", "dangerous-without-hygiene", "--target-dir"])
        .arg(&directory)
        .status()
        .expect("cargo runs");
    assert!(built.success(), "the daemon without hygiene does not build");
    Some(directory.join("release/tokenkeepd"))
}
