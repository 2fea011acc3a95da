//! Root keys from a systemd credential (systemd.exec(5), `LoadCredential=`, `LoadCredentialEncrypted=`): on
//! an encrypted disk sealed to the TPM, at run time in memory that is not swapped.
//!
//! The name is one path component, so it cannot lead out of the directory.
//!
//! Never waits: systemd puts credentials there before it starts the daemon.

use std::path::PathBuf;

use zeroize::Zeroizing;

use super::{LONGEST_LIST, Reach, RootKeySource, SourceError, file};
use crate::os::private_file::{self, PrivateFileError};

/// Names the directory of the unit's credentials.
pub const DIRECTORY_VARIABLE: &str = "CREDENTIALS_DIRECTORY";

/// The credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialSource {
    directory: Option<PathBuf>,
    name: String,
}

impl CredentialSource {
    /// The credential `name` in `directory`: the value of [`DIRECTORY_VARIABLE`], which is not set where
    /// systemd gave the daemon no credential.
    ///
    /// # Errors
    /// The name is not one that a credential can have.
    pub fn new(directory: Option<PathBuf>, name: String) -> Result<Self, SourceError> {
        if is_credential_name(&name) {
            return Ok(Self { directory, name });
        }
        Err(SourceError::unusable(
            "the name of the credential is not one that systemd takes",
            "use letters, digits, '.', '_' and '-'",
        ))
    }
}

/// A file name without the means to leave its directory (systemd: `credential_name_valid`).
#[must_use]
pub fn is_credential_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    !matches!(name, "" | "." | "..") && name.len() <= 255 && name.bytes().all(plain)
}

impl RootKeySource for CredentialSource {
    fn read(&self) -> Result<Zeroizing<Vec<u8>>, SourceError> {
        let load = || format!("set LoadCredential={}:PATH in the systemd unit", self.name);
        let Some(directory) = self.directory.as_ref().filter(|directory| directory.is_absolute()) else {
            return Err(SourceError::unusable(
                format!("{DIRECTORY_VARIABLE} is not set, so systemd gave no credential"),
                load(),
            ));
        };
        private_file::read_credential(&directory.join(&self.name), LONGEST_LIST).map_err(
            |error| match error {
                PrivateFileError::Absent(_) => SourceError::unusable(
                    format!("systemd gave no credential of the name {}", self.name),
                    load(),
                ),
                error => file::judged(&error),
            },
        )
    }

    fn reach(&self) -> Reach {
        Reach::files(self.directory.iter().map(|directory| directory.join(&self.name)))
    }

    fn describe(&self) -> String {
        format!("systemd credential {}", self.name)
    }
}
