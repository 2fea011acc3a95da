//! Proof that a store opens: each sealed value in it, with the keys that are in use, in its own place.
//!
//! The hard problem: a backup that adds up may still hold what nobody can open. The answer: everything is opened, once,
//! with nothing but the root keys and what is in the store itself, as a recovery would.
//!
//! Never gives out what it has opened.

use std::fmt;

use tokenkeep_client::moment::Moment;

use super::header::Header;
use super::orgs;
use super::place::{Field, OrgBlind, Table, org_key, place};
use super::record::RecordView;
use crate::crypto::hex;
use crate::crypto::key::SealingKey;
use crate::crypto::key_list::RootKeys;
use crate::crypto::seal::{Place, open};
use crate::crypto::wrap::open_key;
use crate::store::{Key, Record, Store};

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

/// The key of the org whose records are being opened.
type OrgKey = Option<(OrgBlind, SealingKey)>;

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
    org: &mut OrgKey,
) -> Result<u64, String> {
    // Holds the key of a connection, and nothing sealed.
    if key.0[0] == Table::Grant as u8 {
        let to = record.value.get(..).and_then(|value| value.try_into().ok()).map(Key);
        let found = to.map(|to| store.read(&to)).transpose().map_err(|why| why.to_string())?.flatten();
        return found.map(|_| 0).ok_or_else(|| "it leads to a connection that is not there".to_owned());
    }
    let view = RecordView::parse(&record.value).ok_or("it is not laid out as a record")?;
    let mut values = 0;
    for section in view.sections() {
        values += 1;
        let at = Place { vault: keys.vault_id, table: key.0[0], record: in_table(key), field: section.field };
        if section.field == Field::OrgKey as u8 {
            let (blind, opened) = open_org_key(keys, key, record)?;
            *org = Some((blind, opened));
            continue;
        }
        let opening = if section.key_id == keys.system.id() {
            keys.system
        } else {
            find_org_key(store, keys, OrgBlind::of_record(key), org)?
        };
        if opening.id() != section.key_id {
            return Err(format!(
                "field {} is sealed under key {}, which is not there",
                section.field, section.key_id
            ));
        }
        let opened =
            open(opening, &at, section.token).map_err(|why| format!("field {}: {why}", section.field))?;
        if opened.generation() != view.generation() {
            return Err(format!("field {} is of another generation", section.field));
        }
    }
    Ok(values)
}

fn in_table(key: &Key) -> [u8; 32] {
    let mut record = [0; 32];
    record.copy_from_slice(&key.0[1..]);
    record
}

fn find_org_key<'a>(
    store: &dyn Store,
    keys: &Keys<'_>,
    blind: OrgBlind,
    org: &'a mut OrgKey,
) -> Result<&'a SealingKey, String> {
    if org.as_ref().is_none_or(|(open, _)| *open != blind) {
        let record = store.read(&org_key(blind)).map_err(|why| why.to_string())?;
        let record = record.ok_or("it belongs to an org that is not there")?;
        *org = Some(open_org_key(keys, &org_key(blind), &record)?);
    }
    org.as_ref().map(|(_, key)| key).ok_or_else(|| "its org has no key".to_owned())
}

fn open_org_key(keys: &Keys<'_>, key: &Key, record: &Record) -> Result<(OrgBlind, SealingKey), String> {
    let view = RecordView::parse(&record.value).ok_or("its org is not laid out as a record")?;
    let section = view.section(Field::OrgKey).ok_or("its org has no key")?;
    let lacking =
        || format!("the key of its org is wrapped by root key {}, which is not in the list", section.key_id);
    let root = keys.root.find(section.key_id).ok_or_else(lacking)?;
    let opened = open_key(root, &place(keys.vault_id, key, Field::OrgKey), section.token, b"");
    Ok((OrgBlind::of_record(key), opened.map_err(|why| format!("the key of its org: {why}"))?))
}

/// The orgs there are: each blind name with the moment at which it was created, by which one of the same name that was
/// made later is told from it.
///
/// # Errors
/// The first that does not open.
pub fn orgs_in(store: &dyn Store, keys: &Keys<'_>) -> Result<Vec<(OrgBlind, Moment)>, Unproven> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let unread = |why: &dyn fmt::Display| Unproven { record: String::new(), why: why.to_string() };
        let records = store.scan(&[Table::Org as u8], after.as_ref(), PAGE).map_err(|why| unread(&why))?;
        let Some((last, _)) = records.last() else { return Ok(found) };
        after = Some(*last);
        for (key, record) in &records {
            let created = || {
                let (blind, opening) = open_org_key(keys, key, record)?;
                let at = orgs::created_at(keys.vault_id, &opening, key, record)?;
                Ok((blind, at))
            };
            found.push(created().map_err(|why| Unproven { record: hex::encode(&key.0), why })?);
        }
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
