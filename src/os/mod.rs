//! The kernel: the only layer that uses `nix`.
//!
//! Knows nothing of the vault.

pub mod activation;
pub mod boottime;
pub mod crash;
pub mod descriptor;
pub mod doorman;
pub mod durable;
pub mod environment;
pub mod exec;
pub mod fault_points;
pub mod hardening;
pub mod held;
pub mod host;
pub mod identity;
pub mod journal;
pub mod limit;
pub mod lock;
pub mod memory;
pub mod peer;
pub mod private_file;
pub mod resolver;
pub mod sandbox;
pub mod service_manager;
pub mod signals;
pub mod socket;
pub mod space;
pub mod swap;
pub mod user;
pub mod wiping_allocator;
