//! Prints the description of the API for machines (OpenAPI 3.1), from the table that serves it and the shapes on the
//! wire: `docs/openapi.json`, and with the argument `admin`, `docs/openapi-admin.json`.
//!
//! An example and not a program: what is installed does not carry it.
#![allow(clippy::expect_used, reason = "it describes itself to its own developers, who read the panic")]
#![allow(clippy::print_stdout, reason = "its purpose")]

mod document;
mod problems;
mod samples;
mod shapes;

fn main() {
    let side = match std::env::args().nth(1).as_deref() {
        Some("admin") => document::Side::Admin,
        _ => document::Side::Application,
    };
    print!("{}", document::text(side));
}
