//! Imports: token sets of many orgs that an application kept by itself, moved in.
//!
//! The hard problem: an import of 100,000 rows is cut short and run again, beside applications that write. The
//! answer: each item is one atomic change with its own audit entry, whose precondition is what it was compared
//! with; what is there already is found equal inside, and no token goes out to compare it elsewhere.
//!
//! Never replaces a token set by one that came before it: that would bring back a spent refresh token.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokenkeep_client::ids::{ConnectionId, OrgId};
use tokenkeep_client::import::{Different, ITEMS, ImportIn, ImportItem, Imported, MissingOrg, Mode, Terms};
use tokenkeep_client::problem::Code;
use tokio::task::JoinSet;

use super::ask::Ask;
use super::caller::Caller;
use super::connection_record::Relation;
use super::connections::{TRIES, standing};
use super::door::Permit;
use super::refusal::Refusal;
use super::request_id::RequestId;
use super::{Vault, apart};
use crate::chain::Mark;
use crate::domain::action::Action;
use crate::domain::token_set::Accepted;
use crate::store::{Batch, Change, CommitError};

/// What became of an item, or would.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    /// In a word.
    pub outcome: Imported,
    /// The generation that is stored now; none where it only would be.
    pub generation: Option<u64>,
}

/// What became of an import.
#[derive(Debug)]
pub struct Import {
    /// Orgs that were created, or would be.
    pub created_orgs: BTreeSet<OrgId>,
    /// One an item, in order.
    pub results: Vec<Result<Done, Refusal>>,
}

impl Vault {
    /// Stores many token sets, or says what that would do. Items do not depend on each other.
    ///
    /// # Errors
    /// Of the request as a whole: `rate_limited`, `invalid_request`, `audit_unavailable`, `storage_full`.
    pub async fn import(
        self: &Arc<Self>,
        caller: &Arc<Caller>,
        request: RequestId,
        wanted: ImportIn,
    ) -> Result<Import, Refusal> {
        let (vault, caller) = (Arc::clone(self), Arc::clone(caller));
        apart(async move {
            let action = action_of(wanted.terms.mode);
            let whole = Ask::new(&request, action);
            vault.take_allowance(&caller, &whole)?;
            if wanted.items.len() > ITEMS {
                let refusal = Refusal::invalid("an import has at most 1000 items");
                vault.record_denial(&caller, &whole, &refusal)?;
                return Err(refusal);
            }
            let terms = wanted.terms;
            let items: Vec<_> = wanted.items.into_iter().map(|item| vault.judged(item)).collect();
            let created_orgs = vault.missing_orgs(&caller, request, terms, &items).await?;
            let results = vault.import_items(&caller, request, terms, items, &created_orgs).await?;
            vault.end_batch().await?;
            Ok(Import { created_orgs, results })
        })
        .await
    }

    fn judged(&self, item: ImportItem) -> Judged {
        let ImportItem { org, provider, name, tokens } = item;
        let id = ConnectionId { provider, name };
        let accepted = self.accept_token_set(&id, tokens);
        Judged { org, id, accepted }
    }

    /// Creates the orgs that are missing, or says which those are. None is created for what is refused anyway.
    async fn missing_orgs(
        self: &Arc<Self>,
        caller: &Arc<Caller>,
        request: RequestId,
        terms: Terms,
        items: &[Judged],
    ) -> Result<BTreeSet<OrgId>, Refusal> {
        let mut missing = BTreeSet::new();
        if terms.missing_org == MissingOrg::Refuse {
            return Ok(missing);
        }
        let accepted = items.iter().filter(|item| item.accepted.is_ok());
        for org in accepted.map(|item| &item.org).collect::<BTreeSet<_>>() {
            match self.org(org) {
                Err(refusal) if refusal.code == Code::NotFound => drop(missing.insert(org.clone())),
                // What else is in the way, each item of the org will say.
                _ => {}
            }
        }
        if terms.mode == Mode::DryRun {
            return Ok(missing);
        }
        let mut making = JoinSet::new();
        for org in missing {
            let (vault, caller) = (Arc::clone(self), Arc::clone(caller));
            making.spawn(async move { (vault.create_org(&caller, request, org.clone()).await, org) });
        }
        let mut created = BTreeSet::new();
        while let Some(made) = making.join_next().await {
            match made {
                Ok((Ok((_, true)), org)) => drop(created.insert(org)),
                Ok((Err(refusal), _)) if refusal.code == Code::AuditUnavailable => return Err(refusal),
                // Made by somebody else in between; or each item of the org will say why it is not there.
                _ => {}
            }
        }
        Ok(created)
    }

