//! Looks for secrets in the whole memory of another process, from outside: every region, the registers of every thread
//! through a core file, every encoding that a secret may stand in, and what cryptography makes of keys.
//!
//! The hard problem is a scan that finds nothing because it looks badly. The answer: `tests/leaks.rs` lets a program leak
//! each form in each place and demands that each is found, and whatever could not be read is in the report.
//!
//! Knows nothing of the program that it looks at, and never shows a secret: a report names needles.

mod core_file;
mod fresh;
mod index;
mod needle;
mod process;
mod report;
mod schedule;
mod stopped;
mod text;

pub use core_file::{CoreError, CoreFile};
pub use fresh::{fresh_bytes, fresh_text};
pub use needle::{Kind, Needles, Pattern};
pub use process::{Process, Through};
pub use report::{Hit, Place, Report, Unread};
pub use stopped::Stopped;

use index::Index;

/// Looks for these needles. Made once, used for many scans.
pub struct Scanner {
    needles: Needles,
    index: Index,
}

impl Scanner {
    /// Makes the needles ready to be looked for.
    #[must_use]
    pub fn new(needles: Needles) -> Self {
        let index = Index::new(needles.patterns());
        Self { needles, index }
    }

    /// Looks through bytes that are at hand: a file, a log.
    #[must_use]
    pub fn bytes(&self, name: &str, bytes: &[u8]) -> Report {
        let mut report = Report::default();
        let mut found = Vec::new();
        self.index.search(bytes, 0, &mut found);
        report.add(&self.needles, Place::File, name, found);
        report.read = bytes.len() as u64;
        report.settle()
    }
}
