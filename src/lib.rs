//! tokenkeep: a hardened local daemon that keeps other people's OAuth tokens.
//!
//! Layers, top to bottom; imports point down only (`tests/architecture.rs`):
//! bin, doorman and egress, daemon and cli, transport, service, vault, audit and metrics, domain, store, crypto, net, then chain, clock, digits, lacking, os and room.

pub mod audit;
pub mod chain;
pub mod cli;
pub mod clock;
pub mod crypto;
pub mod daemon;
pub mod digits;
pub mod domain;
pub mod doorman;
pub mod egress;
pub mod lacking;
pub mod metrics;
pub mod net;
pub mod os;
pub mod room;
pub mod service;
pub mod store;
pub mod transport;
pub mod vault;
