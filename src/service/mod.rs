//! What the daemon does beside serving: one task each, each a principal of its own.

pub mod alerts;
pub mod authorization;
pub mod backup;
pub mod boot_lease;
pub mod idle_keys;
pub mod oauth;
pub mod org_rotation;
pub mod providers;
pub mod records;
pub mod refresh;
pub mod revocation;
pub mod rotation;
pub mod scrub;
pub mod timekeeping;
