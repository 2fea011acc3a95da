//! Root keys from a file that is the daemon's alone.
//!
//! For a file that somebody else puts there at boot (an init container, a mounted tmpfs); one that is not there
//! yet is waited for.
//!
//! Never reads a file that others can read.

use std::path::PathBuf;

use zeroize::Zeroizing;

use super::{LONGEST_LIST, Reach, RootKeySource, SourceError};
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
        Err(SourceError::unusable(
            "the path of the root key file is relative",
            "write it from the root directory on",
        ))
    }
}

impl RootKeySource for FileSource {
    fn read(&self) -> Result<Zeroizing<Vec<u8>>, SourceError> {
        private_file::read(&self.path, LONGEST_LIST).map_err(|error| match error {
            PrivateFileError::Absent(_) => SourceError::retryable(
                error.to_string(),
                "put the key list there, with mode 0600, owned by the daemon's user",
            ),
            error => judged(&error),
        })
    }

    fn reach(&self) -> Reach {
        Reach::files([self.path.clone()])
    }

    fn describe(&self) -> String {
        format!("file {}", self.path.display())
    }
}

/// Whether it is unsafe or of no use, and the mend where the error does not name one.
pub(super) fn judged(error: &PrivateFileError) -> SourceError {
    let what = error.to_string();
    let unusable = |mend: &str| SourceError::unusable(what.clone(), mend);
    let refused = |mend: &str| SourceError::refused(what.clone(), mend);
    match error {
        PrivateFileError::Absent(_) => unusable("see that it is put there before the daemon starts"),
        PrivateFileError::Io(..) => {
            unusable("see that the daemon's user can read it, and that the disk is well")
        }
        PrivateFileError::Loose(..) => {
            refused("then rotate the root keys, for others may have read them (tokenkeep key rotate)")
        }
        PrivateFileError::NotRegular(_) => refused("name the file itself, not a link to it"),
        PrivateFileError::Owner(..) => refused("give it mode 0600 too"),
        PrivateFileError::TooLarge(..) => unusable("a key list is one Fernet key a line and nothing else"),
    }
}