    /// All items at once, so that they share the syncs of the journal and of the audit log.
    async fn import_items(
        self: &Arc<Self>,
        caller: &Arc<Caller>,
        request: RequestId,
        terms: Terms,
        items: Vec<Judged>,
        created_orgs: &BTreeSet<OrgId>,
    ) -> Result<Vec<Result<Done, Refusal>>, Refusal> {
        let mut results: Vec<_> = items.iter().map(|_| Err(unended())).collect();
        let mut importing = JoinSet::new();
        for (at, item) in items.into_iter().enumerate() {
            let (vault, caller) = (Arc::clone(self), Arc::clone(caller));
            let org_would_be_new = terms.mode == Mode::DryRun && created_orgs.contains(&item.org);
            importing.spawn(async move {
                let Judged { org, id, accepted } = item;
                let ask = Ask::new(&request, action_of(terms.mode)).of(&org).on_connection(&id);
                let done = match terms.mode {
                    Mode::DryRun if org_would_be_new => {
                        let done = accepted.map(|_| Done { outcome: Imported::Created, generation: None });
                        vault.settle_compared(&caller, ask, done)
                    }
                    Mode::DryRun => {
                        let done = accepted.and_then(|set| vault.compare(&org, &id, &set, terms.different));
                        vault.settle_compared(&caller, ask, done)
                    }
                    Mode::Write => {
                        vault.import_item(&caller, ask, (&org, &id), accepted, terms.different).await
                    }
                };
                (at, done)
            });
        }
        while let Some(ended) = importing.join_next().await {
            match ended {
                Ok((_, Err(refusal))) if refusal.code == Code::AuditUnavailable => return Err(refusal),
                Ok((at, done)) => results[at] = done,
                Err(why) => tracing::error!(panicked = why.is_panic(), "an item of an import did not end"),
            }
        }
        Ok(results)
    }

    fn settle_compared(
        &self,
        caller: &Caller,
        ask: Ask<'_>,
        compared: Result<Done, Refusal>,
    ) -> Result<Done, Refusal> {
        let permit = self.admit_in_batch(caller, ask)?;
        permit.settle_in_batch(compared, |done| done.generation)?
    }

    async fn import_item(
        &self,
        caller: &Caller,
        ask: Ask<'_>,
        (org, id): (&OrgId, &ConnectionId),
        accepted: Result<Accepted, Refusal>,
        different: Different,
    ) -> Result<Done, Refusal> {
        let permit = self.admit_change_in_batch(caller, ask)?;
        let stored = match accepted {
            Ok(accepted) => self.store_if_different(org, id, &accepted, different, &permit).await,
            Err(refusal) => Err(refusal),
        };
        match stored {
            Ok((done, Some(mark))) => permit.settle_change(Ok((done, mark)), |done| done.generation).await,
            Ok((done, None)) => permit.settle_in_batch(Ok(done), |done| done.generation)?,
            Err(refusal) => permit.settle_in_batch(Err(refusal), |_: &Done| None)?,
        }
    }

    fn compare(
        &self,
        org: &OrgId,
        id: &ConnectionId,
        accepted: &Accepted,
        different: Different,
    ) -> Result<Done, Refusal> {
        let org = self.org(org)?;
        let key = self.blind.connection(org.blind, id);
        let Some(stored) = self.store.read(&key)? else {
            return Ok(Done { outcome: Imported::Created, generation: None });
        };
        let (generation, relation) = self.relate(&org, &key, id, accepted, &stored)?;
        let done = already_there(relation, generation, different)?;
        Ok(done.unwrap_or(Done { outcome: Imported::Replaced, generation: None }))
    }

    async fn store_if_different(
        &self,
        org: &OrgId,
        id: &ConnectionId,
        accepted: &Accepted,
        different: Different,
        permit: &Permit<'_>,
    ) -> Result<(Done, Option<Mark>), Refusal> {
        let org = self.org(org)?;
        let key = self.blind.connection(org.blind, id);
        for _ in 0..TRIES {
            let stored = self.store.read(&key)?;
            if let Some(stored) = &stored {
                let (generation, relation) = self.relate(&org, &key, id, accepted, stored)?;
                if let Some(done) = already_there(relation, generation, different)? {
                    return Ok((done, None));
                }
            }
            let (record, out) = self.next_record(&org, &key, id, accepted, stored.as_ref())?;
            let batch = Batch {
                preconditions: vec![standing(key, stored.as_ref())],
                changes: vec![Change::Put(key, record)],
                note: self.note(permit),
            };
            match self.store.commit(batch).await {
                Ok(mark) => {
                    let outcome = if stored.is_some() { Imported::Replaced } else { Imported::Created };
                    return Ok((Done { outcome, generation: Some(out.generation) }, Some(mark)));
                }
                Err(CommitError::Conflict) => {}
                Err(why) => return Err(why.into()),
            }
        }
        Err(CommitError::Conflict.into())
    }
}

/// An item, judged by the rules of tokens and of its provider.
struct Judged {
    org: OrgId,
    id: ConnectionId,
    accepted: Result<Accepted, Refusal>,
}

/// A dry run answers whether a token set is the stored one: that is an act of its own in the audit log.
fn action_of(mode: Mode) -> Action {
    match mode {
        Mode::DryRun => Action::ConnectionCompare,
        Mode::Write => Action::ConnectionWrite,
    }
}

/// What there is to say where nothing is to be written; none where the stored token set is to be replaced.
fn already_there(relation: Relation, generation: u64, different: Different) -> Result<Option<Done>, Refusal> {
    let generation = Some(generation);
    match (relation, different) {
        (Relation::Same, _) => Ok(Some(Done { outcome: Imported::Unchanged, generation })),
        (Relation::Older, _) => Ok(Some(Done { outcome: Imported::Newer, generation })),
        (Relation::Different, Different::Replace) => Ok(None),
        (Relation::Different, Different::Refuse) => {
            Err(Refusal::new(Code::AlreadyExists, "the connection is there with another token set"))
        }
    }
}

fn unended() -> Refusal {
    Refusal::new(Code::Internal, "the item did not end; whether it was stored, a second import will tell")
}
