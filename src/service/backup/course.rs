//! The set that is being written, and how far it has come: kept beside the state, so that a restart goes on with it.
//!
//! The hard problem: what is kept here may be older than what was shipped, or of another life of the vault. The answer: it
//! is only believed where the journal goes on after it, link by link; else a new set is begun, which costs a snapshot.
//!
//! Never in a backup: it holds the one identity that opens the set, sealed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokenkeep_client::moment::Moment;
use tokenkeep_client::wire::to_body;

use super::manifest::{Journal, Place};
use crate::crypto::age::{Identity, Recipient};
use crate::os::private_file;

/// The file in the state directory.
const FILE_NAME: &str = "backup.json";
const LONGEST: usize = 64 * 1024;

/// A set in the making.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Course {
    /// Its folder, below that of the vault.
    pub(super) set: String,
    /// In which life of the vault.
    pub(super) incarnation: u64,
    /// When it was begun.
    pub(super) begun_at: Moment,
    /// All that was acknowledged before is in it.
    pub(super) shipped_at: Moment,
    /// When the first set of all was begun here, and when the last drill succeeded.
    pub(super) first_at: Moment,
    pub(super) drilled_at: Option<Moment>,
    /// Its last part.
    pub(super) part: u64,
    /// The tag of that.
    pub(super) before: String,
    /// How far the journal is in it.
    pub(super) journal: Journal,
    /// The segment that is shipped next, and from which byte on.
    pub(super) segment: u64,
    pub(super) offset: u64,
    /// How far the audit log is in it.
    pub(super) audit: Place,
    /// The file of it that is shipped next, and from which byte on; none at first.
    pub(super) audit_file: Option<(String, u64)>,
    /// SHA-256 of the header that is in it.
    pub(super) header: String,
    /// The ids of the root keys that were in use since it was begun.
    #[serde(default)]
    pub(super) root_keys: BTreeSet<String>,
    /// What opens it here, sealed, and its public half.
    pub(super) drill_identity: String,
    pub(super) drill_recipient: String,
}

impl Course {
    pub(super) fn recipient(&self) -> Option<Recipient> {
        Recipient::parse(&self.drill_recipient)
    }

    /// The one that was under way when the daemon ended.
    pub(super) fn load(state: &Path) -> Option<Self> {
        serde_json::from_slice(&private_file::read(&path(state), LONGEST).ok()?).ok()
    }

    pub(super) fn keep(&self, state: &Path) -> Result<(), private_file::PrivateFileError> {
        private_file::replace(&path(state), &to_body(self), 0o600)
    }

    /// Whether it belongs to this identity.
    pub(super) fn is_opened_by(&self, identity: &Identity) -> bool {
        identity.recipient().to_string() == self.drill_recipient
    }
}

fn path(state: &Path) -> PathBuf {
    state.join(FILE_NAME)
}
