//! The keys of orgs as an admin sees them: what is under each, and the end of those that nothing needs.
//!
//! The hard problem: a key is thrown away once. The answer: it goes only where the clear headers of all records say that nothing
//! is under it, and whoever keeps backups says the same; and since nothing is written under an earlier key any more, that stays so.
//! What nobody can count are the ciphertexts that applications keep: for them the key of an org stays, sealed, until an admin says
//! that there are none.
//!
//! Never destroys a key by itself.

use std::collections::HashMap;
use std::sync::Arc;

use tokenkeep_client::ids::OrgId;
use tokenkeep_client::problem::Code;
use tokenkeep_client::wire::{OrgKeyOut, OrgKeysOut, OrgRotationOut, RetireOut};

use super::Vault;
use super::door::Permit;
use super::former_keys::{Earlier, KeyNote, Rank, earlier_keys};
use super::orgs::parse;
use super::place::{Field, OrgBlind, Table, org_key, place};
use super::record::RecordWriter;
use super::refusal::Refusal;
use super::rotation::{prefixes_of, whole_tables};
use super::stored::current_key_id;
use crate::chain::Mark;
use crate::crypto::key::KeyId;
use crate::store::{Batch, Change, CommitError, Key, Precondition, Record};

/// An admin is shown so many keys.
const SHOWN: usize = 1000;
const TRIES: usize = 8;

/// The backups that are kept, as far as keys go.
pub trait KeptBackups: Send + Sync + 'static {
    /// Records in all backups that are kept which this key opens: a root key the keys that it wraps, an org's key its records.
    ///
    /// # Errors
    /// That cannot be said now, and why: the key stays.
    fn records_under(&self, key: KeyId) -> Result<u64, String>;
}

/// What a key that nothing needs becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is there no more: ciphertexts under it are lost.
    Destroyed,
    /// It opens ciphertexts.
    Retired,
}

/// Where a key was found.
enum Found {
    Nowhere,
    OfOrg(Key, Record),
    CurrentOfOrg,
}

impl Vault {
    /// Names who knows the backups that are kept. The first one named stays.
    pub fn ask_about_backups(&self, kept: Arc<dyn KeptBackups>) {
        drop(self.kept_backups.set(kept));
    }

    fn in_backups(&self, id: KeyId) -> Result<Option<u64>, Refusal> {
        let asked = self.kept_backups.get().map(|kept| kept.records_under(id)).transpose();
        asked.map_err(|why| {
            Refusal::new(
                Code::Conflict,
                format!("what the kept backups need cannot be said now: {why}; the key stays"),
            )
        })
    }

    /// The keys of orgs, and how many records are under each; of one org, or the earlier ones of all.
    ///
    /// # Errors
    /// `not_found`, `integrity`; the store cannot be read.
    pub fn describe_org_keys(
        &self,
        only: Option<&OrgId>,
        rotation: OrgRotationOut,
    ) -> Result<OrgKeysOut, Refusal> {
        let only = only.map(|org| self.org(org)).transpose()?.map(|org| org.blind);
        let prefixes = only.map_or_else(whole_tables, prefixes_of);
        let mut out = OrgKeysOut {
            current_records: 0,
            earlier_records: 0,
            keys: Vec::new(),
            earlier_keys: 0,
            rotation,
        };
        let mut under: HashMap<(OrgBlind, KeyId), u64> = HashMap::new();
        self.each_record(&prefixes, |key, view, is_current| {
            *(if is_current { &mut out.current_records } else { &mut out.earlier_records }) += 1;
            if is_current && only.is_none() {
                return;
            }
            let mut ids: Vec<_> = view.sections().map(|section| section.key_id).collect();
            ids.sort_unstable();
            ids.dedup();
            for id in ids {
                *under.entry((OrgBlind::of_record(key), id)).or_default() += 1;
            }
        })?;
        let mut after = None;
        loop {
            let orgs = match only {
                Some(blind) if after.is_none() => self
                    .store
                    .read(&org_key(blind))?
                    .map(|record| (org_key(blind), record))
                    .into_iter()
                    .collect(),
                Some(_) => Vec::new(),
                None => self.store.scan(&[Table::Org as u8], after.as_ref(), 1024)?,
            };
            let Some((last, _)) = orgs.last() else { return Ok(out) };
            after = Some(*last);
            for (key, record) in &orgs {
                self.describe_keys_of(key, record, only.is_some(), &under, &mut out)?;
            }
        }
    }

