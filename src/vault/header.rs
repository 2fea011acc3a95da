//! The vault header: one small file that says which vault this is and holds its own keys, sealed.
//!
//! The hard problem: the journal is read with a key, so that key cannot stand in the journal. The answer: it
//! stands here, under the system key, and the system key under a root key. A crash while a new vault is
//! made must not look like a vault whose logs were taken away: `complete` is written last. A MAC covers all of it.
//!
//! Replaced as a whole, never written in place.

mod refusal;
mod tag;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokenkeep_client::moment::Moment;
use tokenkeep_client::wire::to_body;

pub use self::refusal::HeaderError;
use self::refusal::of_wrap;
use self::tag::Tagger;
use super::lease::Doubt;
use super::place::{Field, Table, vault_place};
use crate::crypto::hex;
use crate::crypto::key::{KeyId, SealingKey};
use crate::crypto::key_list::RootKeys;
use crate::crypto::mac::MacKey;
use crate::crypto::random;
use crate::crypto::seal::Place;
use crate::crypto::wrap::{make_key, make_mac_key, open_key, open_mac_key, rewrap};
use crate::os::private_file::{self, PrivateFileError};

/// The file in the state directory.
pub const FILE_NAME: &str = "vault.json";
/// The newest layout that this program reads.
pub const FORMAT: u32 = 1;
const SIZE_LIMIT: usize = 64 * 1024;

/// The file as it stands. A sealed value is a Fernet token; docs/recovery.md says how to open it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    format: u32,
    vault_id: String,
    environment: String,
    incarnation: u64,
    created_at: Moment,
    complete: bool,
    /// Whether there is a boot lease: from then on, one that is missing was taken away.
    #[serde(default)]
    leased: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quarantine: Option<Quarantined>,
    system_key: SealedKey,
    index_key: SealedKey,
    journal_key: SealedKey,
    audit_key: SealedKey,
    /// Over all the others; headers of before have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
}

/// Why and since when connections of earlier incarnations are held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quarantined {
    /// Why.
    pub reason: Doubt,
    /// Since when.
    pub since: Moment,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SealedKey {
    key_id: String,
    sealed: String,
}

/// The format alone, so that a newer file is told from a damaged one.
#[derive(Deserialize)]
struct FormatOnly {
    format: u32,
}

/// The header, open.
pub struct Header {
    path: PathBuf,
    /// Without its tag, which is made when it is written.
    written: Written,
    tagger: Tagger,
    /// Whether the file has a tag.
    tagged: bool,
    /// Which vault this is.
    pub vault_id: [u8; 16],
    root_key_id: KeyId,
}

/// The vault's own keys.
pub struct VaultKeys {
    /// Seals the vault's own records.
    pub system: SealingKey,
    /// Blinds store keys.
    pub index: MacKey,
    /// Chains the journal.
    pub journal: MacKey,
    /// Chains the audit log.
    pub audit: MacKey,
}

impl Header {
    /// Opens the header of the store in `directory`.
    ///
    /// # Errors
    /// See [`HeaderError`].
    pub fn open(
        directory: &Path,
        environment: &str,
        root: &RootKeys,
    ) -> Result<Option<(Self, VaultKeys)>, HeaderError> {
        let path = directory.join(FILE_NAME);
        if !path.try_exists().map_err(|why| HeaderError::Io(why.to_string()))? {
            return Ok(None);
        }
        let text = private_file::read(&path, SIZE_LIMIT).map_err(|why| match why {
            PrivateFileError::Loose(..) | PrivateFileError::NotRegular(_) | PrivateFileError::Owner(..) => {
                HeaderError::Insecure(why.to_string())
            }
            PrivateFileError::TooLarge(..) => HeaderError::Damaged("it is longer than it can be".to_owned()),
            why => HeaderError::Io(why.to_string()),
        })?;
        Self::parse(path, &text, environment, root).map(Some)
    }

