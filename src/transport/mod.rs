//! HTTP/1.1 and HTTP/2 over the Unix sockets: routes, bodies, answers, deadlines.
//!
//! Every listener serves the same routes; what a caller may do is the vault's matter.
//!
//! Decides nothing, keeps nothing.

pub mod admin;
pub mod answer;
pub mod application;
mod authorization;
pub mod body;
pub mod connection;
mod connections;
mod exchange;
mod form;
pub mod listener;
pub mod operation;
mod passes;
pub mod paths;
pub mod pulse;
pub mod query;
pub mod route;
mod secrets;
mod tokens;
