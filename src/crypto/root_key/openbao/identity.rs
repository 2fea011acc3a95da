//! As whom to ask, and the secret of ours that proves it.
//!
//! It is read anew for every attempt: an agent may have renewed it in between.
//!
//! Never reads a file that others can read.

use zeroize::Zeroizing;

use super::OpenBao;
use crate::crypto::root_key::{SourceError, remote};
use crate::os::held::{Held, HeldError};
use crate::os::private_file::PrivateFileError;

/// Tokens and secret ids have less than 200 bytes; batch tokens a few KiB.
const LONGEST: usize = 16 * 1024;

/// As whom to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// A role: its id is public, its secret id is not.
    AppRole {
        /// Where the method is mounted.
        mount: String,
        /// The id of the role.
        role_id: String,
        /// The secret id, or a token that wraps it.
        secret_id: Held,
        /// Whether it is wrapped.
        wrapping: Wrapping,
    },
    /// A token that somebody else made and renews.
    Token(Held),
}

/// How a secret id comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrapping {
    /// As it is.
    Bare,
    /// In a token that gives it out once.
    Wrapped,
}

impl Identity {
    /// Where that which proves it is held.
    pub(super) fn held(&self) -> &Held {
        match self {
            Self::AppRole { secret_id, .. } => secret_id,
            Self::Token(held) => held,
        }
    }
}

impl OpenBao {
    /// The token that somebody else made.
    pub(super) fn token(&self) -> Result<Zeroizing<String>, SourceError> {
        read(self.settings.identity.held())
    }
}

/// The token or secret id that is held there.
pub(super) fn read(held: &Held) -> Result<Zeroizing<String>, SourceError> {
    let bytes = held.read(LONGEST).map_err(|why| unread(held, why))?;
    remote::as_header(&bytes).ok_or_else(|| {
        let what = format!("the {held} is not one line of visible characters");
        SourceError::unusable(what, "it must hold the token or secret id and nothing else")
    })
}

/// A file may come yet, by an agent; systemd's credentials are all there before the daemon is.
fn unread(held: &Held, why: HeldError) -> SourceError {
    match (held, why) {
        (Held::File(_), HeldError::File(why @ PrivateFileError::Absent(_))) => SourceError::retryable(
            why.to_string(),
            "put the token or secret id there, with mode 0600, owned by the daemon's user",
        ),
        (_, HeldError::File(why)) => remote::judged(&why),
        (_, HeldError::NoCredentials(name)) => SourceError::unusable(
            "systemd gave the daemon no credentials",
            format!("set LoadCredential={name}:PATH in the systemd unit"),
        ),
    }
}
