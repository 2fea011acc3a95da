//! Connections with one refresh token: noticed, refreshed as one, never played off against each other. Those of one account
//! with refresh tokens of their own are noticed, too, and only that.
//!
//! The hard problem: two connections with one refresh token that rotates, and the refresh of one spends the other's. The
//! answer: each connection that has a refresh token stands under its fingerprint, too. Those of one org at one provider
//! get the intent in one commit and the answer in one commit. Where another org or another `[[provider]]` has the token,
//! nobody's is sent while both have it: no answer of one org is written to another.
//!
//! ```text
//! store key: table 8, fingerprint of the refresh token or the account (16), the last 16 bytes of the connection's store key
//! value: the connection's store key (33)
//! ```
//!
//! An entry that is wrong costs a look and nothing else: the connection itself is asked which token and account it has.
//!
//! Never names one connection to who asks for another.

use std::sync::Arc;

use tokenkeep_client::ids::{ConnectionId, OrgId, ProviderId};
use tokenkeep_client::problem::Code;
use tokenkeep_client::wire::{ConnectionState, GrantSharing};

use super::Vault;
use super::census::state_of;
use super::connection_record::{ExchangeFate, Metadata};
use super::connections::standing;
use super::custody::{Conclusion, Kept};
use super::orgs::Org;
use super::place::{OrgBlind, grant_key, grant_prefix};
use super::refusal::Refusal;
use crate::crypto::hex;
use crate::domain::refresh::{Custody, Fingerprint, Intent, Reason};
use crate::store::{Batch, Change, KEY_LENGTH, Key, Record};

/// More connections with one refresh token are a mistake of the application; those beyond are not looked at.
const MOST: usize = 64;

/// Another connection with the same refresh token.
struct Mate {
    org: Arc<Org>,
    id: ConnectionId,
    key: Key,
    record: Record,
}

impl Mate {
    /// Whether it is refreshed together with a connection of this org at this provider.
    fn is_beside(&self, org: &Org, provider: &ProviderId) -> bool {
        self.org.id == org.id && self.id.provider == *provider
    }
}

impl Vault {
    /// The refresh token of a connection, named; none where it has none.
    ///
    /// # Errors
    /// `not_found`, `integrity`.
    pub fn grant(&self, org: &OrgId, id: &ConnectionId) -> Result<Option<Fingerprint>, Refusal> {
        self.look(org, id).map(|kept| kept.grant)
    }

    /// Whether other connections have this refresh token. Opens none.
    pub(super) fn sharing(
        &self,
        key: &Key,
        provider: &ProviderId,
        grant: Option<&Fingerprint>,
    ) -> Option<GrantSharing> {
        let mates = self.mates(key, grant?);
        let is_near = |mate: &Mate| mate.key.0[1..17] == key.0[1..17] && mate.id.provider == *provider;
        if mates.is_empty() {
            None
        } else if mates.iter().all(is_near) {
            Some(GrantSharing::Together)
        } else {
            Some(GrantSharing::Elsewhere)
        }
    }

    /// Whether another connection lives on the refresh token of this one.
    pub(super) fn is_shared(&self, org: &Org, key: &Key, record: &Record) -> Result<bool, Refusal> {
        let (_, metadata) = self.open_metadata(org, key, record)?;
        Ok(metadata.grant.is_some_and(|grant| !self.mates(key, &grant).is_empty()))
    }

    /// Whether another connection of its provider is of the same account. Opens no token.
    pub(super) fn has_same_account(&self, key: &Key, account: Option<&Fingerprint>) -> bool {
        account.is_some_and(|account| !self.mates(key, account).is_empty())
    }

    /// Whether a refresh of this connection would spend what another org or provider has.
    pub(super) fn would_spend_another_s(&self, provider: &ProviderId, sharing: Option<GrantSharing>) -> bool {
        sharing == Some(GrantSharing::Elsewhere) && !self.harms_nobody(provider)
    }

    /// What goes with the writing (or, without `next`, the removal) of a connection: where its refresh token and its account
    /// are found.
    pub(super) fn moves_of_grant(
        &self,
        org: &Org,
        key: &Key,
        current: Option<&Record>,
        next: Option<&[u8]>,
    ) -> Result<Vec<Change>, Refusal> {
        let names =
            |record: &Record| self.open_metadata(org, key, record).map(|(_, metadata)| names(metadata));
        // One that does not open may be replaced and removed all the same.
        let before = current.and_then(|record| names(record).ok()).unwrap_or_default();
        let next = next.map(|value| Record { revision: 0, value: value.into() });
        let after = next.as_ref().map(names).transpose()?.unwrap_or_default();
        let place = |name: &Fingerprint| self.place_of(name).map(|name| grant_key(name, key));
        let gone = before.iter().filter(|name| !after.contains(name)).filter_map(place).map(Change::Delete);
        let come = after.iter().filter(|name| !before.contains(name)).filter_map(place);
        Ok(gone.chain(come.map(|place| Change::Put(place, key.0.to_vec()))).collect())
    }

