//! Cryptography: Fernet keys and place-bound sealing, MACs, the root keys and where they come from.
//!
//! The only layer that touches a cryptographic crate.
//!
//! Knows no org and no token.

pub mod key;
pub mod mac;
