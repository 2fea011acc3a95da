//! What lies in the memory of the daemon: looked at from outside, by `tests/scanner`, while it serves, when it is idle, and
//! in a core file.
//!
//! The daemon is that of this build, or of `TOKENKEEP_TEST_DAEMON`. Reading the memory of a process that is not dumpable
//! takes root; what cannot be looked at is said to be not run.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "tests say what they found and what they skip")]

mod canaries;
mod crashed;
mod hammered;
mod keys;
#[allow(dead_code, unused_imports, reason = "shared with the end-to-end tests, which use the rest")]
#[path = "../daemon/kit/mod.rs"]
mod kit;
mod load;
mod mixture;
mod panicked;
mod piped;
#[allow(dead_code, reason = "shared with the tests of refreshing, which use the rest")]
#[path = "../daemon/refresh/provider.rs"]
mod provider;
mod refreshed;
mod root;
mod served;
mod survey;
mod swapped;
mod without;
