//! Other sealed values of an org, with versions: API keys, webhook secrets, signing keys.
//!
//! A secret is one record that lists its versions, and one record a version. The last 16 versions are kept;
//! a version is never changed.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokenkeep_client::ids::{OrgId, SecretName};
use tokenkeep_client::limits;
use tokenkeep_client::moment::Moment;
use tokenkeep_client::wire::{Deleted, Labels, Page, SecretIn, SecretInfo, SecretVersion, to_body};
use zeroize::Zeroizing;

use super::ask::Ask;
use super::caller::Caller;
use super::orgs::Org;
use super::page::{Cursor, PageRequest};
use super::place::{Field, Table, org_prefix, place};
use super::record::RecordWriter;
use super::refusal::Refusal;
use super::request_id::RequestId;
use super::sealed::Sealed;
use super::{Vault, apart};
use crate::chain::Mark;
use crate::crypto::seal::Opened;
use crate::domain::action::Action;
use crate::domain::token_set::check_labels;
use crate::store::{Batch, Change, CommitError, Key, Precondition, Record};

/// Enough to roll back a bad rotation; few enough that a secret stays one small batch.
const VERSIONS_KEPT: usize = 16;
const TRIES: usize = 8;

/// A secret that was opened for one answer. Wiped when it goes.
#[derive(Debug)]
pub struct OpenSecret {
    value: Opened,
    /// When this version came.
    pub created_at: Moment,
}

impl OpenSecret {
    /// Counts up from 1.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.value.generation()
    }

    /// The one way out. Whoever calls this owns the leak.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.value.expose()
    }
}

/// What the metadata section of a secret says.
#[derive(Debug, Serialize, Deserialize)]
struct Metadata {
    org: OrgId,
    name: SecretName,
    labels: Labels,
    versions: Vec<SecretVersion>,
}

impl Vault {
    /// Stores a new version of a secret.
    ///
    /// # Errors
    /// The door's; `invalid_request`, `not_found` (the org), `conflict`, `storage_full`.
    pub async fn put_secret(
        self: &Arc<Self>,
        caller: &Arc<Caller>,
        request: RequestId,
        org: OrgId,
        name: SecretName,
        secret: SecretIn,
    ) -> Result<SecretInfo, Refusal> {
        let (vault, caller) = (Arc::clone(self), Arc::clone(caller));
        apart(async move {
            let permit = vault
                .admit_change(&caller, Ask::new(&request, Action::SecretWrite).of(&org).on(name.as_str()))?;
            let note = vault.note(&permit);
            let stored = vault.store_secret(&org, &name, secret, &note).await;
            permit.settle_change(stored, |info| Some(info.version)).await
        })
        .await
    }

    /// The current version of a secret, or the one asked for.
    ///
    /// # Errors
    /// The door's; `not_found`, `integrity`.
    pub async fn read_secret(
        &self,
        caller: &Caller,
        request: RequestId,
        org: &OrgId,
        name: &SecretName,
        version: Option<u64>,
    ) -> Result<OpenSecret, Refusal> {
        let permit = self.admit(caller, Ask::new(&request, Action::SecretRead).of(org).on(name.as_str()))?;
        permit.settle(self.open_secret(org, name, version), |secret| Some(secret.version())).await
    }

    /// A page of an org's secrets, without values, in the order of their blind names.
    ///
    /// # Errors
    /// The door's; `not_found` (the org), `integrity`.
    pub async fn list_secrets(
        &self,
        caller: &Caller,
        request: RequestId,
        org: &OrgId,
        page: &PageRequest,
    ) -> Result<Page<SecretInfo>, Refusal> {
        let permit = self.admit(caller, Ask::new(&request, Action::SecretList).of(org))?;
        let list = || {
            let org = self.org(org)?;
            let prefix = org_prefix(Table::Secret, org.blind);
            let after = page.after.map(|cursor| cursor.key(&prefix));
            let records = self.store.scan(&prefix, after.as_ref(), page.most)?;
            let next =
                (records.len() == page.most).then(|| records.last().map(|(key, _)| Cursor::inside(key)));
            let describe =
                |(key, record): &(Key, Record)| self.secret_metadata(&org, key, record).and_then(describe);
            let items = records.iter().map(describe).collect::<Result<_, _>>()?;
            Ok(Page { items, next: next.flatten().map(|cursor| cursor.to_string()) })
        };
        permit.settle(list(), |_| None).await
    }

    /// Deletes a secret with all its versions.
    ///
    /// # Errors
    /// The door's; `not_found`, `conflict`, `storage_full`.
    pub async fn delete_secret(
        self: &Arc<Self>,
        caller: &Arc<Caller>,
        request: RequestId,
        org: OrgId,
        name: SecretName,
    ) -> Result<Deleted, Refusal> {
        let (vault, caller) = (Arc::clone(self), Arc::clone(caller));
        apart(async move {
            let permit = vault
                .admit_change(&caller, Ask::new(&request, Action::SecretDelete).of(&org).on(name.as_str()))?;
            let note = vault.note(&permit);
            let deleted = vault.remove_secret(&org, &name, &note).await;
            permit.settle_change(deleted, |_| None).await
        })
        .await
    }

