//! TLS and HTTP towards other hosts, in both directions.
//!
//! The only layer that touches a network's bytes.
//!
//! Knows no key of the vault, no org, no token and no client: it says what a certificate says and carries bytes, and
//! others judge what that means.

pub mod address;
pub mod connection;
pub mod destination;
pub mod egress;
pub mod outbound;
pub mod server;
pub mod wiped_io;
