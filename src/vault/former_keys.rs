//! The keys that an org had before its current one: for what is not yet sealed anew, and for ciphertexts.
//!
//! The hard problem: between the moment at which an org has a new key and the one at which nothing is under the old one, whoever
//! reads meets both; and a request may hold an org open from before. The answer: a section names its key. Where that is not the
//! one at hand, the org's own record is looked at again: the key is its current one, or one of those that stand beside it, or the
//! section is not the org's.
//!
//! ```text
//! record of an org: org key, metadata, and for each key before: the key (former or retired), its note
//! ```
//!
//! The note is the last thing that a key seals; its id in the clear header says which key stands before it.
//!
//! Never opens a record with a key that is retired: those open ciphertexts alone.

use std::sync::Arc;

use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};
use tokenkeep_client::moment::Moment;

use super::Vault;
use super::orgs::Org;
use super::place::{Field, OrgBlind, Table, org_key, place, place_of};
use super::record::{RecordView, RecordWriter, Section};
use super::refusal::Refusal;
use super::sealed::{Reseal, Sealed};
use super::stored::{current_key_id, no_current_key};
use crate::crypto::key::{KeyId, SealingKey};
use crate::crypto::seal::Opened;
use crate::store::{Key, Record};

/// Keys that are kept open at the most: a walk goes through the orgs one by one.
const MOST_OPEN: usize = 1024;

/// What a refusal says whose key is there no more.
pub(super) const KEY_GONE: &str = "key_gone";

/// What opens sections of a record: the system key, or the keys of an org.
pub(super) trait Opens {
    /// What most of it is under.
    fn current(&self) -> &SealingKey;
    /// Whose other keys there may be; none: there are no others.
    fn owner(&self) -> Option<OrgBlind>;
}

impl Opens for SealingKey {
    fn current(&self) -> &SealingKey {
        self
    }

    fn owner(&self) -> Option<OrgBlind> {
        None
    }
}

impl Opens for Org {
    fn current(&self) -> &SealingKey {
        &self.key
    }

    fn owner(&self) -> Option<OrgBlind> {
        Some(self.blind)
    }
}

impl Opens for Arc<Org> {
    fn current(&self) -> &SealingKey {
        &self.key
    }

    fn owner(&self) -> Option<OrgBlind> {
        Some(self.blind)
    }
}

/// What an org key may still open, in the order in which it loses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rank {
    /// Records that are not yet sealed anew, and ciphertexts.
    Former,
    /// Ciphertexts.
    Retired,
}

impl Rank {
    /// The field of a key of this rank.
    pub(super) const fn field(self) -> Field {
        match self {
            Self::Former => Field::FormerOrgKey,
            Self::Retired => Field::RetiredOrgKey,
        }
    }

    /// In a word, for an admin.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Former => "former",
            Self::Retired => "retired",
        }
    }

    pub(super) const fn of(field: u8) -> Option<Self> {
        if field == Field::FormerOrgKey as u8 {
            Some(Self::Former)
        } else if field == Field::RetiredOrgKey as u8 {
            Some(Self::Retired)
        } else {
            None
        }
    }
}

/// A key before the current one, as it stands in the record of its org.
#[derive(Debug, Clone, Copy)]
pub(super) struct Earlier<'a> {
    pub(super) id: KeyId,
    pub(super) rank: Rank,
    pub(super) wrap: Section<'a>,
    pub(super) note: Section<'a>,
}

/// What the note of an earlier key says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct KeyNote {
    /// Since when there is another one.
    pub(super) former_since: Moment,
}

/// The keys before the current one, the newest first.
pub(super) fn earlier_keys<'a>(view: &RecordView<'a>) -> impl Iterator<Item = Earlier<'a>> + use<'a> {
    let mut sections = view.sections();
    std::iter::from_fn(move || {
        let (rank, wrap) = sections.find_map(|section| Some((Rank::of(section.field)?, section)))?;
        let note = sections.next().filter(|section| section.field == Field::KeyNote as u8)?;
        Some(Earlier { id: note.key_id, rank, wrap, note })
    })
}

/// Earlier keys that are open, by org and id.
pub(super) struct FormerKeys(Cache<([u8; 16], KeyId), Arc<SealingKey>>);

impl FormerKeys {
    pub(super) fn new() -> Self {
        Self(Cache::new(MOST_OPEN))
    }

    /// All are wiped: they are opened again where they are needed.
    pub(super) fn let_go(&self) {
        self.0.clear();
    }
}

impl Vault {
    /// Opens one section of a record: with the key that its header names, in its place, of its generation.
    pub(super) fn open_section(
        &self,
        keys: &impl Opens,
        at: &Key,
        record: &[u8],
        field: Field,
    ) -> Result<Opened, Refusal> {
        let view = RecordView::parse(record).ok_or_else(|| Refusal::integrity("record", &"it is not one"))?;
        let section =
            view.section(field).ok_or_else(|| Refusal::integrity("record", &"a section is missing"))?;
        self.open_found_section(keys, at, &view, &section)
    }

    /// As [`Vault::open_section`], of a section that was found.
    pub(super) fn open_found_section(
        &self,
        keys: &impl Opens,
        at: &Key,
        view: &RecordView<'_>,
        section: &Section<'_>,
    ) -> Result<Opened, Refusal> {
        let place = place_of(self.vault_id, at, section.field);
        let opened = if section.key_id == keys.current().id() {
            section.token.open(keys.current(), &place)?
        } else {
            section.token.open(&*self.other_key(keys.owner(), at, section.key_id)?, &place)?
        };
        if opened.generation() != view.generation() {
            return Err(Refusal::integrity("record", &"a section is of another generation"));
        }
        Ok(opened)
    }

