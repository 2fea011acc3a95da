//! New keys for orgs, and what is under their old ones sealed anew: the steps, each one durable commit.
//!
//! The hard problem: a million records are not sealed anew at once, and in the middle of it people read, write, refresh and
//! delete, and somebody pulls the plug. The answer: first the org has a new key, by one commit, and from that moment on nothing is
//! written under the old one any more ([`stored`](super::stored)). Then what is left is walked through in parts; a part holds only
//! if each of its records is still the one that was looked at, and one that is not has been written by somebody else, under the
//! new key. So what is left only gets less, the clear headers say how much that is, and a walk that was cut short goes on by
//! beginning again. How far the making of new keys has come stands in the same commit as those keys.
//!
//! Never writes a record over one that it has not seen: a token that came meanwhile is newer.

use serde::{Deserialize, Serialize};
use tokenkeep_client::ids::OrgId;
use tokenkeep_client::problem::Code;

use super::Vault;
use super::ask::Ask;
use super::caller::Caller;
use super::connections::standing;
use super::door::Permit;
use super::former_keys::{KeyNote, Rank, earlier_keys};
use super::orgs::{parse, wrapped};
use super::outbox::sequence_of;
use super::place::{Field, OrgBlind, Table, key_rotation_key, org_key, org_prefix, place};
use super::record::{RecordView, RecordWriter};
use super::refusal::Refusal;
use super::sealed::{Reseal, Sealed};
use super::stored::{current_key_id, owner};
use crate::chain::Mark;
use crate::crypto::hex;
use crate::crypto::key_list::RootKeys;
use crate::store::{Batch, Change, CommitError, KEY_LENGTH, Key, Precondition, Record};

/// Orgs that get new keys by one commit.
const ORGS: usize = 128;

/// Records of a part, and their bytes: a part is one record of the journal, which has at most 1 MiB, and others hardly wait for it.
const RECORDS: usize = 256;
const BYTES: usize = 512 * 1024;

/// Records that are sealed one by one among those who are served, before these have their turn: some 300 us.
const TURN: usize = 16;

/// Records that are looked at in one go, before others have their turn.
const LOOKED_AT: usize = 4096;

/// An org has at most so many keys before its current one: each is some 400 bytes of a record that is read with every other.
const MOST_EARLIER: usize = 64;

/// So many orgs are walked one by one; where there are more, everything is.
const ONE_BY_ONE: usize = 64;

/// What there is still to do after a start, and how fast.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Order {
    /// All orgs behind this one get a new key; none: no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    all_after: Option<String>,
    records_per_second: u64,
}

/// Where everything begins.
const BEGINNING: Key = Key([0; KEY_LENGTH]);

/// Which org gets a new key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All that there are.
    All,
    /// This one.
    Org(OrgId),
}

/// What is left of a rotation that was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begun {
    /// Orgs are still to get new keys.
    pub wants_keys: bool,
    /// At most so many records a second.
    pub records_per_second: u64,
}

/// A walk through everything that may be under an earlier key.
#[derive(Debug, Clone)]
pub struct Walk {
    prefixes: Vec<Vec<u8>>,
    at: usize,
    after: Option<Key>,
    /// Records that do not open.
    pub unopened: u64,
}

/// Records that were sealed anew and are still to be kept.
#[derive(Debug, Default)]
pub struct Part {
    records: Vec<(Key, u64, Vec<u8>)>,
    bytes: usize,
}

impl Part {
    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Which.
    #[must_use]
    pub fn keys(&self) -> Vec<Key> {
        self.records.iter().map(|(key, ..)| *key).collect()
    }

    fn is_full(&self) -> bool {
        self.records.len() >= RECORDS || self.bytes >= BYTES
    }
}