    /// Opens the text of a header. `path` is where it is written anew.
    ///
    /// # Errors
    /// See [`HeaderError`].
    pub fn parse(
        path: PathBuf,
        text: &[u8],
        environment: &str,
        root: &RootKeys,
    ) -> Result<(Self, VaultKeys), HeaderError> {
        let damaged = |why: &str| HeaderError::Damaged(why.to_owned());
        let format: FormatOnly =
            serde_json::from_slice(text).map_err(|_| damaged("it is not JSON with a format"))?;
        if format.format > FORMAT {
            return Err(HeaderError::NewerFormat(format.format));
        }
        let mut written: Written =
            serde_json::from_slice(text).map_err(|_| damaged("a field is missing or unknown"))?;
        let vault_id =
            hex::decode(written.vault_id.as_bytes()).ok_or_else(|| damaged("vault_id is not an id"))?;
        let root_key_id =
            KeyId::parse(&written.system_key.key_id).ok_or_else(|| damaged("a key id is not an id"))?;
        if written.environment != environment {
            // The keys are bound to the name that was written: under one that was altered they do not open.
            let opened = open_keys(vault_id, &written.environment, root, root_key_id, &written);
            return Err(match opened {
                Err(damaged @ HeaderError::Damaged(_)) => damaged,
                _ => HeaderError::ForeignEnvironment {
                    store: written.environment,
                    configured: environment.to_owned(),
                },
            });
        }
        let keys = open_keys(vault_id, environment, root, root_key_id, &written)?;
        let tagger = Tagger::new(&keys.index).map_err(|_| HeaderError::NoRoom)?;
        let tag = written.tag.take();
        if tag.as_ref().is_some_and(|tag| !tagger.verifies(&to_body(&written), tag)) {
            return Err(damaged("what it says is not what was written"));
        }
        Ok((Self { path, written, tagger, tagged: tag.is_some(), vault_id, root_key_id }, keys))
    }

    /// Makes the header of a new store.
    ///
    /// # Errors
    /// [`HeaderError::Io`], [`HeaderError::NoRoom`].
    pub fn create(
        directory: &Path,
        environment: &str,
        root: &RootKeys,
        now: Moment,
    ) -> Result<(Self, VaultKeys), HeaderError> {
        let vault_id: [u8; 16] = random::bytes();
        let bound = environment.as_bytes();
        let (system, sealed) =
            make_key(root.primary(), &system_key_place(vault_id), bound).map_err(of_wrap)?;
        let system_key = SealedKey { key_id: root.primary().id().to_string(), sealed };
        let fresh = |field| {
            let made = make_mac_key(&system, &vault_place(vault_id, Table::Vault, field));
            let (key, sealed) = made.map_err(of_wrap)?;
            Ok((key, SealedKey { key_id: system.id().to_string(), sealed }))
        };
        let (index, index_key) = fresh(Field::IndexKey)?;
        let (journal, journal_key) = fresh(Field::JournalKey)?;
        let (audit, audit_key) = fresh(Field::AuditKey)?;
        let tagger = Tagger::new(&index).map_err(|_| HeaderError::NoRoom)?;
        let mut header = Self {
            path: directory.join(FILE_NAME),
            written: Written {
                format: FORMAT,
                vault_id: hex::encode(&vault_id),
                environment: environment.to_owned(),
                incarnation: 1,
                created_at: now,
                complete: false,
                leased: false,
                quarantine: None,
                system_key,
                index_key,
                journal_key,
                audit_key,
                tag: None,
            },
            tagger,
            tagged: false,
            vault_id,
            root_key_id: root.primary().id(),
        };
        header.write()?;
        Ok((header, VaultKeys { system, index, journal, audit }))
    }

    /// Writes a header anew that was written before there were tags.
    ///
    /// # Errors
    /// [`HeaderError::Io`]; the old one stands.
    pub fn vouch(&mut self) -> Result<(), HeaderError> {
        if self.tagged { Ok(()) } else { self.write() }
    }

