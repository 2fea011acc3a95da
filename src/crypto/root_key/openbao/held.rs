//! Where a secret of ours is held that proves who we are: a file or a systemd credential, never the configuration.
//!
//! It is read anew for every attempt: an agent may have renewed it in between.
//!
//! Never reads a file that others can read.

use std::path::PathBuf;

use zeroize::Zeroizing;

use super::{Identity, OpenBao};
use crate::crypto::root_key::credential::CredentialSource;
use crate::crypto::root_key::{RootKeySource, SourceError, remote};
use crate::os::private_file::{self, PrivateFileError};

/// Tokens and secret ids have less than 200 bytes; batch tokens a few KiB.
const LONGEST: usize = 16 * 1024;

/// Where a secret of ours is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// The systemd credential of this name.
    Credential(String),
    /// The file at this absolute path.
    File(PathBuf),
}

impl OpenBao {
    /// The token that somebody else made.
    pub(super) fn token(&self) -> Result<Zeroizing<String>, SourceError> {
        match &self.settings.identity {
            Identity::Token(held) => self.held(held),
            Identity::AppRole { secret_id, .. } => self.held(secret_id),
        }
    }

    pub(super) fn held(&self, held: &Held) -> Result<Zeroizing<String>, SourceError> {
        let bytes = match held {
            Held::Credential(name) => {
                CredentialSource::new(self.credentials.clone(), name.clone())?.read()?
            }
            Held::File(path) => private_file::read(path, LONGEST).map_err(|why| match why {
                PrivateFileError::Absent(_) => SourceError::retryable(
                    why.to_string(),
                    "put the token or secret id there, with mode 0600, owned by the daemon's user",
                ),
                why => remote::judged(&why),
            })?,
        };
        remote::as_header(&bytes).ok_or_else(|| {
            let place = match held {
                Held::Credential(name) => format!("the systemd credential {name}"),
                Held::File(path) => path.display().to_string(),
            };
            let what = format!("{place} is not one line of visible characters");
            SourceError::unusable(what, "it must hold the token or secret id and nothing else")
        })
    }
}
