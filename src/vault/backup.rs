//! What the vault gives to its backups: who it is, the keys that tag and check them, and the identity that a drill opens
//! them with.
//!
//! The hard problem: a drill must open what only people elsewhere can open. The answer: each set has one recipient more,
//! whose identity is made for it, is kept sealed beside the state and not in any backup, and goes with the set: so this
//! machine opens the newest set, which holds what it has anyway, and no older one (SECURITY.md).
//!
//! Never gives out a key of the vault.

use std::io;
use std::path::Path;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::Vault;
use super::ask::Ask;
use super::door::Became;
use super::header::{FILE_NAME, VaultKeys};
use super::place::{Field, Table, vault_place};
use super::refusal::Refusal;
use super::request_id::RequestIds;
use crate::chain::Mark;
use crate::crypto::age::Identity;
use crate::crypto::key_list::RootKeys;
use crate::crypto::mac::MacKey;
use crate::crypto::seal::{open, seal};
use crate::domain::action::Action;
use crate::room::RoomError;
use crate::store::journal::segment;

/// Of whom a backup is, and the keys that tag and check it.
#[derive(Clone)]
pub struct BackupKeys {
    /// Which vault.
    pub vault_id: [u8; 16],
    /// Tags manifests.
    pub manifests: MacKey,
    /// Checks the journal.
    pub journal: segment::Identity,
}

impl BackupKeys {
    /// Of a vault with these keys.
    ///
    /// # Errors
    /// There is no room for them.
    pub fn new(vault_id: [u8; 16], keys: &VaultKeys) -> Result<Self, RoomError> {
        let manifests = keys.index.derive(b"backup manifest")?;
        Ok(Self { vault_id, manifests, journal: segment::Identity::new(vault_id, &keys.journal)? })
    }
}

impl Vault {
    /// Of whom a backup is, and its keys.
    #[must_use]
    pub fn backup_keys(&self) -> &BackupKeys {
        &self.backup
    }

    /// The text of the header, as it stands.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn header_text(&self, state: &Path) -> io::Result<Vec<u8>> {
        // Held while it is read, so that it is one text.
        let _header = self.header();
        std::fs::read(state.join(FILE_NAME))
    }

    /// Stamped into the store, and which life of it this is.
    #[must_use]
    pub fn environment_and_incarnation(&self) -> (String, u64) {
        let header = self.header();
        (header.environment().to_owned(), header.incarnation())
    }

    /// The last change that is durable.
    #[must_use]
    pub fn journal_head(&self) -> Mark {
        self.store.health().head
    }

    /// The root keys, for a proof that they open what they should.
    #[must_use]
    pub fn root_keys_for_proof(&self) -> Arc<RootKeys> {
        self.root_keys()
    }

    /// The ids of the root keys that wrap something.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn root_keys_in_use(&self) -> Result<Vec<String>, Refusal> {
        let in_use = self.key_use()?;
        let ids: std::collections::BTreeSet<String> =
            in_use.org_keys.keys().chain(&in_use.system_key).map(ToString::to_string).collect();
        Ok(ids.into_iter().collect())
    }

    /// The identity of a drill, sealed.
    #[must_use]
    pub fn seal_drill_identity(&self, identity: &Identity) -> String {
        let place = vault_place(self.vault_id, Table::Vault, Field::DrillIdentity);
        seal(&self.system_key, &place, 1, identity.expose())
    }

    /// The identity of a drill; none where it does not open.
    #[must_use]
    pub fn open_drill_identity(&self, sealed: &str) -> Option<Identity> {
        let place = vault_place(self.vault_id, Table::Vault, Field::DrillIdentity);
        let opened = open(&self.system_key, &place, sealed.as_bytes()).ok()?;
        Identity::of(Zeroizing::new(opened.expose().try_into().ok()?)).ok()
    }

    /// Writes down what the task of backups did, and what became of it: `ok`, or a code with its reason.
    pub async fn record_backup(&self, target: &str, done: Result<(), &'static str>) {
        let (task, request) = (self.task("backup"), RequestIds::new().next());
        let ask = Ask::new(&request, Action::BackupMake).on(target);
        let became = done.map_or_else(|reason| Became::because("internal", reason), |()| Became::plain("ok"));
        let entry = self.entry(&task, &ask, became, None, None);
        if let Err(why) = self.audit.append_durable(&entry).await {
            tracing::error!(%why, "what became of a backup could not be recorded");
        }
    }
}
