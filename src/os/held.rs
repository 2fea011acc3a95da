//! Where a secret of ours is held that proves who we are: a file or a systemd credential, never the configuration.
//!
//! The hard problem: a client secret is needed for every refresh, all day, and must not lie in memory all day. The
//! answer: what is kept is the place; the secret is read for each use, from a file that is judged each time, and
//! wiped after it. One that was renewed in between is found.
//!
//! Never reads a file that others can read.

use std::fmt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::private_file::{self, PrivateFileError};

/// Names the directory of the unit's credentials (systemd.exec(5)).
const DIRECTORY_VARIABLE: &str = "CREDENTIALS_DIRECTORY";

/// Where a secret of ours is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Held {
    /// The systemd credential of this name: one path component.
    Credential(String),
    /// The file at this absolute path.
    File(PathBuf),
}

/// Why there is no secret. Never carries bytes of it.
#[derive(Debug)]
pub enum HeldError {
    /// The file's own.
    File(PrivateFileError),
    /// systemd gave the daemon no credentials at all; the name of the one that is needed.
    NoCredentials(String),
}

impl Held {
    /// Reads it, whole: so many bytes at the most.
    ///
    /// # Errors
    /// See [`HeldError`].
    pub fn read(&self, most: usize) -> Result<Zeroizing<Vec<u8>>, HeldError> {
        match self {
            Self::Credential(name) => {
                let directory = std::env::var_os(DIRECTORY_VARIABLE).map(PathBuf::from);
                let directory = directory.filter(|directory| directory.is_absolute());
                let directory = directory.ok_or_else(|| HeldError::NoCredentials(name.clone()))?;
                private_file::read_credential(&directory.join(name), most).map_err(HeldError::File)
            }
            Self::File(path) => private_file::read(path, most).map_err(HeldError::File),
        }
    }

    /// The file, where it is one that the configuration names.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Credential(_) => None,
            Self::File(path) => Some(path),
        }
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Credential(name) => write!(f, "systemd credential {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
        }
    }
}

impl HeldError {
    /// Whether it was refused for safety: others may have read it.
    #[must_use]
    pub fn is_unsafe(&self) -> bool {
        matches!(
            self,
            Self::File(
                PrivateFileError::Loose(..) | PrivateFileError::NotRegular(_) | PrivateFileError::Owner(..)
            )
        )
    }
}

impl fmt::Display for HeldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(why) => write!(f, "{why}; {}", mend(why)),
            Self::NoCredentials(name) => write!(
                f,
                "{DIRECTORY_VARIABLE} is not set, so systemd gave no credential; set LoadCredential={name}:PATH \
                 in the systemd unit"
            ),
        }
    }
}

impl std::error::Error for HeldError {}

fn mend(why: &PrivateFileError) -> &'static str {
    match why {
        PrivateFileError::Absent(_) => "put it there, with mode 0600, owned by the daemon's user",
        PrivateFileError::Io(..) => "see that the daemon's user can read it, and that the disk is well",
        PrivateFileError::Loose(..) => "then have the provider issue a new one, for others may have read it",
        PrivateFileError::NotRegular(_) => "name the file itself, not a link to it",
        PrivateFileError::Owner(..) => "give it mode 0600 too",
        PrivateFileError::TooLarge(..) => "it must hold the secret and nothing else",
    }
}
