//! What is said to a provider: requests for tokens, each with the proof of who we are, and the question whether all of
//! that works.
//!
//! Never decides when to ask: that is the engine's.

pub mod check;
pub mod client_auth;
mod form;
pub mod token_request;