    /// Another key of this org than the one at hand.
    #[cold]
    fn other_key(&self, owner: Option<OrgBlind>, at: &Key, id: KeyId) -> Result<Arc<SealingKey>, Refusal> {
        let is_own = owner.is_some_and(|owner| owner == OrgBlind::of_record(at));
        if !is_own || at.0[0] == Table::Org as u8 {
            return Err(foreign());
        }
        let blind = OrgBlind::of_record(at);
        let record = self.store.read(&org_key(blind))?.ok_or_else(|| Refusal::not_found("org"))?;
        self.key_by_id(blind, &record, id)
    }

    /// The key of an org with this id, for its records: the current one, or a former one.
    pub(super) fn key_by_id(
        &self,
        blind: OrgBlind,
        org: &Record,
        id: KeyId,
    ) -> Result<Arc<SealingKey>, Refusal> {
        if let Some(open) = self.former_keys.0.get(&(blind.0, id)) {
            return Ok(open);
        }
        let key = if current_key_id(org) == Some(id) {
            self.open_org_key(&org_key(blind), org)?.0
        } else {
            let view = RecordView::parse(&org.value).ok_or_else(no_current_key)?;
            let former = |key: &Earlier<'_>| key.id == id && key.rank == Rank::Former;
            let found = earlier_keys(&view).find(former).ok_or_else(foreign)?;
            self.open_earlier(blind, &found)?
        };
        let key = Arc::new(key);
        self.former_keys.0.insert((blind.0, id), Arc::clone(&key));
        Ok(key)
    }

    /// The key that stands in the record of its org.
    pub(super) fn open_earlier(&self, blind: OrgBlind, key: &Earlier<'_>) -> Result<SealingKey, Refusal> {
        let root = self.root_keys();
        let wrapped_by = key.wrap.key_id;
        let root_key = root
            .find(wrapped_by)
            .ok_or_else(|| Refusal::integrity("org", &format_args!("root key {wrapped_by} is not loaded")))?;
        let place = place(self.vault_id, &org_key(blind), key.rank.field());
        let opened = key.wrap.token.open_key(root_key, &place)?;
        if opened.id() == key.id {
            Ok(opened)
        } else {
            Err(Refusal::integrity("org", &"one of its keys is not the one that its note was sealed by"))
        }
    }

    /// All keys of an org that open ciphertexts, the newest first.
    pub(super) fn keys_for_ciphertexts(&self, blind: OrgBlind) -> Result<Vec<SealingKey>, Refusal> {
        let record = self.store.read(&org_key(blind))?.ok_or_else(|| Refusal::not_found("org"))?;
        let view = RecordView::parse(&record.value).ok_or_else(no_current_key)?;
        let current = self.open_org_key(&org_key(blind), &record)?.0;
        let earlier = earlier_keys(&view).map(|key| self.open_earlier(blind, &key));
        std::iter::once(Ok(current)).chain(earlier).collect()
    }

    /// The record with every section under the current key of its org, each sealed anew as it is, of this generation.
    pub(super) fn resealed(
        &self,
        key: &Key,
        view: &RecordView<'_>,
        becomes: u64,
        org: &Record,
    ) -> Result<Vec<u8>, Refusal> {
        let blind = OrgBlind::of_record(key);
        let current = current_key_id(org).ok_or_else(no_current_key)?;
        let under = self.key_by_id(blind, org, current)?;
        let is_old = |section: &Section<'_>| section.key_id != current || becomes != view.generation();
        let mut keys: Vec<Arc<SealingKey>> = Vec::new();
        for section in view.sections().filter(is_old) {
            if keys.iter().all(|key| key.id() != section.key_id) {
                keys.push(self.key_to_reseal(blind, org, section.key_id)?);
            }
        }
        let mut values = Vec::new();
        for section in view.sections().filter(is_old) {
            let from = keys.iter().find(|key| key.id() == section.key_id).ok_or_else(foreign)?;
            values.push(Reseal {
                from,
                place: super::place::place_of(self.vault_id, key, section.field),
                generation: view.generation(),
                becomes,
                token: section.token,
            });
        }
        let mut anew = Sealed::anew(&values, &under)?.into_iter();
        let mut writer = RecordWriter::new(becomes);
        for section in view.sections() {
            writer = match is_old(&section).then(|| anew.next()).flatten() {
                Some(sealed) => writer.resealed(&section, &sealed),
                None => writer.copied(&section),
            };
        }
        Ok(writer.finish())
    }

    /// As [`Vault::key_by_id`]; and, for what was sealed by a request that has the key open from before it was retired, that one.
    fn key_to_reseal(&self, blind: OrgBlind, org: &Record, id: KeyId) -> Result<Arc<SealingKey>, Refusal> {
        if let Ok(key) = self.key_by_id(blind, org, id) {
            return Ok(key);
        }
        let view = RecordView::parse(&org.value).ok_or_else(no_current_key)?;
        let gone = || Refusal { reason: Some(KEY_GONE), ..foreign() };
        let found = earlier_keys(&view).find(|key| key.id == id).ok_or_else(gone)?;
        self.open_earlier(blind, &found).map(Arc::new)
    }
}

fn foreign() -> Refusal {
    Refusal::integrity("record", &"it was sealed by another org's key")
}