impl Vault {
    /// What a rotation that was begun has left to do; none where none was.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn rotation_begun(&self) -> Result<Option<Begun>, Refusal> {
        let order = self.order()?.map(|(_, order)| order);
        Ok(order.map(|order| Begun {
            wants_keys: order.all_after.is_some(),
            records_per_second: order.records_per_second,
        }))
    }

    fn order(&self) -> Result<Option<(Record, Order)>, Refusal> {
        let key = key_rotation_key();
        let Some(record) = self.store.read(&key)? else { return Ok(None) };
        let opened = self.open_section(&self.system_key, &key, &record.value, Field::KeyRotation)?;
        let order = serde_json::from_slice(opened.expose())
            .map_err(|_| Refusal::integrity("key rotation", &"it is not what was written"))?;
        Ok(Some((record, order)))
    }

    /// Puts another order in the place of the one that was looked at.
    fn reordered(&self, batch: &mut Batch, before: Option<&Record>, order: &Order) -> Result<(), Refusal> {
        let key = key_rotation_key();
        let text = serde_json::to_vec(order).map_err(|why| Refusal::integrity("key rotation", &why))?;
        let sealed = Sealed::of(&self.system_key, &place(self.vault_id, &key, Field::KeyRotation), 1, &text);
        batch.preconditions.push(standing(key, before));
        let record = RecordWriter::new(1).section(Field::KeyRotation, &sealed).finish();
        batch.changes.push(Change::Put(key, record));
        Ok(())
    }

    /// Begins a rotation, durably: an org has its new key when this returns, all orgs will. None: one that does the same is
    /// under way, or was cut short, and goes on.
    ///
    /// # Errors
    /// `not_found`, `conflict` (too many earlier keys), `storage_full`, `integrity`.
    pub async fn begin_rotation(
        &self,
        permit: &Permit<'_>,
        scope: &Scope,
        records_per_second: u64,
    ) -> Result<Option<Mark>, Refusal> {
        loop {
            // Held over seal and commit: the primary root key must not be dropped in between.
            let _keys_stand = self.key_change.read().await;
            let before = self.order()?;
            let standing_order = before.as_ref().and_then(|(_, order)| order.all_after.clone());
            let mut batch = Batch { note: self.note(permit), ..Batch::default() };
            let mut order = Order { all_after: standing_order, records_per_second };
            let mut renewed = None;
            match scope {
                Scope::All if order.all_after.is_some() => return Ok(None),
                Scope::All => order.all_after = Some(hex::encode(&BEGINNING.0)),
                Scope::Org(org) => {
                    let key = org_key(self.org(org)?.blind);
                    let record = self.store.read(&key)?.ok_or_else(|| Refusal::not_found("org"))?;
                    if self.count_earlier(&prefixes_of(OrgBlind::of_record(&key)))?.1 > 0 {
                        return Ok(None);
                    }
                    batch.preconditions.push(Precondition::Unchanged(key, record.revision));
                    batch
                        .changes
                        .push(Change::Put(key, self.with_new_key(&key, &record, &self.root_keys())?));
                    renewed = Some(org);
                }
            }
            self.reordered(&mut batch, before.as_ref().map(|(record, _)| record), &order)?;
            match self.commit(batch).await {
                Ok(mark) => {
                    renewed.iter().for_each(|org| self.open_orgs.forget(org));
                    return Ok(Some(mark));
                }
                Err(CommitError::Conflict) => {}
                Err(why) => return Err(why.into()),
            }
        }
    }

    /// Gives the next orgs new keys. Gives how many, and where that stands in the journal; none when all have one.
    ///
    /// # Errors
    /// As [`Vault::begin_rotation`].
    pub async fn make_new_keys(&self, permit: &Permit<'_>) -> Result<Option<(u64, Mark)>, Refusal> {
        loop {
            let _keys_stand = self.key_change.read().await;
            let Some((record, order)) = self.order()? else { return Ok(None) };
            let Some(after) = &order.all_after else { return Ok(None) };
            let after = hex::decode(after.as_bytes()).map(Key);
            let root = self.root_keys();
            let orgs = self.store.scan(&[Table::Org as u8], after.as_ref(), ORGS)?;
            let mut batch = Batch { note: self.note(permit), ..Batch::default() };
            let mut renewed = Vec::new();
            for (key, record) in &orgs {
                let (_, metadata) = self.open_org(key, record)?;
                batch.preconditions.push(Precondition::Unchanged(*key, record.revision));
                batch.changes.push(Change::Put(*key, self.with_new_key(key, record, &root)?));
                renewed.push(metadata.org);
            }
            let all_after = orgs.last().map(|(key, _)| hex::encode(&key.0));
            self.reordered(&mut batch, Some(&record), &Order { all_after, ..order })?;
            match self.commit(batch).await {
                Ok(mark) => {
                    renewed.iter().for_each(|org| self.open_orgs.forget(org));
                    return Ok(Some((renewed.len() as u64, mark)));
                }
                // Somebody wrote one of them in between: look again.
                Err(CommitError::Conflict) => {}
                Err(why) => return Err(why.into()),
            }
        }
    }

    /// The record of an org with a new key, the one before beside it.
    fn with_new_key(&self, key: &Key, record: &Record, root: &RootKeys) -> Result<Vec<u8>, Refusal> {
        let view = parse(record)?;
        if earlier_keys(&view).count() >= MOST_EARLIER {
            let org = self.open_org(key, record)?.1.org;
            let detail = format!(
                "org {org} has {MOST_EARLIER} earlier keys; destroy some of them: key retire ID --destroy"
            );
            return Err(Refusal::new(Code::Conflict, detail));
        }
        let (old, _) = self.open_org(key, record)?;
        let at = |field| place(self.vault_id, key, field);
        let (new, wrap) = Sealed::new_key(root.primary(), &at(Field::OrgKey))?;
        let (wrapped_by, before) = wrapped(record, root)?;
        let between = (&at(Field::OrgKey), &at(Field::FormerOrgKey));
        let before = before.rewrap(wrapped_by, root.primary(), between)?;
        let metadata = view.section(Field::Metadata);
        let metadata = metadata.ok_or_else(|| Refusal::integrity("org", &"its metadata is missing"))?;
        let generation = view.generation();
        let metadata = Reseal {
            from: &old,
            place: at(Field::Metadata),
            generation,
            becomes: generation,
            token: metadata.token,
        };
        let metadata = Sealed::anew(&[metadata], &new)?;
        let note = serde_json::to_vec(&KeyNote { former_since: self.now() });
        let note = note.map_err(|why| Refusal::integrity("org", &why))?;
        let note = Sealed::of(&old, &at(Field::KeyNote), generation, &note);
        let mut writer = RecordWriter::new(generation).section(Field::OrgKey, &wrap);
        for metadata in &metadata {
            writer = writer.section(Field::Metadata, metadata);
        }
        writer = writer.section(Field::FormerOrgKey, &before).section(Field::KeyNote, &note);
        for earlier in earlier_keys(&view) {
            writer = writer.copied(&earlier.wrap).copied(&earlier.note);
        }
        Ok(writer.finish())
    }

    /// A walk through all that may be under a former key; none where no org has one.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn walk(&self) -> Result<Option<Walk>, Refusal> {
        let (mut after, mut blinds) = (None, Vec::new());
        loop {
            let orgs = self.store.scan(&[Table::Org as u8], after.as_ref(), 1024)?;
            let Some((last, _)) = orgs.last() else { break };
            after = Some(*last);
            for (key, record) in &orgs {
                let view = parse(record)?;
                if earlier_keys(&view).any(|key| key.rank == Rank::Former) {
                    blinds.push(OrgBlind::of_record(key));
                }
            }
            if blinds.len() > ONE_BY_ONE {
                return Ok(Some(Walk::through(whole_tables())));
            }
        }
        let prefixes: Vec<_> = blinds.into_iter().flat_map(prefixes_of).collect();
        Ok((!prefixes.is_empty()).then(|| Walk::through(prefixes)))
    }

    /// Counts what a walk will find: records under their org's current key, and under another.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn count_walk(&self, walk: &Walk) -> Result<u64, Refusal> {
        self.count_earlier(&walk.prefixes).map(|(_, earlier)| earlier)
    }

    fn count_earlier(&self, prefixes: &[Vec<u8>]) -> Result<(u64, u64), Refusal> {
        let (mut current, mut earlier) = (0, 0);
        self.each_record(prefixes, |_, _, is_current| {
            *(if is_current { &mut current } else { &mut earlier }) += 1;
        })?;
        Ok((current, earlier))
    }

    /// Looks at every record that is an org's, by its clear header: whether all of it is under the org's current key.
    pub(super) fn each_record(
        &self,
        prefixes: &[Vec<u8>],
        mut look: impl FnMut(&Key, &RecordView<'_>, bool),
    ) -> Result<(), Refusal> {
        let mut org = LastOrg::default();
        for prefix in prefixes {
            let mut after = None;
            loop {
                let records = self.store.scan(prefix, after.as_ref(), 1024)?;
                let Some((last, _)) = records.last() else { break };
                after = Some(*last);
                for (key, record) in &records {
                    let Some(blind) = owner(key) else { continue };
                    // One that cannot be read as a record is said by whoever reads it.
                    let Some(view) = RecordView::parse(&record.value) else { continue };
                    let current = org.of(self, blind)?.and_then(current_key_id);
                    let is_current = view.sections().all(|section| Some(section.key_id) == current);
                    look(key, &view, is_current);
                }
            }
        }
        Ok(())
    }

    /// Seals the next records of a walk anew. Gives none at its end. Blocks, and takes a processor for itself.
    ///
    /// # Errors
    /// The store cannot be read. A record that does not open is left as it is, counted and logged.
    pub fn seal_next(&self, walk: &mut Walk) -> Result<Option<Part>, Refusal> {
        let (mut part, mut looked_at, mut org) = (Part::default(), 0, LastOrg::default());
        while let Some(prefix) = walk.prefixes.get(walk.at) {
            let records = self.store.scan(prefix, walk.after.as_ref(), RECORDS)?;
            if records.is_empty() {
                (walk.at, walk.after) = (walk.at + 1, None);
                continue;
            }
            for (key, record) in &records {
                walk.after = Some(*key);
                looked_at += 1;
                match self.seal_anew(key, record, &mut org) {
                    Ok(Some(anew)) => {
                        part.bytes += anew.len();
                        part.records.push((*key, record.revision, anew));
                    }
                    Ok(None) => {}
                    Err(refusal) => {
                        walk.unopened += 1;
                        tracing::error!(code = refusal.code.as_str(), "a record could not be sealed anew");
                    }
                }
                if part.is_full() {
                    return Ok(Some(part));
                }
            }
            if looked_at >= LOOKED_AT {
                return Ok(Some(part));
            }
        }
        Ok(Some(part).filter(|part| !part.is_empty()))
    }

    /// The record under the current key of its org; none where it is, or where its org is gone.
    fn seal_anew(&self, key: &Key, record: &Record, org: &mut LastOrg) -> Result<Option<Vec<u8>>, Refusal> {
        let Some(blind) = owner(key) else { return Ok(None) };
        let Some(org) = org.of(self, blind)? else { return Ok(None) };
        let view =
            RecordView::parse(&record.value).ok_or_else(|| Refusal::integrity("record", &"it is not one"))?;
        let current = current_key_id(org);
        if view.sections().all(|section| Some(section.key_id) == current) {
            return Ok(None);
        }
        let becomes = match Table::of(key.0[0]) {
            // Its sequence is that of the commit that brought it, and this is another one.
            Some(Table::Event) => sequence_of(record),
            _ => view.generation(),
        };
        self.resealed(key, &view, becomes, org).map(Some)
    }

    /// Keeps a part of a walk. None: somebody has written one of its records meanwhile; then each is to be kept by itself.
    ///
    /// # Errors
    /// The store's.
    pub async fn keep_part(&self, permit: &Permit<'_>, part: Part) -> Result<Option<Mark>, Refusal> {
        let batch = Batch {
            preconditions: part.records.iter().map(unchanged).collect(),
            changes: part.records.into_iter().map(|(key, _, anew)| Change::Put(key, anew)).collect(),
            note: self.note(permit),
        };
        let begun = self.commit_once(batch);
        let kept = async { begun?.await };
        match kept.await {
            Ok(mark) => Ok(Some(mark)),
            Err(CommitError::Conflict) => Ok(None),
            Err(why) => Err(why.into()),
        }
    }

    /// Seals these records anew and keeps each by itself, as it stands now. One that is another by the time it would be kept is
    /// under the current key.
    ///
    /// # Errors
    /// The door's, the store's.
    pub async fn keep_each(&self, task: &Caller, ask: Ask<'_>, keys: &[Key]) -> Result<(), Refusal> {
        let (mut under_way, mut org) = (Vec::with_capacity(keys.len()), LastOrg::default());
        for (number, key) in keys.iter().enumerate() {
            if number % TURN == TURN - 1 {
                tokio::task::yield_now().await;
            }
            let Some(record) = self.store.read(key)? else { continue };
            // What does not open was counted by the walk, or is by the next.
            let Ok(Some(anew)) = self.seal_anew(key, &record, &mut org) else { continue };
            let permit = self.admit_change_in_batch(task, ask)?;
            let batch = Batch {
                preconditions: vec![Precondition::Unchanged(*key, record.revision)],
                changes: vec![Change::Put(*key, anew)],
                note: self.note(&permit),
            };
            under_way.push((permit, self.commit(batch)));
        }
        for (permit, commit) in under_way {
            match commit.await {
                Ok(mark) => permit.settle_change_in_batch((1_u64, mark), Some(1)).map(drop)?,
                Err(CommitError::Conflict) => permit.settle_in_batch(Ok(()), |()| Some(0)).map(drop)?,
                Err(why) => return permit.settle(Err(why.into()), |()| None).await,
            }
        }
        self.end_batch_of_changes().await
    }

    /// The rotation is over, unless another one was begun meanwhile. None: so it is, or there was none.
    ///
    /// # Errors
    /// The store's.
    pub async fn end_rotation(&self, permit: &Permit<'_>) -> Result<Option<Mark>, Refusal> {
        let Some((record, order)) = self.order()? else { return Ok(None) };
        if order.all_after.is_some() {
            return Ok(None);
        }
        let key = key_rotation_key();
        let batch = Batch {
            preconditions: vec![standing(key, Some(&record))],
            changes: vec![Change::Delete(key)],
            note: self.note(permit),
        };
        match self.commit(batch).await {
            Ok(mark) => Ok(Some(mark)),
            Err(CommitError::Conflict) => Ok(None),
            Err(why) => Err(why.into()),
        }
    }
}

