//! Root keys from a file that is the daemon's alone.
//!
//! For a file that somebody else puts there at boot (an init container, a mounted tmpfs); one that is not there
//! yet is waited for.
//!
//! Never reads a file that others can read.

use std::path::PathBuf;

use zeroize::Zeroizing;

use super::{LONGEST_LIST, RootKeySource, SourceError};
use crate::os::private_file::{self, PrivateFileError};

/// The file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSource {
    path: PathBuf,
}

impl FileSource {
    /// The file at `path`.
    ///
    /// # Errors
    /// The path is relative.
    pub fn new(path: PathBuf) -> Result<Self, SourceError> {
        if path.is_absolute() {
            return Ok(Self { path });
        }
        Err(SourceError::Refused {
            what: "the path of the root key file is relative".into(),
            mend: "write it from the root directory on".into(),
        })
    }
}

impl RootKeySource for FileSource {
    fn read(&self) -> Result<Zeroizing<Vec<u8>>, SourceError> {
        private_file::read(&self.path, LONGEST_LIST).map_err(|error| match error {
            PrivateFileError::Absent(_) => SourceError::Retryable {
                what: format!("root key: {error}"),
                mend: "put the key list there, with mode 0600, owned by the daemon's user".into(),
            },
            error => refused(&error),
        })
    }

    fn describe(&self) -> String {
        format!("file {}", self.path.display())
    }
}

/// What is wrong with the file; the mend where the error does not name one.
pub(super) fn refused(error: &PrivateFileError) -> SourceError {
    let mend = match error {
        PrivateFileError::Absent(_) => "see that it is put there before the daemon starts",
        PrivateFileError::Io(..) => "see that the daemon's user can read it, and that the disk is well",
        PrivateFileError::Loose(..) => {
            "then rotate the root keys, for others may have read them (tokenkeep key rotate)"
        }
        PrivateFileError::NotRegular(_) => "name the file itself, not a link to it",
        PrivateFileError::Owner(..) => "give it mode 0600 too",
        PrivateFileError::TooLarge(..) => "a key list is one Fernet key a line and nothing else",
    };
    SourceError::Refused { what: format!("root key: {error}"), mend: mend.into() }
}
