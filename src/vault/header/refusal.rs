//! Why a vault header does not open, and the way back.
//!
//! Never says what stands in it.

use std::fmt;

use super::{FILE_NAME, FORMAT};
use crate::crypto::key::KeyId;
use crate::crypto::wrap::WrapError;

/// Why a header does not open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderError {
    /// Not readable as a header; the way back is a backup.
    Damaged(String),
    /// The store belongs to another environment.
    ForeignEnvironment {
        /// Stamped into the store.
        store: String,
        /// In the configuration.
        configured: String,
    },
    /// Others may reach the file, or it is not a plain one; with the mend.
    Insecure(String),
    /// The file system's word.
    Io(String),
    /// Written by a newer program.
    NewerFormat(u32),
    /// There is no room for the vault's own keys; with the mend.
    NoRoom,
    /// The root key list lacks the key that wraps the system key.
    RootKeyMissing(KeyId),
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(why) => {
                write!(f, "{FILE_NAME} is damaged ({why}); restore the state directory from a backup")
            }
            Self::ForeignEnvironment { store, configured } => write!(
                f,
                "the store belongs to environment \"{store}\" and the configuration says \"{configured}\"; correct one of them"
            ),
            Self::Insecure(why) => f.write_str(why),
            Self::Io(why) => write!(f, "{FILE_NAME} cannot be read or written: {why}"),
            Self::NewerFormat(format) => write!(
                f,
                "by {FILE_NAME} the store has format {format}, and this program reads up to {FORMAT}; start the newer program, or, if there never was one, restore the state directory from a backup"
            ),
            Self::NoRoom => WrapError::NoRoom.fmt(f),
            Self::RootKeyMissing(id) => write!(
                f,
                "the root key list lacks key {id}, which by {FILE_NAME} wraps the system key; put that key back into the list, or, if it never had that key, restore the state directory from a backup"
            ),
        }
    }
}

impl std::error::Error for HeaderError {}

pub(super) fn of_wrap(why: WrapError) -> HeaderError {
    match why {
        WrapError::Bound => HeaderError::Damaged("the environment was changed by hand".to_owned()),
        WrapError::NoRoom => HeaderError::NoRoom,
        WrapError::NotAKey => HeaderError::Damaged("one of its keys is not a key".to_owned()),
        WrapError::Seal(why) => HeaderError::Damaged(format!("one of its keys: {why}")),
    }
}
