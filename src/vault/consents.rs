//! Consents: what an org has agreed to, recorded and withdrawn, and without which nothing of some providers is served.
//!
//! The hard problem: a withdrawal must hold for the very next read, and a provider that asks for no consent must not pay
//! for those that do. The answer: one record a connection, looked up at each read of a provider that requires it, and
//! behind one flag where none does; and a withdrawal deletes the connection by the same commit, so that what slips past
//! the look finds nothing.
//!
//! Never served on a consent that was withdrawn: a new one has a new name.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokenkeep_client::ids::{ConnectionId, OrgId};
use tokenkeep_client::limits;
use tokenkeep_client::moment::Moment;
use tokenkeep_client::problem::Code;
use tokenkeep_client::wire::{ConsentOut, Page, RevocationState, to_body};

use super::ask::Ask;
use super::caller::Caller;
use super::connections::{TRIES, standing};
use super::door::Permit;
use super::orgs::Org;
use super::page::{Cursor, PageRequest};
use super::place::{Field, Table, org_prefix, place};
use super::record::{RecordView, RecordWriter};
use super::refusal::Refusal;
use super::request_id::RequestId;
use super::revocations::Told;
use super::sealed::Sealed;
use super::{Vault, apart};
use crate::chain::Mark;
use crate::crypto::{hex, random};
use crate::domain::action::Action;
use crate::store::{Batch, Change, CommitError, Key, Precondition, Record};

/// What a record of a consent says.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Consent {
    org: OrgId,
    #[serde(flatten)]
    id: ConnectionId,
    /// Its own name, in the entries of what rests on it.
    consent: String,
    reference: String,
    recorded_at: Moment,
    recorded_by: String,
    withdrawn: Option<Withdrawn>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Withdrawn {
    at: Moment,
    by: String,
}

/// What a consent rests on: a document, a ticket, the version of a form. Judged.
#[derive(Debug, Clone)]
pub(super) struct Reference(String);

impl Reference {
    pub(super) fn judge(text: String) -> Result<Self, Refusal> {
        let fine = (1..=limits::CONSENT).contains(&text.len()) && !text.chars().any(char::is_control);
        if fine {
            return Ok(Self(text));
        }
        Err(Refusal::invalid("consent is 1 to 512 bytes without control characters: what attests it"))
    }
}

/// A consent in the making, beside the change that it belongs to.
pub(super) struct Recorded {
    pub(super) name: String,
    pub(super) precondition: Precondition,
    pub(super) change: Change,
}

impl Vault {
    /// The name of the consent that a read of this connection rests on; none where its provider requires none.
    ///
    /// # Errors
    /// `consent_required`: none stands.
    pub(super) fn standing_consent(&self, org: &OrgId, id: &ConnectionId) -> Result<Option<String>, Refusal> {
        if !self.rules.asks_for_consent() {
            return Ok(None);
        }
        self.consent_looked_up(org, id)
    }

    #[cold]
    fn consent_looked_up(&self, org: &OrgId, id: &ConnectionId) -> Result<Option<String>, Refusal> {
        let rules = self.rules.now();
        if !rules.providers.find(&id.provider).is_some_and(|provider| provider.requires_consent) {
            return Ok(None);
        }
        let org = self.org(org)?;
        let key = self.blind.consent(org.blind, id);
        let record = self.store.read(&key)?.ok_or_else(consent_required)?;
        let consent = self.open_consent(&org, &key, &record)?;
        if consent.id != *id {
            return Err(Refusal::integrity("consent", &"it is another connection's"));
        }
        match consent.withdrawn {
            None => Ok(Some(consent.consent)),
            Some(_) => Err(consent_required()),
        }
    }

    /// Records that an org consents.
    ///
    /// # Errors
    /// The door's; `invalid_request`, `not_found` (the org), `storage_full`.
    pub async fn record_consent(
        self: &Arc<Self>,
        caller: &Arc<Caller>,
        request: RequestId,
        org: OrgId,
        id: ConnectionId,
        reference: String,
    ) -> Result<ConsentOut, Refusal> {
        let (vault, caller) = (Arc::clone(self), Arc::clone(caller));
        apart(async move {
            let ask = Ask::new(&request, Action::ConsentRecord).of(&org).on_connection(&id);
            let mut permit = vault.admit_change(&caller, ask)?;
            let recorded = vault.commit_consent(&mut permit, &org, &id, reference).await;
            permit.settle_change(recorded, |_| None).await
        })
        .await
    }

