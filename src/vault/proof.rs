//! Proof that a store opens: each sealed value in it, with the keys that are in use, in its own place.
//!
//! The hard problem: a backup that adds up may still hold what nobody can open. The answer: everything is opened, once,
//! with nothing but the root keys and what is in the store itself, as a recovery would.
//!
//! Never gives out what it has opened.

use std::fmt;

use tokenkeep_client::moment::Moment;

use super::header::Header;
use super::note;
use super::place::{Field, OrgBlind, Table, org_key};
use super::record::RecordView;
use crate::crypto::hex;
use crate::crypto::key::SealingKey;
use crate::crypto::key_list::RootKeys;
use crate::crypto::seal::Place;
use crate::domain::action::Action;
use crate::store::{KEY_LENGTH, Key, Record, Store};

/// Records looked at in one go.
const PAGE: usize = 256;

/// What opens a store.
pub struct Keys<'a> {
    /// Which vault.
    pub vault_id: [u8; 16],
    /// Opens the vault's own records, and is the key of none of its orgs.
    pub system: &'a SealingKey,
    /// Open the keys of orgs.
    pub root: &'a RootKeys,
}

/// What was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Proof {
    /// Records.
    pub records: u64,
    /// Sealed values in them.
    pub values: u64,
    /// Orgs, whose keys were opened.
    pub orgs: u64,
}

/// The first record that does not open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unproven {
    /// Its key in the store, in hex.
    pub record: String,
    /// Why not.
    pub why: String,
}

impl fmt::Display for Unproven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record {}: {}", self.record, self.why)
    }
}

impl std::error::Error for Unproven {}

/// The org whose records are being opened, with each key that it has.
type Org = Option<(OrgBlind, Vec<SealingKey>)>;

/// Fields in which an org has a key, wrapped by a root key: the current one, former ones, retired ones.
const ORG_KEYS: [u8; 3] = [Field::OrgKey as u8, Field::FormerOrgKey as u8, Field::RetiredOrgKey as u8];

/// Opens everything. Told from time to time how many records it has opened.
///
/// # Errors
/// The first record that does not open.
pub fn prove(store: &dyn Store, keys: &Keys<'_>, told: &mut dyn FnMut(u64)) -> Result<Proof, Unproven> {
    let (mut proof, mut after, mut org) = (Proof::default(), None, None);
    loop {
        let unread = |why: &dyn fmt::Display| Unproven { record: String::new(), why: why.to_string() };
        let records = store.scan(&[], after.as_ref(), PAGE).map_err(|why| unread(&why))?;
        let Some((last, _)) = records.last() else { return Ok(proof) };
        after = Some(*last);
        for (key, record) in &records {
            let values = prove_one(store, keys, key, record, &mut org);
            proof.values += values.map_err(|why| Unproven { record: hex::encode(&key.0), why })?;
            proof.records += 1;
            proof.orgs += u64::from(key.0[0] == Table::Org as u8);
        }
        told(proof.records);
    }
}

fn prove_one(
    store: &dyn Store,
    keys: &Keys<'_>,
    key: &Key,
    record: &Record,
    org: &mut Org,
) -> Result<u64, String> {
    // Holds the key of a connection, and nothing sealed.
    if key.0[0] == Table::Grant as u8 {
        return leads_somewhere(store, record).map(|()| 0);
    }
    let view = RecordView::parse(&record.value).ok_or("it is not laid out as a record")?;
    let mut values = 0;
    for section in view.sections() {
        values += 1;
        let is_wrap = key.0[0] == Table::Org as u8 && ORG_KEYS.contains(&section.field);
        let opening = if section.key_id == keys.system.id() {
            keys.system
        } else {
            // A key of the org was opened with the others of its record.
            let all = keys_of(store, keys, OrgBlind::of_record(key), org)?;
            if is_wrap {
                continue;
            }
            let lacking = || {
                format!("field {} is sealed under key {}, which is not there", section.field, section.key_id)
            };
            all.iter().find(|one| one.id() == section.key_id).ok_or_else(lacking)?
        };
        let at = Place { vault: keys.vault_id, table: key.0[0], record: in_table(key), field: section.field };
        let opened =
            section.token.open(opening, &at).map_err(|why| format!("field {}: {why}", section.field))?;
        // An event says the change it first came with, also where it was sealed anew.
        if opened.generation() != view.generation() && key.0[0] != Table::Event as u8 {
            return Err(format!("field {} is of another generation", section.field));
        }
    }
    Ok(values)
}

fn leads_somewhere(store: &dyn Store, record: &Record) -> Result<(), String> {
    let to = <[u8; KEY_LENGTH]>::try_from(&*record.value).map_err(|_| "it leads nowhere")?;
    let found = store.read(&Key(to)).map_err(|why| why.to_string())?;
    found.map(drop).ok_or_else(|| "it leads to a connection that is not there".to_owned())
}

fn in_table(key: &Key) -> [u8; 32] {
    let mut record = [0; 32];
    record.copy_from_slice(&key.0[1..]);
    record
}

fn keys_of<'a>(
    store: &dyn Store,
    keys: &Keys<'_>,
    blind: OrgBlind,
    org: &'a mut Org,
) -> Result<&'a [SealingKey], String> {
    if org.as_ref().is_none_or(|(open, _)| *open != blind) {
        let record = store.read(&org_key(blind)).map_err(|why| why.to_string())?;
        let record = record.ok_or("it belongs to an org that is not there")?;
        *org = Some((blind, open_keys(keys, &org_key(blind), &record)?));
    }
    Ok(org.as_ref().map_or(&[], |(_, all)| all))
}

/// Every key of an org.
fn open_keys(keys: &Keys<'_>, key: &Key, record: &Record) -> Result<Vec<SealingKey>, String> {
    let view = RecordView::parse(&record.value).ok_or("its org is not laid out as a record")?;
    let wraps = view.sections().filter(|section| ORG_KEYS.contains(&section.field));
    let opened = wraps.map(|section| {
        let lacking = || {
            format!("a key of its org is wrapped by root key {}, which is not in the list", section.key_id)
        };
        let root = keys.root.find(section.key_id).ok_or_else(lacking)?;
        let at = Place { vault: keys.vault_id, table: key.0[0], record: in_table(key), field: section.field };
        section.token.open_key(root, &at).map_err(|why| format!("a key of its org: {why}"))
    });
    opened.collect()
}

impl Keys<'_> {
    /// The note for a change of a restore that deletes again what was deleted later: the next start enters it into the
    /// audit log.
    #[must_use]
    pub fn note_of_erasure(&self) -> Vec<u8> {
        note::of_task(self.vault_id, self.system, "restore", Action::BackupMake, "erased")
    }
}

impl Header {
    /// Makes it that of a store which was put back: the next life, in quarantine, without a lease.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn put_back(&mut self, now: Moment) -> Result<(), super::header::HeaderError> {
        self.forget_lease();
        let reason = super::lease::Doubt::Restored;
        self.begin_quarantine(super::header::Quarantined { reason, since: now })
    }
}
