//! The kernel: the only layer that uses `nix`.
//!
//! Knows nothing of the vault.

pub mod activation;
pub mod exec;
pub mod hardening;
pub mod held;
pub mod host;
pub mod journal;
pub mod lock;
pub mod peer;
pub mod private_file;
pub mod service_manager;
pub mod socket;
pub mod space;
pub mod user;
