//! The keys of orgs as an admin sees them: what is under each, and the end of those that nothing needs.
//!
//! The hard problem: a key is thrown away once. The answer: it goes only where the clear headers of all records say that nothing
//! is under it; and since nothing is written under an earlier key any more, that stays so. A root key goes only where no backup
//! that is kept takes it to be restored ([`kept`](super::kept)); an org's key stands in each of them itself.
//! What nobody can count are the ciphertexts that applications keep: for them the key of an org stays, sealed, until an admin says
//! that there are none.
//!
//! Never destroys a key by itself.

use std::collections::HashMap;

use tokenkeep_client::ids::OrgId;
use tokenkeep_client::problem::Code;
use tokenkeep_client::wire::{KeptBackupsOut, OrgKeyOut, OrgKeysOut, OrgRotationOut, RetireOut};

use super::Vault;
use super::door::Permit;
use super::former_keys::{Earlier, KeyNote, Rank, earlier_keys};
use super::kept::{KeptKeys, Needed};
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

/// What the backups that are kept need, read for this: none where none are made; or why that cannot be said.
pub type Asked = Result<Option<KeptKeys>, String>;

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
    /// The keys of orgs, and how many records are under each; of one org, or the earlier ones of all.
    ///
    /// # Errors
    /// `not_found`, `integrity`; the store cannot be read.
    pub fn describe_org_keys(
        &self,
        only: Option<&OrgId>,
        rotation: OrgRotationOut,
        asked: &Asked,
    ) -> Result<OrgKeysOut, Refusal> {
        let only = only.map(|org| self.org(org)).transpose()?.map(|org| org.blind);
        let prefixes = only.map_or_else(whole_tables, prefixes_of);
        let mut out = OrgKeysOut {
            current_records: 0,
            earlier_records: 0,
            keys: Vec::new(),
            earlier_keys: 0,
            rotation,
            backups: self.shape_of_backups(asked),
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
                self.describe_keys_of((key, record), only.is_some(), (&under, asked), &mut out)?;
            }
        }
    }

    fn describe_keys_of(
        &self,
        (key, record): (&Key, &Record),
        with_current: bool,
        (under, asked): (&HashMap<(OrgBlind, KeyId), u64>, &Asked),
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
            let held =
                asked.as_ref().ok().and_then(Option::as_ref).map(|kept| kept.org_key(id, former_since));
            OrgKeyOut {
                org: org.clone(),
                id: id.to_string(),
                state: state.to_owned(),
                former_since,
                records: under.get(&(blind, id)).copied().unwrap_or(0),
                backup_records: held.map(|held| held.records),
                backup_sets: held.map(|held| held.sets),
                in_backups_until: held.and_then(|held| held.until),
            }
        };
        if let Some(current) = current_key_id(record).filter(|_| with_current) {
            out.keys.push(shown(current, "current", None));
        }
        for earlier in &earlier {
            let note = self.key_note(key, earlier)?;
            out.keys.push(shown(earlier.id, earlier.rank.as_str(), Some(note.former_since)));
        }
        Ok(())
    }

    fn shape_of_backups(&self, asked: &Asked) -> Option<KeptBackupsOut> {
        match asked {
            Ok(kept) => kept.as_ref().map(|kept| kept.shape(&self.root_keys())),
            Err(why) => Some(KeptBackupsOut { error: Some(why.clone()), ..KeptBackupsOut::default() }),
        }
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
        asked: &Asked,
    ) -> Result<(RetireOut, Option<Mark>), Refusal> {
        if self.root_keys().find(id).is_some() {
            return self.judge_root_key(id, asked).await.map(|out| (out, None));
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
            let out = self.judge_org_key((&key, &record), id, fate, asked)?;
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
    async fn judge_root_key(&self, id: KeyId, asked: &Asked) -> Result<RetireOut, Refusal> {
        // Nobody seals under it while its use is counted.
        let _nobody_wraps = self.key_change.write().await;
        if self.root_keys().primary().id() == id {
            return Err(needed(id, "it is the first of the list and seals what is new"));
        }
        let wraps = self.key_use()?.under(id);
        if wraps > 0 {
            return Err(needed(id, &format!("it still wraps {wraps} keys; run key rotate")));
        }
        match asked {
            Ok(kept) => refuse_needed_by_backups(id, kept.as_ref().and_then(|kept| kept.root_key(id)))?,
            Err(why) => {
                let unknown = format!("whether a kept backup needs it cannot be said now: {why}");
                return Err(Refusal { reason: Some("backups_unread"), ..needed(id, &unknown) });
            }
        }
        Ok(RetireOut { id: id.to_string(), state: "unneeded".to_owned(), ..RetireOut::default() })
    }

    fn judge_org_key(
        &self,
        (key, record): (&Key, &Record),
        id: KeyId,
        fate: Fate,
        asked: &Asked,
    ) -> Result<RetireOut, Refusal> {
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
        let org = Some(self.open_org_key(key, record)?.1);
        let state = match fate {
            Fate::Destroyed => "destroyed",
            Fate::Retired => Rank::Retired.as_str(),
        };
        // A backup brings its org keys along: it is said until when, since a restore brings the key back too.
        let view = parse(record)?;
        let earlier = earlier_keys(&view).find(|earlier| earlier.id == id);
        let since = earlier.map(|earlier| self.key_note(key, &earlier)).transpose()?;
        let since = since.map(|note| note.former_since);
        let held = asked.as_ref().ok().and_then(Option::as_ref).map(|kept| kept.org_key(id, since));
        Ok(RetireOut {
            id: id.to_string(),
            org,
            state: state.to_owned(),
            in_backups_until: held.and_then(|held| held.until),
            backups_error: asked.as_ref().err().cloned(),
        })
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

fn refuse_needed_by_backups(id: KeyId, need: Option<&Needed>) -> Result<(), Refusal> {
    let Some(Needed { sets, last_set, until }) = need else { return Ok(()) };
    let why = format!(
        "{sets} of the backups that are kept are restored with it; the last of them, {last_set}, goes on {until} or later"
    );
    Err(Refusal { reason: Some("key_in_backups"), ..needed(id, &why) })
}

fn needed(id: KeyId, why: &str) -> Refusal {
    Refusal { reason: Some("key_in_use"), ..Refusal::new(Code::Conflict, format!("key {id} stays: {why}")) }
}
