//! Retired application keys: what an application sealed by itself, before it had a vault, is opened with them.
//!
//! The hard problem: such a ciphertext says neither whose it is nor where it belongs. The answer is not here: each
//! list names the orgs that may use it, and what a shared list does not promise is said in SECURITY.md. What can be
//! had is had: a value of this vault is never opened as one of an application, though it were sealed under the same key.
//!
//! Never seals.

use std::fmt;

use tokenkeep_client::ids::{KeyName, OrgId};
use tokenkeep_client::problem::Code;
use tokenkeep_client::secret::{Plaintext, WipedBytes};

use super::refusal::Refusal;
use crate::crypto::key::KeyId;
use crate::crypto::key_list::RootKeys;
use crate::crypto::seal::{SealError, dangerous_open_without_place, is_frame_of};
use crate::domain::policy::OrgSet;

/// One key list of an application, as it kept it for `MultiFernet`.
#[derive(Debug)]
pub struct ApplicationKey {
    /// As requests name it.
    pub name: KeyName,
    /// The orgs whose ciphertexts were made with it.
    pub orgs: OrgSet,
    /// All open, in the order of the list.
    pub keys: RootKeys,
}

impl ApplicationKey {
    /// Opens a ciphertext, the key that opened the last one being tried first: rows of one table are mostly of one key.
    pub(super) fn open(
        &self,
        vault: &[u8; 16],
        token: &[u8],
        last: &mut Option<KeyId>,
    ) -> Result<Plaintext, SealError> {
        let likely = last.and_then(|id| self.keys.find(id));
        let others = self.keys.iter().filter(|key| Some(key.id()) != *last);
        for key in likely.into_iter().chain(others) {
            if let Ok(value) = dangerous_open_without_place(key, token) {
                *last = Some(key.id());
                return unless_ours(vault, value);
            }
        }
        Err(SealError::Shut)
    }
}

fn unless_ours(vault: &[u8; 16], value: WipedBytes) -> Result<Plaintext, SealError> {
    if is_frame_of(vault, &value) { Err(SealError::Misplaced) } else { Ok(Plaintext::from(value)) }
}

/// Why the lists are not taken. Names lists, nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedWithRoot {
    /// The list that has a root key in it.
    pub name: KeyName,
}

impl fmt::Display for SharedWithRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the application key {} has a root key in its list; a root key opens nothing but keys, so give the vault \
             a root key of its own (tokenkeep key generate)",
            self.name
        )
    }
}

impl std::error::Error for SharedWithRoot {}

/// All lists that were configured.
#[derive(Debug, Default)]
pub struct ApplicationKeys(Vec<ApplicationKey>);

impl ApplicationKeys {
    /// These lists, each under a name of its own.
    #[must_use]
    pub fn new(keys: Vec<ApplicationKey>) -> Self {
        Self(keys)
    }

    /// A root key must not open what callers hand in: it would open org keys for them.
    ///
    /// # Errors
    /// `SharedWithRoot`.
    pub fn check_apart_from(&self, root: &RootKeys) -> Result<(), SharedWithRoot> {
        let shared = self.0.iter().find(|one| one.keys.iter().any(|key| root.find(key.id()).is_some()));
        shared.map_or(Ok(()), |one| Err(SharedWithRoot { name: one.name.clone() }))
    }

    /// The list of this name, for this org.
    pub(super) fn find(&self, name: &KeyName, org: &OrgId) -> Result<&ApplicationKey, Refusal> {
        let found = self.0.iter().find(|one| one.name == *name);
        let found = found.ok_or_else(|| Refusal::not_found("application key"))?;
        if found.orgs.contains(org) {
            return Ok(found);
        }
        Err(Refusal::new(Code::CrossOrg, "this application key is not for that org; its orgs are configured"))
    }
}
