//! The contract, story by story, each over HTTP/1.1 and over HTTP/2.

mod application_keys;
mod batch;
mod connections;
mod crypt;
mod orgs;
mod secrets;
mod state;
mod tokens;