impl Walk {
    fn through(prefixes: Vec<Vec<u8>>) -> Self {
        Self { prefixes, at: 0, after: None, unopened: 0 }
    }
}

/// The record of the org that was looked at last: records of one org stand together.
#[derive(Default)]
struct LastOrg(Option<(OrgBlind, Option<Record>)>);

impl LastOrg {
    fn of(&mut self, vault: &Vault, blind: OrgBlind) -> Result<Option<&Record>, Refusal> {
        let known = match self.0.take() {
            Some(known) if known.0 == blind => known,
            _ => (blind, vault.store.read(&org_key(blind))?),
        };
        Ok(self.0.insert(known).1.as_ref())
    }
}

fn unchanged((key, revision, _): &(Key, u64, Vec<u8>)) -> Precondition {
    Precondition::Unchanged(*key, *revision)
}

/// What the keys of all records start with that may be under an org's key.
pub(super) fn whole_tables() -> Vec<Vec<u8>> {
    tables_of_orgs().map(|table| vec![table as u8]).collect()
}

/// Likewise, of one org.
pub(super) fn prefixes_of(org: OrgBlind) -> Vec<Vec<u8>> {
    tables_of_orgs().map(|table| org_prefix(table, org).to_vec()).collect()
}

fn tables_of_orgs() -> impl Iterator<Item = Table> {
    Table::ALL.iter().copied().filter(|table| table.under().is_an_orgs())
}
