//! Orgs: each with its own key, wrapped by the root key, so that no request for one can open another's.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokenkeep_client::ids::OrgId;
use tokenkeep_client::moment::Moment;
use tokenkeep_client::wire::{OrgOut, Page};

use super::ask::Ask;
use super::caller::Caller;
use super::page::{Cursor, PageRequest};
use super::place::{Field, OrgBlind, Table, org_key, place};
use super::record::{RecordView, RecordWriter};
use super::refusal::Refusal;
use super::request_id::RequestId;
use super::{Vault, apart};
use crate::chain::Mark;
use crate::crypto::key::{KeyId, SealingKey};
use crate::crypto::key_list::RootKeys;
use crate::crypto::seal::seal;
use crate::crypto::wrap::{make_key, open_key, rewrap};
use crate::domain::action::Action;
use crate::store::{Batch, Change, CommitError, Key, Precondition, Record};

/// An org whose key is open.
#[derive(Debug)]
pub(super) struct Org {
    pub(super) id: OrgId,
    pub(super) blind: OrgBlind,
    pub(super) key: SealingKey,
}

/// What the metadata section of an org says.
#[derive(Debug, Serialize, Deserialize)]
struct Metadata {
    org: OrgId,
    created_at: Moment,
}

impl Vault {
    /// Creates an org, or shows the one there is.
    ///
    /// # Errors
    /// The door's, the store's.
    pub async fn create_org(
        self: &Arc<Self>,
        caller: &Arc<Caller>,
        request: RequestId,
        org: OrgId,
    ) -> Result<(OrgOut, bool), Refusal> {
        let (vault, caller) = (Arc::clone(self), Arc::clone(caller));
        apart(async move {
            let ask = Ask::new(&request, Action::OrgCreate).of(&org);
            let permit = vault.admit_change(&caller, ask)?;
            match vault.read_org(&org) {
                Ok(Some(out)) => permit.settle(Ok((out, false)), |_| None).await,
                Err(refusal) => permit.settle(Err(refusal), |_| None).await,
                Ok(None) => match vault.make_org(&org, vault.note(&permit)).await.transpose() {
                    Some(made) => {
                        permit.settle_change(made.map(|(out, at)| ((out, true), at)), |_| None).await
                    }
                    // Somebody created it in between, and their entry speaks of that change: idempotent all the same.
                    None => {
                        let found = vault.read_org(&org);
                        let found = found.and_then(|out| out.ok_or_else(|| CommitError::Conflict.into()));
                        permit.settle(found.map(|out| (out, false)), |_| None).await
                    }
                },
            }
        })
        .await
    }

    /// Shows an org.
    ///
    /// # Errors
    /// The door's; `not_found`.
    pub async fn show_org(
        &self,
        caller: &Caller,
        request: RequestId,
        org: &OrgId,
    ) -> Result<OrgOut, Refusal> {
        let permit = self.admit(caller, Ask::new(&request, Action::OrgRead).of(org))?;
        let found = self.read_org(org).and_then(|found| found.ok_or_else(|| Refusal::not_found("org")));
        permit.settle(found, |_| None).await
    }

    /// A page of all orgs, in the order of their blind names.
    ///
    /// # Errors
    /// The door's.
    pub async fn list_orgs(
        &self,
        caller: &Caller,
        request: RequestId,
        page: &PageRequest,
    ) -> Result<Page<OrgOut>, Refusal> {
        let ask = Ask::new(&request, Action::OrgList);
        let permit = self.admit(caller, ask)?;
        let after = page.after.map(|cursor| org_key(OrgBlind(cursor.0)));
        let list = || {
            let records = self.store.scan(&[Table::Org as u8], after.as_ref(), page.most)?;
            let next = (records.len() == page.most).then(|| records.last().map(|(key, _)| Cursor::org(key)));
            let items = records
                .iter()
                .map(|(key, record)| self.describe_org(key, record))
                .collect::<Result<_, _>>()?;
            Ok(Page { items, next: next.flatten().map(|cursor| cursor.to_string()) })
        };
        permit.settle(list(), |_| None).await
    }

    /// The org, its key open.
    pub(super) fn org(&self, org: &OrgId) -> Result<Arc<Org>, Refusal> {
        if let Some(open) = self.open_orgs.find(org) {
            return Ok(open);
        }
        let blind = self.blind.org(org);
        let record = self.store.read(&org_key(blind))?.ok_or_else(|| Refusal::not_found("org"))?;
        let (key, metadata) = self.open_org(&org_key(blind), &record)?;
        if metadata.org != *org {
            return Err(Refusal::integrity("org", &"the record is another org's"));
        }
        let open = Arc::new(Org { id: metadata.org, blind, key });
        self.open_orgs.put(Arc::clone(&open));
        Ok(open)
    }

