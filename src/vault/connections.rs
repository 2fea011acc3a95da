//! Connections: token sets taken in, shown without their tokens, listed, deleted.
//!
//! A change without a condition is tried again when another came first; one with a condition is refused.

use std::sync::Arc;
use std::time::Duration;

use tokenkeep_client::ids::{ConnectionId, OrgId, ProviderId};
use tokenkeep_client::problem::Code;
use tokenkeep_client::wire::{ConnectionOut, ConnectionState, Deleted, Page, RevocationState, TokenSet};

use super::ask::Ask;
use super::caller::Caller;
use super::connection_record::ExchangeFate;
use super::consents::Reference;
use super::door::Permit;
use super::orgs::Org;
use super::page::{Cursor, PageRequest};
use super::place::{Table, org_prefix};
use super::record::RecordView;
use super::refusal::Refusal;
use super::request_id::RequestId;
use super::revocations::Farewell;
use super::telling::Telling;
use super::{Vault, apart};
use crate::chain::Mark;
use crate::domain::action::Action;
use crate::domain::provider::NotAccepted;
use crate::domain::token_set::{Accepted, accept};
use crate::store::{Batch, Change, CommitError, Key, Precondition, Record};

/// A change without a condition is tried again when another came first; so often, no more.
pub(super) const TRIES: usize = 8;
/// A filtered list looks at so many records a page; the cursor goes on from there.
const LOOK_AT_MOST: usize = 10_000;

/// What must hold for a change of a connection (RFC 9110, section 13.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// `If-None-Match: *`
    Absent,
    /// `If-Match: "7"`
    Generation(u64),
    /// No condition.
    None,
}

/// Where a token set comes from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source<'a> {
    /// A caller, who has it still: on this condition, with this consent.
    Caller(Condition, Option<&'a Reference>),
    /// Its provider, for a code that is spent: nobody can ask for it again.
    Provider,
}

/// Which connections a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConnectionFilter {
    /// Only of this issuer.
    pub provider: Option<ProviderId>,
    /// Only in this state.
    pub state: Option<ConnectionState>,
}

impl Vault {
    /// Stores a token set.
    ///
    /// # Errors
    /// The door's; `invalid_request`, `unknown_provider`, `scope_not_allowed`, `not_found` (the org),
    /// `precondition_failed`, `conflict`, `storage_full`.
    pub async fn put_connection(
        self: &Arc<Self>,
        caller: &Arc<Caller>,
        request: RequestId,
        org: OrgId,
        id: ConnectionId,
        set: TokenSet,
        condition: Condition,
    ) -> Result<ConnectionOut, Refusal> {
        let (vault, caller) = (Arc::clone(self), Arc::clone(caller));
        apart(async move {
            let mut permit = vault.admit_change(
                &caller,
                Ask::new(&request, Action::ConnectionWrite).of(&org).on_connection(&id),
            )?;
            let stored = vault.store_token_set(&mut permit, &org, &id, set, condition).await;
            permit.settle_change(stored, |out| Some(out.generation)).await
        })
        .await
    }

    /// Shows a connection.
    ///
    /// # Errors
    /// The door's; `not_found`, `integrity`.
    pub async fn show_connection(
        &self,
        caller: &Caller,
        request: RequestId,
        org: &OrgId,
        id: &ConnectionId,
    ) -> Result<ConnectionOut, Refusal> {
        let permit =
            self.admit(caller, Ask::new(&request, Action::ConnectionRead).of(org).on_connection(id))?;
        let show = || {
            let org = self.org(org)?;
            let key = self.blind.connection(org.blind, id);
            let record = self.store.read(&key)?.ok_or_else(|| Refusal::not_found("connection"))?;
            let out = self.describe_connection(&org, &key, &record)?;
            if out.provider == id.provider && out.name == id.name {
                Ok(out)
            } else {
                Err(Refusal::integrity("connection", &"the record is another connection's"))
            }
        };
        permit.settle(show(), |out| Some(out.generation)).await
    }

    /// A page of an org's connections, in the order of their blind names.
    ///
    /// # Errors
    /// The door's; `not_found` (the org), `integrity`.
    pub async fn list_connections(
        &self,
        caller: &Caller,
        request: RequestId,
        org: &OrgId,
        filter: &ConnectionFilter,
        page: &PageRequest,
    ) -> Result<Page<ConnectionOut>, Refusal> {
        let ask =
            Ask { provider: filter.provider.as_ref(), ..Ask::new(&request, Action::ConnectionList).of(org) };
        let permit = self.admit(caller, ask)?;
        let listed = self.org(org).and_then(|org| self.page_of_connections(caller, &org, filter, page));
        permit.settle(listed, |_| None).await
    }

