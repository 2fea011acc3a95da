//! TLS and HTTP towards other hosts.
//!
//! The only layer that speaks to a network.
//!
//! Knows no key, no org and no token: what it carries is bytes.

pub mod outbound;