    fn describe_keys_of(
        &self,
        key: &Key,
        record: &Record,
        with_current: bool,
        under: &HashMap<(OrgBlind, KeyId), u64>,
        out: &mut OrgKeysOut,
    ) -> Result<(), Refusal> {
        let (view, blind) = (parse(record)?, OrgBlind::of_record(key));
        let earlier: Vec<_> = earlier_keys(&view).collect();
        out.earlier_keys += earlier.len() as u64;
        if out.keys.len() >= SHOWN || (earlier.is_empty() && !with_current) {
            return Ok(());
        }
        let org = self.open_org_key(key, record)?.1;
        let shown = |id: KeyId, state: &str, former_since| {
            Ok::<_, Refusal>(OrgKeyOut {
                org: org.clone(),
                id: id.to_string(),
                state: state.to_owned(),
                former_since,
                records: under.get(&(blind, id)).copied().unwrap_or(0),
                backup_records: self.in_backups(id)?,
            })
        };
        if let Some(current) = current_key_id(record).filter(|_| with_current) {
            out.keys.push(shown(current, "current", None)?);
        }
        for earlier in &earlier {
            let note = self.key_note(key, earlier)?;
            out.keys.push(shown(earlier.id, earlier.rank.as_str(), Some(note.former_since))?);
        }
        Ok(())
    }

    fn key_note(&self, key: &Key, earlier: &Earlier<'_>) -> Result<KeyNote, Refusal> {
        let own = self.open_earlier(OrgBlind::of_record(key), earlier)?;
        let opened = earlier.note.token.open(&own, &place(self.vault_id, key, Field::KeyNote))?;
        serde_json::from_slice(opened.expose())
            .map_err(|_| Refusal::integrity("org", &"the note of a key is not what was written"))
    }

    /// Retires a key that nothing needs. Where it is stored, gives where that stands in the journal.
    ///
    /// # Errors
    /// `not_found`; `conflict`, saying what needs it; `storage_full`.
    pub async fn retire_key(
        &self,
        permit: &Permit<'_>,
        id: KeyId,
        fate: Fate,
    ) -> Result<(RetireOut, Option<Mark>), Refusal> {
        if self.root_keys().find(id).is_some() {
            return self.judge_root_key(id).await.map(|out| (out, None));
        }
        for _ in 0..TRIES {
            let (key, record) = match self.find_org_key(id)? {
                Found::OfOrg(key, record) => (key, record),
                Found::CurrentOfOrg => {
                    return Err(needed(id, "it is the current key of an org; rotate first"));
                }
                Found::Nowhere => return Err(Refusal::not_found("key")),
            };
            let _keys_stand = self.key_change.read().await;
            let out = self.judge_org_key(&key, &record, id, fate)?;
            let batch = Batch {
                preconditions: vec![Precondition::Unchanged(key, record.revision)],
                changes: vec![Change::Put(key, self.without_key(&key, &record, id, fate)?)],
                note: self.note(permit),
            };
            match self.commit(batch).await {
                Ok(mark) => {
                    self.former_keys.let_go();
                    return Ok((out, Some(mark)));
                }
                Err(CommitError::Conflict) => {}
                Err(why) => return Err(why.into()),
            }
        }
        Err(CommitError::Conflict.into())
    }