    async fn commit_consent(
        &self,
        permit: &mut Permit<'_>,
        org: &OrgId,
        id: &ConnectionId,
        reference: String,
    ) -> Result<(ConsentOut, Mark), Refusal> {
        let reference = Reference::judge(reference)?;
        let org = self.org(org)?;
        for _ in 0..TRIES {
            let recorded = self.consent_beside(&org, id, &reference, &permit.caller().principal().name)?;
            let batch = Batch {
                preconditions: vec![recorded.precondition],
                changes: vec![recorded.change],
                note: self.note(permit),
            };
            match self.commit(batch).await {
                Ok(mark) => {
                    permit.rests_on(Some(recorded.name));
                    let key = self.blind.consent(org.blind, id);
                    let record = self.store.read(&key)?.ok_or_else(|| Refusal::not_found("consent"))?;
                    return Ok((shown(self.open_consent(&org, &key, &record)?, None), mark));
                }
                Err(CommitError::Conflict) => {}
                Err(why) => return Err(why.into()),
            }
        }
        Err(CommitError::Conflict.into())
    }

    /// The record of a new consent, to be written by the change that it belongs to.
    pub(super) fn consent_beside(
        &self,
        org: &Org,
        id: &ConnectionId,
        reference: &Reference,
        by: &str,
    ) -> Result<Recorded, Refusal> {
        let key = self.blind.consent(org.blind, id);
        let current = self.store.read(&key)?;
        let consent = Consent {
            org: org.id.clone(),
            id: id.clone(),
            consent: hex::encode(&random::bytes::<8>()),
            reference: reference.0.clone(),
            recorded_at: self.now(),
            recorded_by: by.to_owned(),
            withdrawn: None,
        };
        let change = Change::Put(key, self.written_consent(org, &key, current.as_ref(), &consent));
        Ok(Recorded { name: consent.consent, precondition: standing(key, current.as_ref()), change })
    }

    /// Withdraws a consent: what rested on it is served no more, its connection is deleted and revoked.
    ///
    /// # Errors
    /// The door's; `not_found`: none stands; `storage_full`.
    pub async fn withdraw_consent(
        self: &Arc<Self>,
        caller: &Arc<Caller>,
        request: RequestId,
        org: OrgId,
        id: ConnectionId,
    ) -> Result<ConsentOut, Refusal> {
        let (vault, caller) = (Arc::clone(self), Arc::clone(caller));
        let (mut out, told) = apart(async move {
            let ask = Ask::new(&request, Action::ConsentWithdraw).of(&org).on_connection(&id);
            let mut permit = vault.admit_change(&caller, ask)?;
            let withdrawn = vault.commit_withdrawal(&mut permit, &org, &id).await;
            permit.settle_change(withdrawn, |_| None).await
        })
        .await?;
        if let Some(told) = told {
            out.revocation = Some(told.await);
        }
        Ok(out)
    }

