//! The kit of the end-to-end tests: a real daemon in a room of its own, real sockets, real files.
//!
//! Never waits for a fixed time: everything is polled, with bounds that only a broken daemon reaches.

#![allow(unreachable_pub, reason = "shared by the modules of this test binary")]

pub mod configuration;
pub mod dowry;
pub mod entry;
pub mod files;
pub mod http;
pub mod http2;
pub mod line;
pub mod pki;
pub mod stranger;
pub mod tls;
pub mod tmpfs;
pub mod vault;

pub use configuration::{Client, Configuration};
pub use http::{Request, Response};
pub use line::{Line, over_each_protocol};
pub use vault::TestVault;

use std::time::{Duration, Instant};

/// Longer than anything takes on a machine that is merely slow.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks until there is an answer.
pub fn poll<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Says that a test could not be run here, and why. Past the capture of the test's own output: a test that passes
/// because it was not run must be seen.
pub fn skip(why: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "NOT RUN: {why}");
}

/// The user that the tests run as.
pub fn own_uid() -> u32 {
    nix::unistd::geteuid().as_raw()
}

pub fn is_root() -> bool {
    own_uid() == 0
}