    /// Deletes a connection: it is gone for its readers when this is durable, and with it stands what is to be revoked
    /// at the provider. That is waited for a moment, and goes on by itself.
    ///
    /// # Errors
    /// The door's; `not_found`, `precondition_failed`, `conflict`, `storage_full`.
    pub async fn delete_connection(
        self: &Arc<Self>,
        caller: &Arc<Caller>,
        request: RequestId,
        org: OrgId,
        id: ConnectionId,
        condition: Condition,
        farewell: Farewell,
    ) -> Result<Deleted, Refusal> {
        let (vault, caller) = (Arc::clone(self), Arc::clone(caller));
        let revoking = apart(async move {
            let permit = vault.admit_change(
                &caller,
                Ask::new(&request, Action::ConnectionDelete).of(&org).on_connection(&id),
            )?;
            let note = vault.note(&permit);
            let removed = vault.remove_connection(&org, &id, condition, farewell, &note).await;
            // Durable by now, whatever becomes of the entry: so it is acted on.
            let told = match &removed {
                Ok((Some((note, not_before)), _)) => vault.act_on(*note, *not_before),
                Ok((None, _)) | Err(_) => None,
            };
            let drafted = permit.settle_change(removed, |_| None).await?.is_some();
            if farewell == Farewell::Revoke && !drafted {
                vault.record_irrevocable(&request, &org, &id).await;
            }
            Ok((drafted, told))
        })
        .await?;
        let revocation = match (farewell, revoking) {
            (Farewell::Leave, _) => RevocationState::NotAsked,
            (Farewell::Revoke, (_, Some(told))) => told.await,
            (Farewell::Revoke, (true, None)) => RevocationState::Pending,
            (Farewell::Revoke, (false, None)) => RevocationState::Impossible,
        };
        Ok(Deleted {
            deleted: true,
            revoked: revocation == RevocationState::Done,
            revocation: Some(revocation),
        })
    }

    /// Checks a token set against the rules of tokens and of its provider.
    pub(super) fn accept_token_set(&self, id: &ConnectionId, set: TokenSet) -> Result<Accepted, Refusal> {
        let separator = self.rules.now().providers.scope_separator(&id.provider);
        let accepted = accept(set, self.now(), separator).map_err(|rejected| Refusal::invalid(rejected.0))?;
        self.accept_scopes(id, &accepted.scopes)?;
        Ok(accepted)
    }

    /// Whether a token of this provider may have these scopes.
    #[must_use]
    pub fn allows_scopes(&self, id: &ConnectionId, scopes: &[String]) -> bool {
        self.rules.now().providers.accept(&id.provider, scopes) != Err(NotAccepted::Scope)
    }

    /// Checks scopes against the rules of their provider.
    pub(super) fn accept_scopes(&self, id: &ConnectionId, scopes: &[String]) -> Result<(), Refusal> {
        self.rules.now().providers.accept(&id.provider, scopes).map_err(|why| match why {
            NotAccepted::Scope => scope_not_allowed(),
            NotAccepted::Unknown => {
                Refusal::new(Code::UnknownProvider, "no [[provider]] with this id is configured")
            }
        })
    }

    async fn store_token_set(
        &self,
        permit: &mut Permit<'_>,
        org: &OrgId,
        id: &ConnectionId,
        mut set: TokenSet,
        condition: Condition,
    ) -> Result<(ConnectionOut, Mark), Refusal> {
        let consent = set.consent.take().map(Reference::judge).transpose()?;
        let accepted = self.accept_token_set(id, set)?;
        self.store_accepted(permit, org, id, &accepted, Source::Caller(condition, consent.as_ref())).await
    }

    /// Stores a token set that follows the rules.
    pub(super) async fn store_accepted(
        &self,
        permit: &mut Permit<'_>,
        org: &OrgId,
        id: &ConnectionId,
        accepted: &Accepted,
        source: Source<'_>,
    ) -> Result<(ConnectionOut, Mark), Refusal> {
        let (condition, consent) = match source {
            Source::Caller(condition, consent) => (condition, consent),
            Source::Provider => (Condition::None, None),
        };
        let org = self.org(org)?;
        let key = self.blind.connection(org.blind, id);
        for _ in 0..TRIES {
            let current = self.store.read(&key)?;
            check(condition, current.as_ref())?;
            let (record, out) =
                self.next_record(&org, &key, id, accepted, current.as_ref(), ExchangeFate::Follows)?;
            let mut telling = self.telling_of_storing(&org, &key, id, current.as_ref(), &out)?;
            let mut batch = Batch {
                preconditions: vec![standing(key, current.as_ref())],
                changes: self.moves_of_grant(&org, &key, current.as_ref(), Some(&record))?,
                note: self.note(permit),
            };
            batch.changes.push(Change::Put(key, record));
            batch.changes.extend(telling.iter_mut().flat_map(Telling::changes));
            let mut rests_on = None;
            if let Some(reference) = consent {
                let by = &permit.caller().principal().name;
                let recorded = self.consent_beside(&org, id, reference, by)?;
                batch.preconditions.push(recorded.precondition);
                batch.changes.push(recorded.change);
                rests_on = Some(recorded.name);
            }
            let committed = match source {
                Source::Caller(..) => self.commit(batch).await,
                Source::Provider => self.commit_precious(batch).await,
            };
            match committed {
                Ok(mark) => {
                    self.told(telling, mark);
                    self.note_stored(key, &out);
                    permit.rests_on(rests_on);
                    return Ok((out, mark));
                }
                Err(CommitError::Conflict) => {}
                Err(why) => return Err(why.into()),
            }
        }
        Err(CommitError::Conflict.into())
    }

