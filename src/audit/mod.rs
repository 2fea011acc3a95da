//! What happened here: an append-only, hash-chained log (docs/audit-format.md).
//!
//! The hard problem: it stands in the way of every read, so it must cost about a microsecond, and still no line
//! may be changed, dropped or cut off unnoticed. The answer: each line is authenticated over the line before it
//! and written, not synced, before a read is released; changes wait for a sync that they share; the journal
//! witnesses the durable head.
//!
//! Never holds a secret; never lets an operation pass that it could not write down.

pub mod entry;
mod gathering;
pub mod line;
mod log;
mod query;
mod recovery;
mod segment;
mod shipping;
mod stamp;
mod syncer;
mod verify;
mod walk;
mod writer;

pub use gathering::Gathered;
pub use log::{AuditError, Health, Log, OpenError, Opened, Options, State, Sync, Torn};
pub use query::{Filter, Page};
pub use shipping::{Durable, Stretch, cut};
pub use verify::{Verified, VerifyError, verify};
pub use walk::{Break, BreakKind, ReadError};

#[cfg(test)]
mod tests;
