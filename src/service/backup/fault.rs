//! Why a backup, a restore or a drill did not come about.
//!
//! Says which file or object, and never what is in it.

use std::fmt;
use std::io;
use std::path::Path;

use super::repository::RepositoryError;
use crate::crypto::age::AgeError;

/// Whose fault it is, and what happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackupError {
    /// There is nothing of what was asked for.
    Absent(String),
    /// What is there is not what was written: which, and how.
    Damaged(String),
    /// A file of this host cannot be read or written.
    Io(String),
    /// A key does not open what it should, or is missing.
    Keys(String),
    /// There is no room for another key.
    NoRoom,
    /// Where something was to be put, something else is.
    NotEmpty(String),
    /// The repository's own.
    Repository(RepositoryError),
}

impl BackupError {
    pub(super) fn io(path: &Path, why: &io::Error) -> Self {
        Self::Io(format!("{}: {why}", path.display()))
    }

    /// Writing what is on its way out.
    pub(super) fn spool(why: io::Error) -> Self {
        Self::Io(format!("what is to be shipped cannot be written down: {why}"))
    }

    /// Reading an object.
    pub(super) fn reading(name: &str, why: io::Error) -> Self {
        let repository = why.get_ref().and_then(|inner| inner.downcast_ref::<RepositoryError>());
        match repository {
            Some(why) => Self::Repository(why.clone()),
            None => Self::Damaged(format!("{name}: {why}")),
        }
    }

    /// Opening an object.
    pub(super) fn of_age(name: &str, why: AgeError) -> Self {
        match why {
            AgeError::Io(why) => Self::reading(name, why),
            AgeError::NotForUs => Self::Keys(format!("{name}: {}", AgeError::NotForUs)),
            why => Self::Damaged(format!("{name}: {why}")),
        }
    }

    /// In one word, for the audit log and alerts.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Absent(_) => "backup_absent",
            Self::Damaged(_) => "backup_damaged",
            Self::Io(_) | Self::NoRoom | Self::NotEmpty(_) => "backup_host",
            Self::Keys(_) => "backup_keys",
            Self::Repository(_) => "backup_repository",
        }
    }
}

impl fmt::Display for BackupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent(what)
            | Self::Damaged(what)
            | Self::Io(what)
            | Self::Keys(what)
            | Self::NotEmpty(what) => f.write_str(what),
            Self::NoRoom => f.write_str("there is no room for another key"),
            Self::Repository(why) => why.fmt(f),
        }
    }
}

impl std::error::Error for BackupError {}

impl From<RepositoryError> for BackupError {
    fn from(why: RepositoryError) -> Self {
        Self::Repository(why)
    }
}

impl From<AgeError> for BackupError {
    fn from(why: AgeError) -> Self {
        match why {
            AgeError::Io(why) => Self::spool(why),
            why => Self::Io(why.to_string()),
        }
    }
}
