//! What this program says: one line on stderr, which systemd takes to the journal.
//!
//! Never more than the host, what became of it, and how long it took.

use std::io::Write;

/// Says it.
pub(super) fn say(line: &str) {
    drop(std::io::stderr().write_all(format!("tokenkeep-egress: {line}\n").as_bytes()));
}
