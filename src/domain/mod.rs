//! Org, connection, token, policy: the rules, pure.
//!
//! Never reads the clock, never touches a file, a socket or a key.

pub mod action;
pub mod authorization;
pub mod event;
pub mod identity;
pub mod pass;
pub mod policy;
pub mod principal;
pub mod provider;
pub mod rate;
pub mod refresh;
pub mod revocation;
pub mod san;
pub mod token_set;
