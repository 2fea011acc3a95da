//! One line that says how far something has come, for a person who waits.
//!
//! Never anything where stderr is no terminal.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget};

/// The line.
pub(super) struct Bar(ProgressBar);

impl Bar {
    /// Shown where there is a terminal, and text is asked for.
    pub(super) fn new(is_text: bool) -> Self {
        let is_seen = is_text && std::io::stderr().is_terminal();
        let target = if is_seen { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self(ProgressBar::with_draw_target(None, target))
    }

    pub(super) fn show(&self, words: &str) {
        self.0.set_message(words.to_owned());
        self.0.tick();
    }

    pub(super) fn end(&self) {
        self.0.finish_and_clear();
    }
}