    /// A root key stands where its owner keeps it: here it is said that it may go.
    async fn judge_root_key(&self, id: KeyId) -> Result<RetireOut, Refusal> {
        // Nobody seals under it while its use is counted.
        let _nobody_wraps = self.key_change.write().await;
        if self.root_keys().primary().id() == id {
            return Err(needed(id, "it is the first of the list and seals what is new"));
        }
        let wraps = self.key_use()?.under(id);
        if wraps > 0 {
            return Err(needed(id, &format!("it still wraps {wraps} keys; run key rotate")));
        }
        self.refuse_needed_by_backups(id)?;
        Ok(RetireOut { id: id.to_string(), org: None, state: "unneeded".to_owned() })
    }

    fn judge_org_key(&self, key: &Key, record: &Record, id: KeyId, fate: Fate) -> Result<RetireOut, Refusal> {
        let mut records = 0_u64;
        self.each_record(&prefixes_of(OrgBlind::of_record(key)), |_, view, _| {
            records += u64::from(view.sections().any(|section| section.key_id == id));
        })?;
        if records > 0 {
            return Err(needed(
                id,
                &format!("{records} records are still under it; wait for the rotation, or begin it again"),
            ));
        }
        self.refuse_needed_by_backups(id)?;
        let org = Some(self.open_org_key(key, record)?.1);
        let state = match fate {
            Fate::Destroyed => "destroyed",
            Fate::Retired => Rank::Retired.as_str(),
        };
        Ok(RetireOut { id: id.to_string(), org, state: state.to_owned() })
    }

    fn refuse_needed_by_backups(&self, id: KeyId) -> Result<(), Refusal> {
        match self.in_backups(id)? {
            Some(records) if records > 0 => Err(needed(
                id,
                &format!(
                    "{records} records in the backups that are kept are under it; wait until they are gone"
                ),
            )),
            Some(_) | None => Ok(()),
        }
    }

    fn find_org_key(&self, id: KeyId) -> Result<Found, Refusal> {
        let mut after = None;
        loop {
            let orgs = self.store.scan(&[Table::Org as u8], after.as_ref(), 1024)?;
            let Some((last, _)) = orgs.last() else { return Ok(Found::Nowhere) };
            after = Some(*last);
            for (key, record) in orgs {
                if current_key_id(&record) == Some(id) {
                    return Ok(Found::CurrentOfOrg);
                }
                if earlier_keys(&parse(&record)?).any(|earlier| earlier.id == id) {
                    return Ok(Found::OfOrg(key, record));
                }
            }
        }
    }

    /// The record of an org with one of its earlier keys retired, or gone.
    fn without_key(&self, key: &Key, record: &Record, id: KeyId, fate: Fate) -> Result<Vec<u8>, Refusal> {
        let (view, root) = (parse(record)?, self.root_keys());
        let mut writer = RecordWriter::new(view.generation());
        let own = [Field::OrgKey, Field::Metadata];
        for section in view.sections().filter(|section| own.iter().any(|own| *own as u8 == section.field)) {
            writer = writer.copied(&section);
        }
        for earlier in earlier_keys(&view) {
            if earlier.id != id || (fate == Fate::Retired && earlier.rank == Rank::Retired) {
                writer = writer.copied(&earlier.wrap).copied(&earlier.note);
            } else if fate == Fate::Retired {
                let wrapped_by = super::orgs::find_root(&root, earlier.wrap.key_id)?;
                let at = |field| place(self.vault_id, key, field);
                let between = (&at(earlier.rank.field()), &at(Field::RetiredOrgKey));
                let wrap = earlier.wrap.token.rewrap(wrapped_by, root.primary(), between)?;
                writer = writer.section(Field::RetiredOrgKey, &wrap).copied(&earlier.note);
            }
        }
        Ok(writer.finish())
    }
}

fn needed(id: KeyId, why: &str) -> Refusal {
    Refusal { reason: Some("key_in_use"), ..Refusal::new(Code::Conflict, format!("key {id} stays: {why}")) }
}
