//! Client for tokenkeep, the token vault: asks the daemon on this host for a token that is valid now.
//!
//! Also the home of what both sides must agree on: identifiers, secret types, wire shapes and problem
//! codes. The daemon builds on these, so that the two cannot drift.
//!
//! Imports nothing of the daemon.

pub mod ids;
pub mod moment;
pub mod problem;
pub mod secret;
pub mod wire;
