//! Moving in, from end to end: ciphertexts that Python made, in a real PostgreSQL, through the pipe of
//! docs/moving-in.md into a real daemon, with kills on the way; and the recipes of that page, run as they stand.
//!
//! `TOKENKEEP_TEST_PYTHON` is a Python with `cryptography`, Django, SQLAlchemy and psycopg (see the Makefile);
//! `TOKENKEEP_IMPORT_ROWS` says how many rows, 3,000 where it is not set.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(clippy::print_stderr, reason = "rates are printed")]

#[path = "../crash/daemon.rs"]
mod daemon;
mod moving;
mod postgres;
mod recipes;

/// The Python of the tests.
fn python() -> String {
    std::env::var("TOKENKEEP_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned())
}
