//! Providers: what is configured and known of them, and whether a real OAuth server accepts how we prove ourselves.

mod catalogue;
mod check;
mod scopes;
mod secrets;
mod server;
mod shown;
