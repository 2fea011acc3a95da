//! What happened here: an append-only, hash-chained log.

pub mod entry;