    /// Whether both logs were begun: from then on, a log that is missing was taken away.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.written.complete
    }

    /// Both logs have been begun.
    ///
    /// # Errors
    /// [`HeaderError::Io`].
    pub fn complete(&mut self) -> Result<(), HeaderError> {
        self.written.complete = true;
        self.write()
    }

    /// Whether there is a boot lease.
    #[must_use]
    pub fn is_leased(&self) -> bool {
        self.written.leased
    }

    /// There is a boot lease from now on.
    ///
    /// # Errors
    /// [`HeaderError::Io`].
    pub fn lease(&mut self) -> Result<(), HeaderError> {
        self.written.leased = true;
        self.write()
    }

    /// There is no boot lease any more: one that is missing from now on was not taken away.
    pub(super) fn forget_lease(&mut self) {
        self.written.leased = false;
    }

    /// Counts how often the store was taken for another one than that which ran last; 1 at first.
    #[must_use]
    pub fn incarnation(&self) -> u64 {
        self.written.incarnation
    }

    /// Why connections of earlier incarnations are held back; none where they are not.
    #[must_use]
    pub fn quarantine(&self) -> Option<Quarantined> {
        self.written.quarantine
    }

    /// The next incarnation begins; all connections of earlier ones are held back.
    ///
    /// # Errors
    /// [`HeaderError::Io`]: it holds for this run all the same.
    pub fn begin_quarantine(&mut self, quarantined: Quarantined) -> Result<(), HeaderError> {
        self.written.incarnation += 1;
        self.written.quarantine = Some(quarantined);
        self.write()
    }

    /// Connections of earlier incarnations are held back no longer.
    ///
    /// # Errors
    /// [`HeaderError::Io`]; they still are then.
    pub fn end_quarantine(&mut self) -> Result<(), HeaderError> {
        let before = self.written.quarantine.take();
        self.write().inspect_err(|_| self.written.quarantine = before)
    }

    /// Stamped into the store.
    #[must_use]
    pub fn environment(&self) -> &str {
        &self.written.environment
    }

    /// The root key that wraps the system key.
    #[must_use]
    pub fn root_key_id(&self) -> KeyId {
        self.root_key_id
    }

    /// Wraps the system key anew, under the primary root key.
    ///
    /// # Errors
    /// See [`HeaderError`]; the old header stands then.
    pub fn rewrap(&mut self, root: &RootKeys) -> Result<(), HeaderError> {
        let old = root.find(self.root_key_id).ok_or(HeaderError::RootKeyMissing(self.root_key_id))?;
        let token = self.written.system_key.sealed.as_bytes();
        let bound = self.written.environment.as_bytes();
        let place = system_key_place(self.vault_id);
        let sealed = rewrap(old, root.primary(), (&place, &place), token, bound).map_err(of_wrap)?;
        let rewrapped = SealedKey { key_id: root.primary().id().to_string(), sealed };
        let before = std::mem::replace(&mut self.written.system_key, rewrapped);
        match self.write() {
            Ok(()) => {
                self.root_key_id = root.primary().id();
                Ok(())
            }
            Err(why) => {
                self.written.system_key = before;
                Err(why)
            }
        }
    }

    fn write(&mut self) -> Result<(), HeaderError> {
        self.written.tag = Some(self.tagger.tag(&to_body(&self.written)));
        let text = serde_json::to_vec_pretty(&self.written);
        self.written.tag = None;
        let mut text = text.map_err(|why| HeaderError::Io(why.to_string()))?;
        text.push(b'\n');
        private_file::replace(&self.path, &text, 0o600).map_err(|why| HeaderError::Io(why.to_string()))?;
        self.tagged = true;
        Ok(())
    }
}

/// Bound to the environment, which stands behind the text of the key: a header moved elsewhere does not open.
fn system_key_place(vault_id: [u8; 16]) -> Place {
    vault_place(vault_id, Table::Vault, Field::SystemKey)
}

fn open_keys(
    vault_id: [u8; 16],
    environment: &str,
    root: &RootKeys,
    root_key_id: KeyId,
    written: &Written,
) -> Result<VaultKeys, HeaderError> {
    let key = root.find(root_key_id).ok_or(HeaderError::RootKeyMissing(root_key_id))?;
    let token = written.system_key.sealed.as_bytes();
    let opened = open_key(key, &system_key_place(vault_id), token, environment.as_bytes());
    let system = opened.map_err(of_wrap)?;
    let mac_key = |sealed: &SealedKey, field| {
        let place = vault_place(vault_id, Table::Vault, field);
        open_mac_key(&system, &place, sealed.sealed.as_bytes()).map_err(of_wrap)
    };
    Ok(VaultKeys {
        index: mac_key(&written.index_key, Field::IndexKey)?,
        journal: mac_key(&written.journal_key, Field::JournalKey)?,
        audit: mac_key(&written.audit_key, Field::AuditKey)?,
        system,
    })
}

#[cfg(test)]
mod tests;
