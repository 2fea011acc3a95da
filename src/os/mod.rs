//! The kernel: the only layer that uses `nix`.
//!
//! Knows nothing of the vault.

pub mod lock;
pub mod peer;
pub mod space;
