//! The one way of a change into the store: what it writes is under the current key of its org, or it is not written.
//!
//! The hard problem: a key is replaced while changes are on their way that were sealed under the one before, by requests that
//! hold it open, or that copy a section as it stands. Had such a change come after the walk that seals everything anew, the old
//! key would be needed for ever and nobody knew. The answer: a change is looked at here, by the clear headers of what it writes;
//! what is under another key is sealed anew on the way; and it holds only if the org's own record is still the one whose key that
//! was. One that comes too late is sealed once more. So from the moment at which an org has a new key, what is under the old one
//! only ever gets less.
//!
//! Nothing else reaches [`Store::commit`].

use std::future::Future;
use std::sync::Arc;

use super::Vault;
use super::place::{OrgBlind, Table, Under, org_key};
use super::record::RecordView;
use super::refusal::Refusal;
use crate::chain::Mark;
use crate::crypto::key::KeyId;
use crate::store::{
    Batch, Change, Commit, CommitError, Health, Key, Precondition, ReadError, Record, Standing, Store,
};

/// A change that meets a new key so often in a row is refused: keys are replaced by the year.
const TRIES: usize = 8;

/// The store, as the vault may use it: read here, changed through [`Vault::commit`].
pub(super) struct Stored(Arc<dyn Store>);

impl Stored {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self(store)
    }

    pub(super) fn read(&self, key: &Key) -> Result<Option<Record>, ReadError> {
        self.0.read(key)
    }

    pub(super) fn prefetch(&self, keys: &[Key]) {
        self.0.prefetch(keys);
    }

    pub(super) fn scan(
        &self,
        prefix: &[u8],
        after: Option<&Key>,
        most: usize,
    ) -> Result<Vec<(Key, Record)>, ReadError> {
        self.0.scan(prefix, after, most)
    }

    pub(super) fn health(&self) -> Health {
        self.0.health()
    }

    pub(super) fn standing(&self) -> Standing {
        self.0.standing()
    }
}

/// How a change goes to the store.
type Way = fn(&dyn Store, Batch) -> Commit;

/// The orgs whose keys a change relies on, each with the revision of its record.
type Relied = Vec<(OrgBlind, u64)>;

impl Vault {
    /// Applies a change, as [`Store::commit`]: it is on its way when this returns.
    pub(super) fn commit(
        &self,
        batch: Batch,
    ) -> impl Future<Output = Result<Mark, CommitError>> + Send + use<'_> {
        self.commit_by(<dyn Store>::commit, batch)
    }

    /// As [`Vault::commit`], by [`Store::commit_precious`].
    pub(super) fn commit_precious(
        &self,
        batch: Batch,
    ) -> impl Future<Output = Result<Mark, CommitError>> + Send + use<'_> {
        self.commit_by(<dyn Store>::commit_precious, batch)
    }

    fn commit_by(
        &self,
        way: Way,
        batch: Batch,
    ) -> impl Future<Output = Result<Mark, CommitError>> + Send + use<'_> {
        let mut begun = self.begin(way, &batch);
        async move {
            for _ in 0..TRIES {
                let (relied, commit) = begun?;
                match commit.await {
                    Err(CommitError::Conflict) if self.keys_have_changed(&relied)? => {
                        begun = self.begin(way, &batch);
                    }
                    ended => return ended,
                }
            }
            Err(CommitError::Conflict)
        }
    }

    /// As [`Vault::commit`], for who looks again by itself: where a key has changed on the way, that is a conflict.
    pub(super) fn commit_once(&self, mut batch: Batch) -> Result<Commit, CommitError> {
        self.bring_under_current_keys(&mut batch)?;
        Ok(self.store.0.commit(batch))
    }

    fn begin(&self, way: Way, batch: &Batch) -> Result<(Relied, Commit), CommitError> {
        let mut batch = batch.clone();
        let relied = self.bring_under_current_keys(&mut batch)?;
        Ok((relied, way(&*self.store.0, batch)))
    }

    fn bring_under_current_keys(&self, batch: &mut Batch) -> Result<Relied, CommitError> {
        let mut relied = Relied::new();
        // Those of one org stand together in a batch of many.
        let mut last: Option<(OrgBlind, Record)> = None;
        for change in &mut batch.changes {
            let Change::Put(key, value) = change else { continue };
            let Some(blind) = owner(key) else { continue };
            let org = match last.take() {
                Some(known) if known.0 == blind => known,
                _ => (blind, self.own_record(blind)?),
            };
            let (_, org) = last.insert(org);
            if let Some(anew) = self.under_current_key(key, value, org)? {
                *value = anew;
            }
            if relied.iter().all(|(known, _)| *known != blind) {
                relied.push((blind, org.revision));
            }
        }
        let standing = relied.iter().map(|(blind, at)| Precondition::Unchanged(org_key(*blind), *at));
        batch.preconditions.extend(standing);
        Ok(relied)
    }

    /// The record with what is under another key sealed anew; none where it is as it should be. What does not open is left as
    /// it is: whoever changes the rest of a record does not lose it for that.
    fn under_current_key(
        &self,
        key: &Key,
        value: &[u8],
        org: &Record,
    ) -> Result<Option<Vec<u8>>, CommitError> {
        let (Some(view), Some(current)) = (RecordView::parse(value), current_key_id(org)) else {
            return Ok(None);
        };
        if view.sections().all(|section| section.key_id == current) {
            return Ok(None);
        }
        match self.resealed(key, &view, view.generation(), org) {
            Ok(anew) => Ok(Some(anew)),
            Err(refusal) if refusal.reason == Some(super::former_keys::KEY_GONE) => {
                Err(CommitError::Conflict)
            }
            Err(_) => Ok(None),
        }
    }

    fn keys_have_changed(&self, relied: &Relied) -> Result<bool, CommitError> {
        for (blind, revision) in relied {
            if self.own_record(*blind)?.revision != *revision {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The record of an org that something is written for. One that is gone takes nothing more.
    fn own_record(&self, blind: OrgBlind) -> Result<Record, CommitError> {
        let read = self.store.read(&org_key(blind));
        let found = read.map_err(|why| {
            tracing::error!(%why, "the record of an org could not be read");
            CommitError::Conflict
        })?;
        found.ok_or(CommitError::Conflict)
    }
}

/// The org whose key seals what stands there; none where it is not an org's.
pub(super) fn owner(key: &Key) -> Option<OrgBlind> {
    let blind = OrgBlind::of_record(key);
    match Table::of(key.0[0])?.under() {
        Under::OrgKey => Some(blind),
        Under::OrgKeyOrSystemKey => Some(blind).filter(|blind| *blind != OrgBlind::NOBODY),
        Under::Nothing | Under::NoRecords | Under::RootKey | Under::SystemKey => None,
    }
}

/// The id of an org's current key, by the clear header of its record.
pub(super) fn current_key_id(org: &Record) -> Option<KeyId> {
    let view = RecordView::parse(&org.value)?;
    view.section(super::place::Field::Metadata).map(|section| section.key_id)
}

/// As [`Refusal`] for those who have no org to speak of.
pub(super) fn no_current_key() -> Refusal {
    Refusal::integrity("org", &"its record names no key")
}
