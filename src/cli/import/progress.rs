//! How an import is shown while it runs: a bar on a terminal, a line now and then elsewhere.
//!
//! Never writes to stdout.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::output::Screen;

/// How often it is spoken of where there is no terminal.
const SPEAK: Duration = Duration::from_secs(5);

/// Rows so far, and how fast they come in.
pub(super) enum Progress {
    Bar(ProgressBar),
    Lines { spoken_at: Instant },
}

impl Progress {
    pub(super) fn new(screen: &Screen) -> Self {
        if !screen.is_text() || !std::io::stderr().is_terminal() {
            return Self::Lines { spoken_at: Instant::now() };
        }
        // How many rows there are, a pipe does not say.
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {human_pos} rows, {per_sec}, {elapsed}") {
            bar.set_style(style);
        }
        Self::Bar(bar)
    }

    pub(super) fn advance(&mut self, rows: u64, screen: &Screen) {
        match self {
            Self::Bar(bar) => bar.set_position(rows),
            Self::Lines { spoken_at } if spoken_at.elapsed() >= SPEAK => {
                *spoken_at = Instant::now();
                screen.note(format!("importing: {rows} rows"));
            }
            Self::Lines { .. } => {}
        }
    }

    /// Prints something without tearing the bar.
    pub(super) fn aside(&self, print: impl FnOnce()) {
        match self {
            Self::Bar(bar) => bar.suspend(print),
            Self::Lines { .. } => print(),
        }
    }

    pub(super) fn end(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}
