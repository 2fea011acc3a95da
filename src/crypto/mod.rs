//! Cryptography: Fernet keys and place-bound sealing, MACs, the root keys and where they come from.
//!
//! The only layer that touches a cryptographic crate.
//!
//! Knows no org and no token.

pub mod age;
pub mod assertion;
pub mod digest;
pub mod fingerprint;
pub mod hex;
pub mod key;
pub mod key_list;
pub mod mac;
pub mod multi_fernet;
pub mod pkce;
pub mod random;
pub mod root_key;
pub mod seal;
pub mod webhook;
pub mod wrap;
