//! Root keys at run time: what each still wraps, taking a new list, wrapping anew.
//!
//! The hard problem: a rotation that is cut short must leave nothing that does not open. The answer: each
//! record names its root key, both lists open, and a list that lacks a key in use is refused.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use tokenkeep_client::problem::Code;
use tokenkeep_client::wire::RootKeyOut;

use super::Vault;
use super::door::Permit;
use super::orgs::wrapping_keys;
use super::place::Table;
use super::refusal::Refusal;
use crate::chain::Mark;
use crate::crypto::key::KeyId;
use crate::crypto::key_list::RootKeys;
use crate::store::{Batch, Change, CommitError, Key, Precondition};

/// Records a commit while wrapping anew: small enough that others hardly wait.
const BATCH: usize = 128;

/// How many keys each root key wraps.
#[derive(Debug, Default)]
pub struct KeyUse {
    /// Org keys, by the root key that wraps them.
    pub org_keys: BTreeMap<KeyId, u64>,
    /// The root key that wraps the system key.
    pub system_key: Option<KeyId>,
    /// Orgs there are: each has a current key, and perhaps earlier ones.
    pub orgs: u64,
}

impl KeyUse {
    /// The first key in use that the list lacks, and how many keys it wraps.
    #[must_use]
    pub fn missing_from(&self, root: &RootKeys) -> Option<(KeyId, u64)> {
        let system = self.system_key.filter(|id| root.find(*id).is_none());
        let mut missing = self.org_keys.iter().filter(|(id, _)| root.find(**id).is_none());
        let first = missing.next().map(|(id, count)| (*id, *count));
        match (system, first) {
            (Some(id), _) => Some((id, 1 + self.org_keys.get(&id).copied().unwrap_or(0))),
            (None, first) => first,
        }
    }

    /// How many keys this one wraps.
    #[must_use]
    pub fn under(&self, id: KeyId) -> u64 {
        self.org_keys.get(&id).copied().unwrap_or(0) + u64::from(self.system_key == Some(id))
    }

    /// How many keys others than this one wrap.
    #[must_use]
    pub fn beside(&self, id: KeyId) -> u64 {
        let orgs: u64 = self.org_keys.iter().filter(|(key, _)| **key != id).map(|(_, count)| count).sum();
        orgs + u64::from(self.system_key.is_some_and(|key| key != id))
    }
}

impl Vault {
    /// Counts what each root key wraps, by the clear headers.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn key_use(&self) -> Result<KeyUse, Refusal> {
        let mut in_use = KeyUse { system_key: Some(self.header().root_key_id()), ..KeyUse::default() };
        let mut after: Option<Key> = None;
        loop {
            let records = self.store.scan(&[Table::Org as u8], after.as_ref(), 1024)?;
            in_use.orgs += records.len() as u64;
            for (_, record) in &records {
                for id in wrapping_keys(record)? {
                    *in_use.org_keys.entry(id).or_default() += 1;
                }
            }
            match records.last() {
                Some((key, _)) => after = Some(*key),
                None => return Ok(in_use),
            }
        }
    }

    /// The root keys in the order of their list, each with what it wraps; and all that is wrapped.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn describe_keys(&self) -> Result<(Vec<RootKeyOut>, KeyUse), Refusal> {
        let in_use = self.key_use()?;
        let root = self.root_keys();
        let primary = root.primary().id();
        let keys = root.iter().map(|key| RootKeyOut {
            id: key.id().to_string(),
            primary: key.id() == primary,
            org_keys: in_use.org_keys.get(&key.id()).copied().unwrap_or(0),
            system_key: in_use.system_key == Some(key.id()),
        });
        Ok((keys.collect(), in_use))
    }

    /// Takes a new key list. The old one stays where the new one lacks a key in use.
    ///
    /// # Errors
    /// `conflict`, naming the key and the count, or the application key that is among them.
    pub async fn replace_root_keys(&self, root: RootKeys) -> Result<(), Refusal> {
        self.application_keys
            .check_apart_from(&root)
            .map_err(|why| Refusal::new(Code::Conflict, why.to_string()))?;
        // Nobody seals under the old primary key while its use is counted.
        let _nobody_wraps = self.key_change.write().await;
        if let Some((id, count)) = self.key_use()?.missing_from(&root) {
            return Err(Refusal::new(
                Code::Conflict,
                format!(
                    "the new list lacks root key {id}, which still wraps {count} keys; put it back, rotate, then drop it"
                ),
            ));
        }
        *self.root_keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(root);
        Ok(())
    }

    /// Wraps the next org keys anew under the primary root key. Gives how many, and where it stands in the
    /// journal; none when nothing is left.
    ///
    /// # Errors
    /// The store's; `integrity`.
    pub async fn rewrap_some(
        &self,
        permit: &Permit<'_>,
        after: &mut Option<Key>,
    ) -> Result<Option<(u64, Mark)>, Refusal> {
        loop {
            let _keys_stand = self.key_change.read().await;
            let root = self.root_keys();
            let primary = root.primary().id();
            let records = self.store.scan(&[Table::Org as u8], after.as_ref(), BATCH)?;
            let Some((last, _)) = records.last() else { return Ok(None) };
            let mut batch = Batch { note: self.note(permit), ..Batch::default() };
            for (key, record) in &records {
                if wrapping_keys(record)?.any(|id| id != primary) {
                    batch.preconditions.push(Precondition::Unchanged(*key, record.revision));
                    batch.changes.push(Change::Put(*key, self.wrap_org_keys(key, record, &root)?));
                }
            }
            let count = batch.changes.len() as u64;
            if count == 0 {
                *after = Some(*last);
                continue;
            }
            match self.commit(batch).await {
                Ok(mark) => {
                    *after = Some(*last);
                    return Ok(Some((count, mark)));
                }
                // Somebody wrote one of them in between: look again at the same page.
                Err(CommitError::Conflict) => {}
                Err(why) => return Err(why.into()),
            }
        }
    }

    /// Wraps the system key anew under the primary root key.
    ///
    /// # Errors
    /// The header cannot be written; the old one stands.
    pub async fn rewrap_system_key(&self) -> Result<(), Refusal> {
        let _keys_stand = self.key_change.read().await;
        let root = self.root_keys();
        self.header().rewrap(&root).map_err(|why| {
            tracing::error!(%why, "the system key could not be wrapped anew");
            Refusal::new(Code::Internal, "the vault header could not be written; the old one stands")
        })
    }
}