    fn place_of(&self, name: &Fingerprint) -> Option<[u8; 16]> {
        hex::decode(name.0.as_bytes())
    }

    /// The others. One that cannot be opened is none: it cannot be refreshed either.
    fn mates(&self, key: &Key, name: &Fingerprint) -> Vec<Mate> {
        let Some(place) = self.place_of(name) else { return Vec::new() };
        let found = self.store.scan(&grant_prefix(place), None, MOST).unwrap_or_default();
        found.iter().filter_map(|(_, entry)| self.mate(key, name, entry)).collect()
    }

    fn mate(&self, key: &Key, name: &Fingerprint, entry: &Record) -> Option<Mate> {
        let other = Key(<[u8; KEY_LENGTH]>::try_from(&*entry.value).ok()?);
        if other == *key {
            return None;
        }
        let record = self.store.read(&other).ok()??;
        let org = self.org_in_passing(OrgBlind::of_record(&other)).ok()?;
        let (_, metadata) = self.open_metadata(&org, &other, &record).ok()?;
        let id = metadata.id.clone();
        names(metadata).contains(name).then_some(Mate { org, id, key: other, record })
    }

    /// Writes the intent to all connections that have its refresh token.
    ///
    /// # Errors
    /// `quarantined`, where one of them is of another org or provider; `integrity`.
    pub(super) fn intend_with_mates(
        &self,
        batch: &mut Batch,
        kept: &Kept,
        provider: &ProviderId,
        intent: &Intent,
    ) -> Result<(), Refusal> {
        let mates = self.mates(&kept.key, &intent.token);
        if mates.iter().any(|mate| !mate.is_beside(&kept.org, provider)) && !self.harms_nobody(provider) {
            return Err(shared_elsewhere());
        }
        let custody = Custody::Refreshing { intent: intent.clone() };
        for mate in mates.iter().filter(|mate| mate.is_beside(&kept.org, provider)) {
            let record = self.with_exchange(&mate.org, &mate.key, &mate.record, &custody, None)?;
            batch.preconditions.push(standing(mate.key, Some(&mate.record)));
            batch.changes.push(Change::Put(mate.key, record));
        }
        Ok(())
    }

    /// Keeps what came of an exchange in the others, too. Those of other orgs and providers, where they came in the
    /// middle of it, are told what their token is worth by now, and nothing else. Gives how each stands once this is kept.
    pub(super) fn land_in_mates(
        &self,
        batch: &mut Batch,
        (org, key, provider): (&Org, &Key, &ProviderId),
        intent: &Intent,
        conclusion: &Conclusion,
    ) -> Result<Vec<(Key, ConnectionState)>, Refusal> {
        let mut landed = Vec::new();
        for mate in self.mates(key, &intent.token) {
            let custody = self.custody(&mate.org, &mate.key, &mate.record)?;
            let (at, record) = (&mate.key, &mate.record);
            let next = match &conclusion.granted {
                Some(granted) if mate.is_beside(org, provider) => {
                    let life = conclusion.usual_life;
                    let accepted = self.accepted(&mate.org, at, record, intent, granted, life)?;
                    let fate = ExchangeFate::Over;
                    let (next, _) =
                        self.next_record(&mate.org, at, &mate.id, &accepted, Some(record), fate)?;
                    landed.push((mate.key, ConnectionState::Active));
                    next
                }
                Some(granted) if granted.refresh_token.is_none() => continue,
                Some(_) => {
                    let spent = Custody::NeedsReauth { reason: Reason::SpentElsewhere, since: self.now() };
                    landed.push((mate.key, state_of(&spent)));
                    self.with_exchange(&mate.org, at, record, &spent, None)?
                }
                None if matches!(custody, Custody::NeedsReauth { .. }) => continue,
                None => {
                    let settled = intent.settle(conclusion.ended, self.now());
                    landed.push((mate.key, state_of(&settled)));
                    self.with_exchange(&mate.org, at, record, &settled, None)?
                }
            };
            batch.preconditions.push(standing(mate.key, Some(record)));
            batch.changes.extend(self.moves_of_grant(&mate.org, at, Some(record), Some(&next))?);
            batch.changes.push(Change::Put(mate.key, next));
        }
        Ok(landed)
    }
}

/// What a connection is found by: its refresh token and its account.
fn names(metadata: Metadata) -> Vec<Fingerprint> {
    metadata.grant.into_iter().chain(metadata.account).collect()
}

fn shared_elsewhere() -> Refusal {
    Refusal {
        reason: Some(SHARED_GRANT),
        ..Refusal::new(
            Code::Quarantined,
            "another org or provider has the same refresh token, and a refresh of one would spend the other's: delete \
             one of them without revoking it; the access token is served to its end",
        )
    }
}

/// Why a connection is held back whose refresh token another org or provider has.
pub(super) const SHARED_GRANT: &str = "shared_grant";
