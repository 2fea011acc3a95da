//! The daemon from end to end: the real program, real Unix sockets, real kills, and what is really on its disk.
//!
//! Runs as root and as an ordinary user. What only root can do (another user's process, a small file system)
//! is skipped elsewhere, and says so.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "tests say what they skip")]

mod api;
mod audit_faults;
mod backup;
mod canary;
mod client;
mod doorman;
mod egress;
mod errors;
mod full_disk;
mod grants;
mod http2_empty;
mod http2_rest;
mod import;
mod kit;
mod metrics;
mod misplaced;
mod mtls;
mod openapi;
mod pass;
mod providers;
mod refresh;
mod refused_early;
mod rekey;
mod root_key;
mod rotation;
mod sandbox;
mod service_manager;
mod slow_clients;
mod start_faults;
mod witnesses;
