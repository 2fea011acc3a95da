//! Where the root keys come from: a source that gives the text of the key list, and the patience to wait for it.
//!
//! The hard problem: at boot the secret manager may be away, and waiting helps; but no waiting mends a file
//! that others can read. The answer: an error says which of the two it is, and only the first is tried again.
//!
//! Never keeps the text, never looks into it, never writes it anywhere.

pub mod aws;
pub mod credential;
pub mod exec;
pub mod file;
pub mod json;
pub mod openbao;
pub mod patience;
pub mod reach;
pub mod remote;

use std::fmt;

use zeroize::Zeroizing;

pub use reach::Reach;

/// Most that a key list may have: over a thousand Fernet keys.
pub const LONGEST_LIST: usize = 64 * 1024;

/// A source of the text of the key list.
pub trait RootKeySource: Send + Sync {
    /// Reads the text, once. May block up to a deadline of its own.
    ///
    /// # Errors
    /// See [`SourceError`].
    fn read(&self) -> Result<Zeroizing<Vec<u8>>, SourceError>;

    /// What reading it once more touches, for a sandbox to leave open.
    fn reach(&self) -> Reach;

    /// Names the source for logs and reports; says nothing of the key.
    fn describe(&self) -> String;
}

/// Why there is no key list. Never carries bytes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceError {
    /// It is not safe to use: others can get at it. Trying again is of no use.
    Refused {
        /// What is wrong.
        what: String,
        /// What to do.
        mend: String,
        /// In one word, for the audit log.
        reason: &'static str,
    },
    /// The source is not there yet, or failed in passing.
    Retryable {
        /// What happened.
        what: String,
        /// What to do if it stays so.
        mend: String,
        /// In one word, for the audit log.
        reason: &'static str,
    },
    /// It cannot be what was meant: a wrong path, no credential, something far too large. Trying again is of no
    /// use.
    Unusable {
        /// What is wrong.
        what: String,
        /// What to do.
        mend: String,
        /// In one word, for the audit log.
        reason: &'static str,
    },
}

impl SourceError {
    fn refused(what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::Refused { what: what.into(), mend: mend.into(), reason: "source_refused" }
    }

    fn retryable(what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::Retryable { what: what.into(), mend: mend.into(), reason: "source_unavailable" }
    }

    fn unusable(what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::Unusable { what: what.into(), mend: mend.into(), reason: "source_unusable" }
    }

    /// With a closer reason.
    fn because(mut self, closer: &'static str) -> Self {
        match &mut self {
            Self::Refused { reason, .. } | Self::Retryable { reason, .. } | Self::Unusable { reason, .. } => {
                *reason = closer;
            }
        }
        self
    }

    /// In one word, for the audit log.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Refused { reason, .. } | Self::Retryable { reason, .. } | Self::Unusable { reason, .. } => {
                reason
            }
        }
    }

    /// Whether it was refused for safety.
    #[must_use]
    pub fn is_unsafe(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }

    /// Whether waiting may help.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Retryable { .. })
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { what, mend, .. }
            | Self::Retryable { what, mend, .. }
            | Self::Unusable { what, mend, .. } => {
                write!(f, "{what}; {mend}")
            }
        }
    }
}

impl std::error::Error for SourceError {}

#[cfg(test)]
mod tests;
