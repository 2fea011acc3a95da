//! What is wrong with a configuration: where, what, and the mend.
//!
//! Never repeats a value of the file: somebody may have put a secret where a name belongs. Names of keys are
//! shown.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::daemon::exit::Exit;
use crate::os::private_file::PrivateFileError;

/// Why there is no configuration.
#[derive(Debug)]
pub enum ConfigError {
    /// The file or directory is not there, not readable, or others can change it.
    File(PrivateFileError),
    /// This build is for tests alone: it lacks these parts.
    LackingBuild(Vec<&'static str>),
    /// The daemon must not run as root.
    RootUser,
    /// What the file says is wrong.
    Text(Fault),
}

/// A fault in the text of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file.
    pub file: PathBuf,
    /// Line and column, from 1, where they are known. Columns count characters.
    pub at: Option<(usize, usize)>,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub mend: String,
}

impl ConfigError {
    /// The code to end with.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::File(
                PrivateFileError::Loose(..) | PrivateFileError::NotRegular(_) | PrivateFileError::Owner(..),
            )
            | Self::LackingBuild(_)
            | Self::RootUser => Exit::Unsafe,
            Self::File(_) | Self::Text(_) => Exit::Configuration,
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => write!(f, "configuration: {error}"),
            Self::LackingBuild(parts) => write!(
                f,
                "this build is for tests: it lacks {}; install one that was built without `dangerous-` features, \
                 or set environment = \"development\"",
                parts.join(", ")
            ),
            Self::RootUser => f.write_str(
                "the daemon does not run as root; give it a user of its own (User=tokenkeep in the systemd \
                 unit), or set environment = \"development\"",
            ),
            Self::Text(fault) => write!(f, "{fault}"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some((line, column)) = self.at {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}; {}", self.what, self.mend)
    }
}

impl std::error::Error for ConfigError {}

impl From<PrivateFileError> for ConfigError {
    fn from(error: PrivateFileError) -> Self {
        Self::File(error)
    }
}

/// The text and its name, to say where a fault is.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) file: &'a Path,
    pub(super) text: &'a str,
}

impl Source<'_> {
    /// A fault at these bytes of the text.
    pub(super) fn fault(
        self,
        span: &Range<usize>,
        what: impl Into<String>,
        mend: impl Into<String>,
    ) -> ConfigError {
        self.fault_at(Some(position(self.text, span.start)), what.into(), mend.into())
    }

    /// A fault of the file as a whole.
    pub(super) fn fault_without_place(self, what: &str, mend: &str) -> ConfigError {
        self.fault_at(None, what.into(), mend.into())
    }

    /// What the parser says, without the values that it quotes.
    pub(super) fn unreadable(self, error: &toml::de::Error) -> ConfigError {
        // A key that is missing has no place: the parser gives that of the whole table.
        let at = error.span().map(|span| position(self.text, span.start));
        self.fault_at(at, without_values(error.message()), "see docs/configuration.md".into())
    }

    fn fault_at(self, at: Option<(usize, usize)>, what: String, mend: String) -> ConfigError {
        ConfigError::Text(Fault { file: self.file.to_owned(), at, what, mend })
    }
}

/// Line and column of a byte, from 1.
pub(super) fn position(text: &str, offset: usize) -> (usize, usize) {
    let mut end = offset.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let before = &text[..end];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// Messages of `serde` quote what they found (`invalid type: string "…", expected …`); what comes after the
/// last `expected` is ours. Messages of `toml` itself, and those about keys, quote no value.
fn without_values(message: &str) -> String {
    let quotes = ["invalid length", "invalid type", "invalid value", "unknown variant"];
    if !quotes.iter().any(|start| message.starts_with(start)) {
        return message.lines().next().unwrap_or_default().to_owned();
    }
    match message.rsplit_once(", expected ") {
        Some((_, "u32" | "usize")) => "not what belongs here: expected a whole number".to_owned(),
        Some((_, expected)) => format!("not what belongs here: expected {expected}"),
        None => "not what belongs here".to_owned(),
    }
}