    async fn commit_withdrawal(
        &self,
        permit: &mut Permit<'_>,
        org: &OrgId,
        id: &ConnectionId,
    ) -> Result<((ConsentOut, Option<Told>), Mark), Refusal> {
        let org = self.org(org)?;
        let (at, connection) = (self.blind.consent(org.blind, id), self.blind.connection(org.blind, id));
        for _ in 0..TRIES {
            let record = self.store.read(&at)?.ok_or_else(none_stands)?;
            let mut consent = self.open_consent(&org, &at, &record)?;
            if consent.withdrawn.is_some() {
                return Err(none_stands());
            }
            let by = permit.caller().principal().name.clone();
            consent.withdrawn = Some(Withdrawn { at: self.now(), by });
            let mut batch = Batch {
                preconditions: vec![standing(at, Some(&record))],
                changes: vec![Change::Put(at, self.written_consent(&org, &at, Some(&record), &consent))],
                note: self.note(permit),
            };
            let held = self.store.read(&connection)?;
            batch.preconditions.push(standing(connection, held.as_ref()));
            let mut draft = None;
            if let Some(held) = &held {
                batch.changes.push(Change::Delete(connection));
                // A store that may be a copy stops serving at once all the same; the grant is the other's to end.
                let revokes = self.refuse_unproven(&org, &connection, held).is_ok();
                draft = self.draft_of(&org, id, &connection, held)?.filter(|_| revokes).map(|draft| {
                    batch.preconditions.push(draft.precondition);
                    batch.changes.push(draft.change);
                    (draft.note, draft.not_before)
                });
            }
            match self.commit(batch).await {
                Ok(mark) => {
                    permit.rests_on(Some(consent.consent.clone()));
                    let told = draft.and_then(|(note, not_before)| self.act_on(note, not_before));
                    let revocation = held.as_ref().map(|_| match draft {
                        Some(_) => RevocationState::Pending,
                        None => RevocationState::Impossible,
                    });
                    return Ok(((shown(consent, revocation), told), mark));
                }
                Err(CommitError::Conflict) => {}
                Err(why) => return Err(why.into()),
            }
        }
        Err(CommitError::Conflict.into())
    }

    /// A page of an org's consents, those that were withdrawn among them.
    ///
    /// # Errors
    /// The door's; `not_found` (the org), `integrity`.
    pub async fn list_consents(
        &self,
        caller: &Caller,
        request: RequestId,
        org: &OrgId,
        page: &PageRequest,
    ) -> Result<Page<ConsentOut>, Refusal> {
        let permit = self.admit(caller, Ask::new(&request, Action::ConsentList).of(org))?;
        let list = || {
            let org = self.org(org)?;
            let prefix = org_prefix(Table::Consent, org.blind);
            let after = page.after.map(|cursor| cursor.key(&prefix));
            let records = self.store.scan(&prefix, after.as_ref(), page.most)?;
            let next = (records.len() == page.most).then(|| records.last()).flatten();
            let next = next.map(|(key, _)| Cursor::inside(key).to_string());
            let opened =
                |(key, record): &(Key, Record)| Ok(shown(self.open_consent(&org, key, record)?, None));
            Ok(Page { items: records.iter().map(opened).collect::<Result<_, Refusal>>()?, next })
        };
        permit.settle(list(), |_| None).await
    }

    fn written_consent(&self, org: &Org, key: &Key, current: Option<&Record>, consent: &Consent) -> Vec<u8> {
        let before = current.and_then(|record| RecordView::parse(&record.value));
        let generation = before.map_or(1, |view| view.generation() + 1);
        let sealed =
            Sealed::of(&org.key, &place(self.vault_id, key, Field::Consent), generation, &to_body(consent));
        RecordWriter::new(generation).section(Field::Consent, &sealed).finish()
    }

    fn open_consent(&self, org: &Org, key: &Key, record: &Record) -> Result<Consent, Refusal> {
        let opened = self.open_section(org, key, &record.value, Field::Consent)?;
        let consent: Consent = serde_json::from_slice(opened.expose())
            .map_err(|_| Refusal::integrity("consent", &"it is not what was written"))?;
        if consent.org != org.id {
            return Err(Refusal::integrity("consent", &"it is another org's"));
        }
        Ok(consent)
    }
}

fn shown(consent: Consent, revocation: Option<RevocationState>) -> ConsentOut {
    ConsentOut {
        provider: consent.id.provider,
        name: consent.id.name,
        consent: consent.consent,
        reference: consent.reference,
        recorded_at: consent.recorded_at,
        recorded_by: consent.recorded_by,
        stands: consent.withdrawn.is_none(),
        withdrawn_at: consent.withdrawn.as_ref().map(|withdrawn| withdrawn.at),
        withdrawn_by: consent.withdrawn.map(|withdrawn| withdrawn.by),
        revocation,
    }
}

fn consent_required() -> Refusal {
    Refusal::new(
        Code::ConsentRequired,
        "the provider requires a consent and none stands for this connection; record one",
    )
}

fn none_stands() -> Refusal {
    Refusal::new(Code::NotFound, "no consent stands for this connection")
}