    fn page_of_connections(
        &self,
        caller: &Caller,
        org: &Org,
        filter: &ConnectionFilter,
        page: &PageRequest,
    ) -> Result<Page<ConnectionOut>, Refusal> {
        let prefix = org_prefix(Table::Connection, org.blind);
        let mut after = page.after.map(|cursor| cursor.key(&prefix));
        let mut items = Vec::new();
        let mut looked_at = 0;
        loop {
            let most = page.most.max(64);
            let records = self.store.scan(&prefix, after.as_ref(), most)?;
            let last_page = records.len() < most;
            for (key, record) in records {
                if items.len() == page.most || looked_at == LOOK_AT_MOST {
                    let next = after.as_ref().map(|key| Cursor::inside(key).to_string());
                    return Ok(Page { items, next });
                }
                let out = self.describe_connection(org, &key, &record)?;
                let wanted = filter.provider.as_ref().is_none_or(|provider| *provider == out.provider)
                    && filter.state.is_none_or(|state| state == out.state)
                    && caller.may_see(&org.id, &out.provider);
                if wanted {
                    items.push(out);
                }
                looked_at += 1;
                after = Some(key);
            }
            if last_page {
                return Ok(Page { items, next: None });
            }
        }
    }

    async fn remove_connection(
        &self,
        org: &OrgId,
        id: &ConnectionId,
        condition: Condition,
        farewell: Farewell,
        note: &[u8],
    ) -> Result<(Option<(Key, Duration)>, Mark), Refusal> {
        let org = self.org(org)?;
        let key = self.blind.connection(org.blind, id);
        for _ in 0..TRIES {
            let current = self.store.read(&key)?.ok_or_else(|| Refusal::not_found("connection"))?;
            check(condition, Some(&current))?;
            let draft = match farewell {
                Farewell::Leave => None,
                Farewell::Revoke => self.draft_of(&org, id, &key, &current)?,
            };
            if draft.is_some() {
                self.refuse_unproven(&org, &key, &current)?;
            }
            let mut batch = Batch {
                preconditions: vec![standing(key, Some(&current))],
                changes: self.moves_of_grant(&org, &key, Some(&current), None)?,
                note: note.to_vec(),
            };
            batch.changes.push(Change::Delete(key));
            let drafted = draft.map(|draft| {
                batch.preconditions.push(draft.precondition);
                batch.changes.push(draft.change);
                (draft.note, draft.not_before)
            });
            match self.commit(batch).await {
                Ok(mark) => {
                    self.census.note(key, ConnectionState::Active);
                    return Ok((drafted, mark));
                }
                Err(CommitError::Conflict) => {}
                Err(why) => return Err(why.into()),
            }
        }
        Err(CommitError::Conflict.into())
    }
}

/// A token set goes beyond what its provider may give.
#[must_use]
pub fn scope_not_allowed() -> Refusal {
    Refusal::new(Code::ScopeNotAllowed, "a scope goes beyond the provider's allowed_scopes")
}

fn check(condition: Condition, current: Option<&Record>) -> Result<(), Refusal> {
    let generation =
        current.and_then(|record| RecordView::parse(&record.value)).map(|view| view.generation());
    let holds = match condition {
        Condition::Absent => current.is_none(),
        Condition::Generation(wanted) => generation == Some(wanted),
        Condition::None => true,
    };
    if holds {
        Ok(())
    } else {
        Err(Refusal::new(
            Code::PreconditionFailed,
            "the connection is not as If-Match or If-None-Match says; read it and try again",
        ))
    }
}

pub(super) fn standing(key: Key, current: Option<&Record>) -> Precondition {
    current.map_or(Precondition::Absent(key), |record| Precondition::Unchanged(key, record.revision))
}
