//! The store against what befalls disks: power that goes, files that are damaged, calls that fail.
//!
//! Each test has a short form, which is part of `make test`, and a long one with a target of its own; each prints a table.
//!
//! Never judges by what the daemon says of itself alone: what was acknowledged is in a ledger, and read back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "tests")]

#[path = "../crash/audited.rs"]
mod audited;
#[path = "../crash/chance.rs"]
mod chance;
#[path = "../crash/daemon.rs"]
mod daemon;
mod damage;
mod disk;
mod faults;
#[path = "../crash/ledger.rs"]
mod ledger;
mod power_cut;
mod real;
#[path = "../crash/writer.rs"]
mod writer;

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}