    async fn store_secret(
        &self,
        org: &OrgId,
        name: &SecretName,
        secret: SecretIn,
        note: &[u8],
    ) -> Result<(SecretInfo, Mark), Refusal> {
        let value = Zeroizing::new(secret.value.expose().as_bytes().to_vec());
        if value.is_empty() || value.len() > limits::SECRET {
            return Err(Refusal::invalid("value is 1 to 65536 bytes of UTF-8"));
        }
        if let Some(labels) = &secret.labels {
            check_labels(labels).map_err(|rejected| Refusal::invalid(rejected.0))?;
        }
        let org = self.org(org)?;
        let key = self.blind.secret(org.blind, name);
        for _ in 0..TRIES {
            let current = self.store.read(&key)?;
            let (batch, info) =
                self.next_version(&org, &key, name, &secret, &value, current.as_ref(), note)?;
            match self.commit(batch).await {
                Ok(mark) => return Ok((info, mark)),
                Err(CommitError::Conflict) => {}
                Err(why) => return Err(why.into()),
            }
        }
        Err(CommitError::Conflict.into())
    }

    #[expect(clippy::too_many_arguments, reason = "one private step of one operation, cut out for length")]
    fn next_version(
        &self,
        org: &Org,
        key: &Key,
        name: &SecretName,
        secret: &SecretIn,
        value: &[u8],
        current: Option<&Record>,
        note: &[u8],
    ) -> Result<(Batch, SecretInfo), Refusal> {
        let before = current.map(|record| self.secret_metadata(org, key, record)).transpose()?;
        let (mut versions, labels) = before.map_or_else(Default::default, |m| (m.versions, m.labels));
        let version = versions.last().map_or(1, |last| last.version + 1);
        versions.push(SecretVersion { version, created_at: self.now() });
        let mut changes = Vec::new();
        while versions.len() > VERSIONS_KEPT {
            changes.push(Change::Delete(self.blind.secret_version(
                org.blind,
                name,
                versions.remove(0).version,
            )));
        }
        let metadata = Metadata {
            org: org.id.clone(),
            name: name.clone(),
            labels: secret.labels.clone().unwrap_or(labels),
            versions,
        };
        let record = |key: &Key, field, value: &[u8]| {
            let sealed = Sealed::of(&org.key, &place(self.vault_id, key, field), version, value);
            RecordWriter::new(version).section(field, &sealed).finish()
        };
        changes.push(Change::Put(*key, record(key, Field::Metadata, &to_body(&metadata))));
        let version_key = self.blind.secret_version(org.blind, name, version);
        changes.push(Change::Put(version_key, record(&version_key, Field::Value, value)));
        let standing =
            current.map_or(Precondition::Absent(*key), |now| Precondition::Unchanged(*key, now.revision));
        Ok((Batch { preconditions: vec![standing], changes, note: note.to_vec() }, describe(metadata)?))
    }

    fn open_secret(
        &self,
        org: &OrgId,
        name: &SecretName,
        version: Option<u64>,
    ) -> Result<OpenSecret, Refusal> {
        let org = self.org(org)?;
        let key = self.blind.secret(org.blind, name);
        let record = self.store.read(&key)?.ok_or_else(|| Refusal::not_found("secret"))?;
        let metadata = self.secret_metadata(&org, &key, &record)?;
        let found = match version {
            Some(wanted) => metadata.versions.iter().find(|kept| kept.version == wanted),
            None => metadata.versions.last(),
        };
        let found = found.ok_or_else(|| Refusal::not_found("version of the secret; the last 16 are kept"))?;
        let key = self.blind.secret_version(org.blind, name, found.version);
        let record = self
            .store
            .read(&key)?
            .ok_or_else(|| Refusal::integrity("secret", &"a version that is listed is missing"))?;
        let value = self.open_section(&*org, &key, &record.value, Field::Value)?;
        Ok(OpenSecret { value, created_at: found.created_at })
    }

    fn secret_metadata(&self, org: &Org, key: &Key, record: &Record) -> Result<Metadata, Refusal> {
        let opened = self.open_section(org, key, &record.value, Field::Metadata)?;
        let metadata: Metadata = serde_json::from_slice(opened.expose())
            .map_err(|_| Refusal::integrity("secret", &"its metadata is not what was written"))?;
        if metadata.org == org.id {
            Ok(metadata)
        } else {
            Err(Refusal::integrity("secret", &"it is another org's"))
        }
    }

    async fn remove_secret(
        &self,
        org: &OrgId,
        name: &SecretName,
        note: &[u8],
    ) -> Result<(Deleted, Mark), Refusal> {
        let org = self.org(org)?;
        let key = self.blind.secret(org.blind, name);
        for _ in 0..TRIES {
            let current = self.store.read(&key)?.ok_or_else(|| Refusal::not_found("secret"))?;
            let metadata = self.secret_metadata(&org, &key, &current)?;
            let versions = metadata.versions.iter();
            let mut changes: Vec<Change> = versions
                .map(|kept| Change::Delete(self.blind.secret_version(org.blind, name, kept.version)))
                .collect();
            changes.push(Change::Delete(key));
            let preconditions = vec![Precondition::Unchanged(key, current.revision)];
            match self.commit(Batch { preconditions, changes, note: note.to_vec() }).await {
                Ok(mark) => return Ok((Deleted { deleted: true, revoked: false, revocation: None }, mark)),
                Err(CommitError::Conflict) => {}
                Err(why) => return Err(why.into()),
            }
        }
        Err(CommitError::Conflict.into())
    }
}

fn describe(metadata: Metadata) -> Result<SecretInfo, Refusal> {
    let last = *metadata.versions.last().ok_or_else(|| Refusal::integrity("secret", &"it has no version"))?;
    Ok(SecretInfo {
        name: metadata.name,
        version: last.version,
        created_at: last.created_at,
        versions: metadata.versions,
        labels: metadata.labels,
    })
}
