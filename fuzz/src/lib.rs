//! What the fuzz targets do: each takes any bytes, and says what must hold of whatever becomes of them.
//!
//! The hard problem: that nothing panics is the least that a parser owes. The answer: each target asserts a round
//! trip (what was read is written again, and is the same), and the live connection asserts whose token went out.
//!
//! Never looks away: whatever does not hold stops the run.

mod configuration;
mod connection;
mod formats;
mod requests;
mod rows;
mod texts;

pub use configuration::configuration;
pub use connection::connection;
pub use formats::{audit_line, frame, journal_record, vault_record};
pub use requests::{query, request_body, route};
pub use rows::{import_field, import_rows};
pub use texts::{cgroup, destination, header, json_text, key_list, profile, revocation_list};

/// A Fernet key that guards nothing but what is made here.
pub const KEY: &str = "ZnV6emluZyBvbmx5LCBndWFyZHMgbm90aGluZyBhdCE=";

/// The environment of what is made here.
pub const ENVIRONMENT: &str = "development";
