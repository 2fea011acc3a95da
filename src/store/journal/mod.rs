//! The journal: every batch that was ever committed, in order; the truth of the store.
//!
//! The hard problem: one file cannot tell a tail that was cut off from a crash. The answer: each record carries
//! the audit log's durable head, and the audit log carries the journal's (docs/storage.md).
//!
//! Never rewrites what was acknowledged.

pub mod record;
pub mod segment;

pub mod walk;

pub(crate) mod tail;
pub(crate) mod writer;
