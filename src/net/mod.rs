//! TLS, the only layer that touches it.
//!
//! Knows no org, no token and no client: it says what a certificate says, and others judge whom that means.

pub mod server;
