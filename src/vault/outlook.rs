//! A connection as far as its next refresh depends on it: found by its place, by its name, or as it changes.
//!
//! The hard problem: who looks at a million connections in a row would have the key of every org open, and those in use
//! pushed out. The answer: an org that is only passed by is opened beside the cache, once for all its connections.
//!
//! Never opens a token.

use std::sync::Arc;

use tokenkeep_client::ids::{ConnectionId, OrgId};

use super::Vault;
use super::connection_record::Metadata;
use super::custody::{Surveyed, has};
use super::orgs::Org;
use super::place::{Field, OrgBlind, Table, org_key};
use super::refusal::Refusal;
use crate::domain::refresh::Custody;
use crate::store::{Key, Record};

impl Vault {
    /// The connection that stands there; none where there is none, or none with a refresh token.
    ///
    /// # Errors
    /// `integrity`; the store cannot be read.
    pub fn survey_at(&self, blind: &[u8; 32]) -> Result<Option<Surveyed>, Refusal> {
        let mut key = Key([Table::Connection as u8; 33]);
        key.0[1..].copy_from_slice(blind);
        let record = self.store.read(&key)?.filter(|record| has(record, Field::RefreshToken));
        record.map(|record| self.survey_one(&key, &record, &mut None)).transpose()
    }

    /// As [`Vault::survey_at`], by name.
    ///
    /// # Errors
    /// `not_found` (the org), and as [`Vault::survey_at`].
    pub fn survey_of(&self, org: &OrgId, id: &ConnectionId) -> Result<Option<Surveyed>, Refusal> {
        let org = self.org(org)?;
        self.survey_at(&blind(&self.blind.connection(org.blind, id)))
    }

    /// Tells who renews token sets that a connection is about to be what it says here. Should it not come to that, a look
    /// at its record will tell.
    pub(super) fn announce(
        &self,
        org: &Org,
        key: &Key,
        metadata: &Metadata,
        generation: u64,
        custody: &Custody,
    ) {
        if let Some(renewal) = self.renewal.get() {
            renewal.changed(&self.surveyed(org, key, metadata, generation, custody.clone()));
        }
    }

    /// `org` is the one that was passed last.
    pub(super) fn survey_one(
        &self,
        key: &Key,
        record: &Record,
        org: &mut Option<Arc<Org>>,
    ) -> Result<Surveyed, Refusal> {
        let org = self.org_passed(key, org)?;
        let (generation, metadata) = self.open_metadata(org, key, record)?;
        let custody = self.custody(org, key, record)?;
        Ok(self.surveyed(org, key, &metadata, generation, custody))
    }

    /// The org of a connection; opened, if it is not the one that was passed last.
    pub(super) fn org_passed<'a>(
        &self,
        key: &Key,
        last: &'a mut Option<Arc<Org>>,
    ) -> Result<&'a Arc<Org>, Refusal> {
        let of = OrgBlind::of_record(key);
        if last.as_ref().is_none_or(|org| org.blind != of) {
            *last = Some(self.org_in_passing(of)?);
        }
        last.as_ref().ok_or_else(|| Refusal::not_found("org"))
    }

    /// An org of which one record is looked at: it takes no place among those that are used.
    pub(super) fn org_in_passing(&self, blind: OrgBlind) -> Result<Arc<Org>, Refusal> {
        let key = org_key(blind);
        let record = self.store.read(&key)?.ok_or_else(|| Refusal::not_found("org"))?;
        let (own_key, id) = self.open_org_key(&key, &record)?;
        Ok(Arc::new(Org { id, blind, key: own_key }))
    }

    fn surveyed(
        &self,
        org: &Org,
        key: &Key,
        metadata: &Metadata,
        generation: u64,
        custody: Custody,
    ) -> Surveyed {
        Surveyed {
            org: org.id.clone(),
            id: metadata.id.clone(),
            generation,
            custody,
            life: metadata.life(),
            is_held: self.is_held(&metadata.id.provider, metadata.incarnation),
            created_at: metadata.created_at,
            blind: blind(key),
            read_by: self.last_reads.latest(key),
        }
    }
}

fn blind(key: &Key) -> [u8; 32] {
    let mut blind = [0; 32];
    blind.copy_from_slice(&key.0[1..]);
    blind
}
