//! The boot lease: a small file that says which file it is, so that a copy of the store finds out that it is one.
//!
//! The hard problem: a copy has every byte of the store, and a restart has nothing else. The answer: what the bytes
//! cannot bring along. The file names its own inode and the moment of its birth, those of the state directory and of
//! the newest part of the journal, and the machine. A new one is written at each start and while there are changes: one
//! that was put back is not the one that stood there last.
//!
//! ```text
//! lease.json   { "lease": { .. }, "tag": HMAC(lease key, vault id, lease) }
//! ```
//!
//! Never keeps the store from opening: what does not fit ends in quarantine.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokenkeep_client::moment::Moment;
use tokenkeep_client::wire::to_body;

use crate::crypto::hex;
use crate::crypto::mac::MacKey;
use crate::os::identity::{self, Identity};
use crate::os::private_file::{self, PrivateFileError};
use crate::room::RoomError;

/// The file in the state directory.
pub const FILE_NAME: &str = "lease.json";
const SIZE_LIMIT: usize = 16 * 1024;

/// Why a store is taken for another one than that which ran last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    /// It stands in another directory than the one it was made in: a copy, or moved to another file system.
    Copied,
    /// Its lease is missing or was not written by this vault.
    LeaseLost,
    /// It stands where it stood, on another machine.
    OtherMachine,
    /// It stands where it stood, and files of it were put back.
    Restored,
}

impl Doubt {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Copied => "copied",
            Self::LeaseLost => "lease_lost",
            Self::OtherMachine => "other_machine",
            Self::Restored => "restored",
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    lease: Written,
    tag: String,
}

/// What the file says.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    incarnation: u64,
    renewed_at: Moment,
    /// Of the journal, when it was written.
    sequence: u64,
    /// Keyed: machine-id(5) is not to be shown.
    machine: String,
    file_system: Option<u64>,
    directory: Named,
    itself: Named,
    /// The newest file of the journal.
    journal: Option<(String, Named)>,
}

/// A file, told from its copies.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    inode: u64,
    born_at: Option<u64>,
}

impl Named {
    /// A birth that one of both does not know says nothing: a new kernel may know it of an old file.
    fn is(&self, other: &Identity) -> bool {
        let born_elsewhere = self.born_at.zip(other.born_at).is_some_and(|(one, other)| one != other);
        self.inode == other.inode && !born_elsewhere
    }
}

impl From<&Identity> for Named {
    fn from(identity: &Identity) -> Self {
        Self { inode: identity.inode, born_at: identity.born_at }
    }
}

/// The lease of an open store.
pub struct Lease {
    directory: PathBuf,
    vault_id: [u8; 16],
    key: MacKey,
    machine: String,
    /// The place in the journal at which it was last renewed in this run.
    renewed_up_to: Option<u64>,
}

impl Lease {
    /// Of the store in `directory`, on this machine ([`identity::machine`]).
    ///
    /// # Errors
    /// There is no room for its key.
    pub fn new(
        directory: &Path,
        vault_id: [u8; 16],
        index_key: &MacKey,
        machine: &str,
    ) -> Result<Self, RoomError> {
        let key = index_key.derive(b"boot lease")?;
        let machine = hex::encode(&key.tag(&[b"machine\0", machine.as_bytes()]));
        Ok(Self { directory: directory.to_owned(), vault_id, key, machine, renewed_up_to: None })
    }

    /// Whether this is another store than the one that wrote the lease; `incarnation` is its header's, `sequence` where
    /// its journal ends.
    #[must_use]
    pub fn doubt(&self, incarnation: u64, sequence: u64) -> Option<Doubt> {
        let Some(written) = self.read() else { return Some(Doubt::LeaseLost) };
        let stands = |named: &Named, path: &Path| Identity::at(path).is_ok_and(|found| named.is(&found));
        if !stands(&written.directory, &self.directory)
            || written.file_system != identity::file_system(&self.directory)
        {
            return Some(Doubt::Copied);
        }
        if written.machine != self.machine {
            return Some(Doubt::OtherMachine);
        }
        let journal_stands = written.journal.as_ref().is_none_or(|(name, named)| {
            let is_a_name = !name.contains('/');
            is_a_name && (stands(named, &self.journal().join(name)) || self.was_removed_since(name))
        });
        let is_whole = stands(&written.itself, &self.path()) && journal_stands;
        let is_older = sequence < written.sequence || incarnation < written.incarnation;
        (!is_whole || is_older).then_some(Doubt::Restored)
    }

    /// Whether there was a change since it was renewed.
    #[must_use]
    pub fn is_due(&self, sequence: u64) -> bool {
        self.renewed_up_to != Some(sequence)
    }

    /// Writes it anew.
    ///
    /// # Errors
    /// The kernel's. The old one then stands.
    pub fn renew(&mut self, incarnation: u64, sequence: u64, now: Moment) -> Result<(), PrivateFileError> {
        let io = |path: &Path, error| PrivateFileError::Io(path.to_owned(), error);
        let directory = Identity::at(&self.directory).map_err(|error| io(&self.directory, error))?;
        let journal = self.newest_of_journal().map_err(|error| io(&self.journal(), error))?;
        private_file::replace_with(&self.path(), 0o600, |itself| {
            let lease = Written {
                incarnation,
                renewed_at: now,
                sequence,
                machine: self.machine.clone(),
                file_system: identity::file_system(&self.directory),
                directory: (&directory).into(),
                itself: itself.into(),
                journal: journal.map(|(name, found)| (name, (&found).into())),
            };
            let tag = hex::encode(&self.key.tag(&[b"lease\0", &self.vault_id, &to_body(&lease)]));
            let mut text = to_body(&Sealed { lease, tag }).to_vec();
            text.push(b'\n');
            text
        })?;
        self.renewed_up_to = Some(sequence);
        Ok(())
    }

    fn read(&self) -> Option<Written> {
        let text = private_file::read(&self.path(), SIZE_LIMIT).ok()?;
        let sealed: Sealed = serde_json::from_slice(&text).ok()?;
        let tag = hex::decode(sealed.tag.as_bytes())?;
        let body = to_body(&sealed.lease);
        self.key.verifies(&[b"lease\0", &self.vault_id, &body], &tag).then_some(sealed.lease)
    }

    fn path(&self) -> PathBuf {
        self.directory.join(FILE_NAME)
    }

    fn journal(&self) -> PathBuf {
        self.directory.join("journal")
    }

    /// Whether a segment is gone as those go that snapshots cover: what is there has all come after it. What was put
    /// back in its stead would be older, or its lease would.
    fn was_removed_since(&self, name: &str) -> bool {
        self.segments().is_ok_and(|segments| {
            !segments.is_empty() && segments.iter().all(|segment| segment.as_str() > name)
        })
    }

    /// The files of the journal; their names are numbers of one length.
    fn segments(&self) -> std::io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(self.journal())? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name.ends_with(".journal") {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn newest_of_journal(&self) -> std::io::Result<Option<(String, Identity)>> {
        let newest = self.segments()?.into_iter().max();
        let found = newest.map(|name| Ok((name.clone(), Identity::at(&self.journal().join(name))?)));
        found.transpose()
    }
}

#[cfg(test)]
mod tests;
