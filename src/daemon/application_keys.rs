//! The retired application keys, from their configured places: read once, at boot.
//!
//! Never waits: what is configured and not there is a mistake, and an application that starts without its old keys
//! would take its own rows for damaged.

use std::fmt;
use std::path::PathBuf;

use tokenkeep_client::ids::KeyName;
use zeroize::Zeroizing;

use super::config::{ApplicationKey, Config, KeyPlace};
use super::exit::Exit;
use crate::crypto::key_list::{KeyListError, RootKeys};
use crate::crypto::root_key::LONGEST_LIST;
use crate::crypto::root_key::credential::DIRECTORY_VARIABLE;
use crate::os::private_file::{self, PrivateFileError};
use crate::vault::application_keys::{self as vault, ApplicationKeys, SharedWithRoot};

/// Why there are no application keys.
#[derive(Debug)]
pub(super) enum ApplicationKeyError {
    /// The file's own.
    File(KeyName, PrivateFileError),
    /// systemd gave the daemon no credentials at all; the name of the one that is needed.
    NoCredentials(KeyName, String),
    /// What is there is no key list.
    NotAList(KeyName, PathBuf, KeyListError),
    /// A root key is among them.
    SharedWithRoot(SharedWithRoot),
}

impl ApplicationKeyError {
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::File(
                _,
                PrivateFileError::Loose(..) | PrivateFileError::NotRegular(_) | PrivateFileError::Owner(..),
            ) => Exit::Unsafe,
            Self::File(..) | Self::NoCredentials(..) | Self::NotAList(..) | Self::SharedWithRoot(_) => {
                Exit::Configuration
            }
        }
    }
}

impl fmt::Display for ApplicationKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(name, why) => write!(f, "application key {name}: {why}; {}", mend(why)),
            Self::NoCredentials(name, credential) => write!(
                f,
                "application key {name}: {DIRECTORY_VARIABLE} is not set, so systemd gave no credential; set \
                 LoadCredential={credential}:PATH in the systemd unit"
            ),
            Self::NotAList(name, path, why) => {
                write!(f, "application key {name}: {}: {why}; write one Fernet key a line", path.display())
            }
            Self::SharedWithRoot(why) => why.fmt(f),
        }
    }
}

impl std::error::Error for ApplicationKeyError {}

fn mend(why: &PrivateFileError) -> &'static str {
    match why {
        PrivateFileError::Absent(_) => "put the key list there, with mode 0600, owned by the daemon's user",
        PrivateFileError::Io(..) => "see that the daemon's user can read it, and that the disk is well",
        PrivateFileError::Loose(..) => {
            "then encrypt anew what these keys sealed, for others may have read them"
        }
        PrivateFileError::NotRegular(_) => "name the file itself, not a link to it",
        PrivateFileError::Owner(..) => "give it mode 0600 too",
        PrivateFileError::TooLarge(..) => "a key list is one Fernet key a line and nothing else",
    }
}

/// Reads all that are configured.
///
/// # Errors
/// See [`ApplicationKeyError`].
pub(super) fn read(config: &Config, root: &RootKeys) -> Result<ApplicationKeys, ApplicationKeyError> {
    let keys = config.application_keys.iter().map(read_one).collect::<Result<_, _>>()?;
    let keys = ApplicationKeys::new(keys);
    keys.check_apart_from(root).map_err(ApplicationKeyError::SharedWithRoot)?;
    Ok(keys)
}

fn read_one(configured: &ApplicationKey) -> Result<vault::ApplicationKey, ApplicationKeyError> {
    let name = &configured.name;
    let (path, text) = read_text(configured)?;
    let text = text.map_err(|why| ApplicationKeyError::File(name.clone(), why))?;
    let keys =
        RootKeys::parse(&text).map_err(|why| ApplicationKeyError::NotAList(name.clone(), path, why))?;
    Ok(vault::ApplicationKey { name: name.clone(), orgs: configured.orgs.clone(), keys })
}

type Text = Result<Zeroizing<Vec<u8>>, PrivateFileError>;

fn read_text(configured: &ApplicationKey) -> Result<(PathBuf, Text), ApplicationKeyError> {
    match &configured.place {
        KeyPlace::Credential { name } => {
            let directory = std::env::var_os(DIRECTORY_VARIABLE).map(PathBuf::from);
            let directory = directory.filter(|directory| directory.is_absolute());
            let directory = directory
                .ok_or_else(|| ApplicationKeyError::NoCredentials(configured.name.clone(), name.clone()))?;
            let path = directory.join(name);
            let text = private_file::read_credential(&path, LONGEST_LIST);
            Ok((path, text))
        }
        KeyPlace::File { path } => Ok((path.clone(), private_file::read(path, LONGEST_LIST))),
    }
}
