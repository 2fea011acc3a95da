//! What is printed, and how. The rules:
//!
//! 1. stdout carries the answer and nothing else; stderr carries notes, questions, progress and errors.
//! 2. Text is for people and may change. With `--output json` stdout is one JSON document on one line, whose
//!    fields are only ever added to; `audit tail --follow` prints one entry a line.
//! 3. An error is two lines, `error:` what happened and `mend:` what to do about it; in JSON mode it is
//!    `{"error":{"code","detail","mend","request_id"?}}`, on stderr too.
//! 4. Exit codes: 0 done, 1 refused or failed here, 2 the daemon failed or is not ready, 64 usage.
//! 5. No colours. A progress bar only where stderr is a terminal, and only in text mode.
//! 6. Text from elsewhere never drives the terminal: control characters are shown as escapes.
//! 7. A reader that goes away (`| head`) ends the output without a word and changes no exit code.
//!
//! Never prints a secret but the key that `key generate` was asked for.

use std::ffi::OsString;
use std::fmt::{self, Display, Write as _};
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::ValueEnum;
use serde::Serialize;
use zeroize::Zeroizing;

use super::failure::Failure;

/// How the answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// One document.
    Json,
    /// For people.
    Text,
}

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// What was asked is done.
    Done = 0,
    /// Refused, or failed on this side.
    Refused = 1,
    /// The daemon failed, is not ready or is not there.
    Daemon = 2,
    /// The command line is wrong (EX_USAGE of sysexits.h).
    Usage = 64,
}

/// stdout, and the notes beside it.
pub(super) struct Screen {
    format: Format,
    broken: Option<io::ErrorKind>,
}

/// Text in which nothing drives a terminal.
pub(super) struct Plain<T>(pub(super) T);

impl Format {
    /// The format asked for in a command line that may not parse.
    pub(super) fn in_args(args: &[OsString]) -> Self {
        let apart = args.windows(2).any(|pair| pair[0] == "--output" && pair[1] == "json");
        if apart || args.iter().any(|arg| arg == "--output=json") { Self::Json } else { Self::Text }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Screen {
    pub(super) fn new(format: Format) -> Self {
        Self { format, broken: None }
    }

    pub(super) fn is_text(&self) -> bool {
        self.format == Format::Text
    }

    /// Whether nobody reads any more.
    pub(super) fn is_closed(&self) -> bool {
        self.broken.is_some()
    }

    /// The answer: the document, or these lines about it.
    pub(super) fn show<T: Serialize, L: Display>(&mut self, shape: &T, text: impl FnOnce(&T) -> Vec<L>) {
        match self.format {
            Format::Json => self.document(shape),
            Format::Text => text(shape).iter().for_each(|line| self.line(line)),
        }
    }

    /// A table of text; the document otherwise.
    pub(super) fn show_table<T: Serialize, const N: usize>(
        &mut self,
        shape: &T,
        head: [&str; N],
        rows: impl FnOnce(&T) -> Vec<[String; N]>,
    ) {
        self.show(shape, |shape| aligned(head, &rows(shape)));
    }

    /// One document on one line.
    pub(super) fn document<T: Serialize>(&mut self, shape: &T) {
        match serde_json::to_string(shape) {
            Ok(json) => self.write(&json),
            Err(_) => self.broken = Some(io::ErrorKind::InvalidData),
        }
    }

    /// A text of this program's own, as it is, in either format.
    pub(super) fn page(&mut self, text: &[u8]) {
        self.write(String::from_utf8_lossy(text).trim_end());
    }

    /// One line of text.
    pub(super) fn line(&mut self, text: impl Display) {
        self.write(&Plain(text).to_string());
    }

    /// A word beside the answer, for people.
    pub(super) fn note(&self, text: impl Display) {
        if self.is_text() {
            complain(&Plain(text));
        }
    }

    /// Whether all of the answer was written.
    pub(super) fn finish(self) -> Result<(), Failure> {
        match self.broken {
            None | Some(io::ErrorKind::BrokenPipe) => Ok(()),
            Some(kind) => Err(Failure::here("output", format!("stdout cannot be written: {kind}"))),
        }
    }

    fn write(&mut self, line: &str) {
        if self.broken.is_none() {
            // One piece that ends as a line: stdout passes it on as it is. In parts it would keep it in a buffer of its
            // own, until the program ends, and it may be a key.
            let mut whole = Zeroizing::new(String::with_capacity(line.len() + 1));
            whole.push_str(line);
            whole.push('\n');
            let mut stdout = io::stdout().lock();
            let written = stdout.write_all(whole.as_bytes()).and_then(|()| stdout.flush());
            self.broken = written.err().map(|error| error.kind());
        }
    }
}

impl<T: Display> Display for Plain<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.to_string().chars().try_for_each(|character| match character {
            character if character.is_control() => write!(f, "{}", character.escape_default()),
            character => f.write_char(character),
        })
    }
}

/// Writes a line to stderr. Where that is gone too, the exit code has to do.
pub(super) fn complain(line: &impl Display) {
    drop(writeln!(io::stderr(), "{line}"));
}

/// What may be missing, for a table.
pub(super) fn or_dash(value: Option<impl Display>) -> String {
    value.map_or_else(|| "-".into(), |value| value.to_string())
}

fn aligned<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> Vec<String> {
    let mut widths = head.map(str::len);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: [&str; N]| {
        let mut line = String::new();
        for (cell, width) in cells.iter().zip(widths) {
            // A String takes whatever is written to it.
            let _ = write!(line, "{cell:width$}  ");
        }
        line.trim_end().to_owned()
    };
    std::iter::once(line(head))
        .chain(rows.iter().map(|row| line(row.each_ref().map(String::as_str))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_as_wide_as_its_widest_cell() {
        let rows = [["a".to_owned(), "1".to_owned()], ["longer".to_owned(), "-".to_owned()]];
        assert_eq!(aligned(["ORG", "N"], &rows), ["ORG     N", "a       1", "longer  -"]);
    }

    #[test]
    fn text_from_elsewhere_does_not_drive_the_terminal() {
        assert_eq!(Plain("a\u{1b}[2Jb\nc\u{9b}ä").to_string(), "a\\u{1b}[2Jb\\nc\\u{9b}ä");
    }
}
