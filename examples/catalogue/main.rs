//! Prints `docs/providers.md` from the catalogue of presets: `make catalogue`.
//!
//! Never read by the daemon.
#![allow(clippy::print_stdout, reason = "it prints")]

mod page;

fn main() {
    print!("{}", page::text());
}