    fn read_org(&self, org: &OrgId) -> Result<Option<OrgOut>, Refusal> {
        let key = org_key(self.blind.org(org));
        let Some(record) = self.store.read(&key)? else { return Ok(None) };
        let out = self.describe_org(&key, &record)?;
        if out.org == *org {
            Ok(Some(out))
        } else {
            Err(Refusal::integrity("org", &"the record is another org's"))
        }
    }

    fn describe_org(&self, key: &Key, record: &Record) -> Result<OrgOut, Refusal> {
        let wrapped_by = wrapping_key(record)?;
        let (_, metadata) = self.open_org(key, record)?;
        Ok(OrgOut { org: metadata.org, created_at: metadata.created_at, root_key_id: wrapped_by.to_string() })
    }

    /// The key of an org and its name.
    pub(super) fn open_org_key(&self, key: &Key, record: &Record) -> Result<(SealingKey, OrgId), Refusal> {
        self.open_org(key, record).map(|(own_key, metadata)| (own_key, metadata.org))
    }

    fn open_org(&self, key: &Key, record: &Record) -> Result<(SealingKey, Metadata), Refusal> {
        let root = self.root_keys();
        let (root_key, sealed) = wrapped(record, &root)?;
        let org_key = open_key(root_key, &place(self.vault_id, key, Field::OrgKey), sealed, b"")?;
        let metadata = self.open_section(&org_key, key, &record.value, Field::Metadata)?;
        let metadata = serde_json::from_slice(metadata.expose())
            .map_err(|_| Refusal::integrity("org", &"its metadata is not what was written"))?;
        Ok((org_key, metadata))
    }

    /// The record of an org with its key wrapped by the primary root key, its other sections as they are.
    pub(super) fn wrap_org_key(
        &self,
        key: &Key,
        record: &Record,
        root: &RootKeys,
    ) -> Result<Vec<u8>, Refusal> {
        let (old, sealed) = wrapped(record, root)?;
        let at = place(self.vault_id, key, Field::OrgKey);
        let sealed = rewrap(old, root.primary(), &at, sealed, b"")?;
        let view = parse(record)?;
        let mut writer = RecordWriter::new(view.generation()).section(
            Field::OrgKey,
            root.primary().id(),
            sealed.as_bytes(),
        );
        for section in view.sections().filter(|section| section.field == Field::Metadata as u8) {
            writer = writer.section(Field::Metadata, section.key_id, section.token);
        }
        Ok(writer.finish())
    }

    /// Makes it; none where it is there already.
    pub(super) async fn make_org(
        &self,
        org: &OrgId,
        note: Vec<u8>,
    ) -> Result<Option<(OrgOut, Mark)>, Refusal> {
        // Held over seal and commit: the primary root key must not be dropped in between.
        let _keys_stand = self.key_change.read().await;
        let root = self.root_keys();
        let key = org_key(self.blind.org(org));
        let (own_key, wrapped) = make_key(root.primary(), &place(self.vault_id, &key, Field::OrgKey), b"")?;
        let metadata = Metadata { org: org.clone(), created_at: self.now() };
        let value = serde_json::to_vec(&metadata).map_err(|_| Refusal::integrity("org", &"metadata"))?;
        let sealed = seal(&own_key, &place(self.vault_id, &key, Field::Metadata), 1, &value);
        let record = RecordWriter::new(1)
            .section(Field::OrgKey, root.primary().id(), wrapped.as_bytes())
            .section(Field::Metadata, own_key.id(), sealed.as_bytes())
            .finish();
        let batch = Batch {
            preconditions: vec![Precondition::Absent(key)],
            changes: vec![Change::Put(key, record)],
            note,
        };
        match self.store.commit(batch).await {
            Ok(mark) => {
                let root_key_id = root.primary().id().to_string();
                let (org, created_at) = (metadata.org, metadata.created_at);
                Ok(Some((OrgOut { org, created_at, root_key_id }, mark)))
            }
            Err(CommitError::Conflict) => Ok(None),
            Err(why) => Err(why.into()),
        }
    }
}

/// The root key that wraps an org's key, by the record's clear header.
pub(super) fn wrapping_key(record: &Record) -> Result<KeyId, Refusal> {
    let section = parse(record)?.section(Field::OrgKey);
    section.map(|section| section.key_id).ok_or_else(|| Refusal::integrity("org", &"its key is missing"))
}

/// The wrap of an org key, and the root key that its record names.
fn wrapped<'a>(record: &'a Record, root: &'a RootKeys) -> Result<(&'a SealingKey, &'a [u8]), Refusal> {
    let section = parse(record)?.section(Field::OrgKey);
    let section = section.ok_or_else(|| Refusal::integrity("org", &"its key is missing"))?;
    let key = root.find(section.key_id).ok_or_else(|| {
        Refusal::integrity("org", &format_args!("root key {} is not loaded", section.key_id))
    })?;
    Ok((key, section.token))
}

fn parse(record: &Record) -> Result<RecordView<'_>, Refusal> {
    RecordView::parse(&record.value).ok_or_else(|| Refusal::integrity("org", &"the record is not one"))
}
