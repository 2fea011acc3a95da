//! What the daemon does beside serving: one task each, each a principal of its own.

pub mod idle_keys;
pub mod oauth;
pub mod providers;
pub mod records;
pub mod refresh;
pub mod rotation;
pub mod timekeeping;
