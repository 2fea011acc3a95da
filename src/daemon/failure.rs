//! Why the daemon ends otherwise than asked.

use std::fmt::Display;

use super::exit::Exit;

/// The code, and one line that says what to do.
pub(super) struct Failure {
    pub(super) exit: Exit,
    pub(super) line: String,
}

impl Failure {
    pub(super) fn new(exit: Exit, why: &dyn Display) -> Self {
        Self { exit, line: why.to_string() }
    }
}
