//! HTTP/1.1 and HTTP/2 over the Unix sockets and over mTLS: routes, bodies, answers, deadlines.
//!
//! Every listener serves the same routes; what a caller may do is the vault's matter.
//!
//! Decides nothing, keeps nothing.

pub mod admin;
pub mod answer;
pub mod application;
mod authorization;
mod authorizations;
pub mod begun;
pub mod body;
mod ciphertexts;
pub mod connection;
mod connections;
mod consents;
mod exchange;
mod form;
mod handshakes;
mod import;
mod keys;
pub mod listener;
pub mod operation;
mod passes;
pub mod paths;
pub mod piece;
mod places;
pub mod pulse;
pub mod query;
mod release;
pub mod route;
mod secrets;
pub mod standing;
mod tokens;
pub mod turnover;
