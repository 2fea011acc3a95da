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
use tokenkeep_client::wire::ConnectionOut;
use tokio::task::JoinSet;

use super::ask::Ask;
use super::caller::Caller;
use super::connection_record::{ExchangeFate, Relation};
use super::connections::{TRIES, standing};
use super::door::Permit;
use super::refusal::Refusal;
use super::request_id::RequestId;
use super::telling::Telling;
use super::{Vault, apart};
use crate::chain::Mark;
use crate::domain::action::Action;
use crate::domain::token_set::Accepted;
use crate::store::{Batch, Change, CommitError, Key};

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
            let results = match terms.mode {
                Mode::DryRun => vault.compare_items(&caller, &request, terms, &items, &created_orgs).await?,
                Mode::Write => vault.store_items(&caller, &request, terms, &items).await?,
            };
            Ok(Import { created_orgs, results })
        })
        .await
    }

    fn judged(&self, item: ImportItem) -> Judged {
        let ImportItem { org, provider, name, tokens } = item;
        let id = ConnectionId { provider, name };
        let accepted = match &tokens.consent {
            None => self.accept_token_set(&id, tokens),
            Some(_) => Err(Refusal::invalid("an import records no consent; record it by itself")),
        };
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

    async fn compare_items(
        &self,
        caller: &Caller,
        request: &RequestId,
        terms: Terms,
        items: &[Judged],
        created_orgs: &BTreeSet<OrgId>,
    ) -> Result<Vec<Result<Done, Refusal>>, Refusal> {
        let mut results = Vec::with_capacity(items.len());
        for item in items {
            let permit = match self.admit_in_batch(caller, item.ask(request, terms.mode)) {
                Ok(permit) => permit,
                Err(refusal) => {
                    results.push(unless_unaudited(refusal)?);
                    continue;
                }
            };
            let compared = match &item.accepted {
                Err(refusal) => Err(refusal.clone()),
                Ok(_) if created_orgs.contains(&item.org) => Ok(Done::would_be(Imported::Created)),
                Ok(accepted) => self.compare(item, accepted, terms.different),
            };
            results.push(permit.settle_in_batch(compared, |done| done.generation)?);
            pause(results.len()).await;
        }
        self.end_batch().await?;
        Ok(results)
    }

    /// Each change is on its way to the journal while the next is sealed, so that many share a sync; and their
    /// entries in the audit log share one.
    async fn store_items(
        &self,
        caller: &Caller,
        request: &RequestId,
        terms: Terms,
        items: &[Judged],
    ) -> Result<Vec<Result<Done, Refusal>>, Refusal> {
        let mut results = Vec::with_capacity(items.len());
        let mut under_way = Vec::with_capacity(items.len());
        for (at, item) in items.iter().enumerate() {
            results.push(Err(unended()));
            pause(at).await;
            let permit = match self.admit_change_in_batch(caller, item.ask(request, terms.mode)) {
                Ok(permit) => permit,
                Err(refusal) => {
                    results[at] = unless_unaudited(refusal)?;
                    continue;
                }
            };
            match self.next_step(item, terms.different, &permit) {
                Ok(Step::Commit(batch, done, after)) => {
                    under_way.push((at, permit, done, after, self.commit(batch)));
                }
                Ok(Step::Nothing(done)) => {
                    results[at] = permit.settle_in_batch(Ok(done), |done| done.generation)?;
                }
                Err(refusal) => results[at] = permit.settle_in_batch(Err(refusal), |_: &Done| None)?,
            }
        }
        for (at, permit, done, after, commit) in under_way {
            let stored = match commit.await {
                Ok(mark) => {
                    self.stored(*after, mark);
                    Ok((done, Some(mark)))
                }
                // Somebody else changed it in between: look again at what is there now.
                Err(CommitError::Conflict) => self.store_anew(&items[at], terms.different, &permit).await,
                Err(why) => Err(why.into()),
            };
            results[at] = match stored {
                Ok((done, Some(mark))) => Ok(permit.settle_change_in_batch((done, mark), done.generation)?),
                Ok((done, None)) => permit.settle_in_batch(Ok(done), |done| done.generation)?,
                Err(refusal) => permit.settle_in_batch(Err(refusal), |_: &Done| None)?,
            };
        }
        self.end_batch_of_changes().await?;
        Ok(results)
    }

    fn compare(&self, item: &Judged, accepted: &Accepted, different: Different) -> Result<Done, Refusal> {
        let org = self.org(&item.org)?;
        let key = self.blind.connection(org.blind, &item.id);
        let Some(stored) = self.store.read(&key)? else { return Ok(Done::would_be(Imported::Created)) };
        let (generation, relation) = self.relate(&org, &key, &item.id, accepted, &stored)?;
        let done = already_there(relation, generation, different)?;
        Ok(done.unwrap_or(Done::would_be(Imported::Replaced)))
    }

    /// What there is to do for an item as things stand now.
    fn next_step(&self, item: &Judged, different: Different, permit: &Permit<'_>) -> Result<Step, Refusal> {
        let accepted = item.accepted.as_ref().map_err(Clone::clone)?;
        let org = self.org(&item.org)?;
        let key = self.blind.connection(org.blind, &item.id);
        let stored = self.store.read(&key)?;
        if let Some(stored) = &stored {
            let (generation, relation) = self.relate(&org, &key, &item.id, accepted, stored)?;
            if let Some(done) = already_there(relation, generation, different)? {
                return Ok(Step::Nothing(done));
            }
        }
        let (record, out) =
            self.next_record(&org, &key, &item.id, accepted, stored.as_ref(), ExchangeFate::Follows)?;
        let outcome = if stored.is_some() { Imported::Replaced } else { Imported::Created };
        let telling = self.telling_of_storing(&org, &key, &item.id, stored.as_ref(), &out)?;
        let done = Done { outcome, generation: Some(out.generation) };
        let mut after = Box::new(After { telling, key, out });
        let mut changes = self.moves_of_grant(&org, &key, stored.as_ref(), Some(&record))?;
        changes.push(Change::Put(key, record));
        changes.extend(after.telling.iter_mut().flat_map(Telling::changes));
        let batch =
            Batch { preconditions: vec![standing(key, stored.as_ref())], changes, note: self.note(permit) };
        Ok(Step::Commit(batch, done, after))
    }

    fn stored(&self, after: After, at: Mark) {
        self.told(after.telling, at);
        self.note_stored(after.key, &after.out);
    }

    async fn store_anew(
        &self,
        item: &Judged,
        different: Different,
        permit: &Permit<'_>,
    ) -> Result<(Done, Option<Mark>), Refusal> {
        for _ in 0..TRIES {
            match self.next_step(item, different, permit)? {
                Step::Nothing(done) => return Ok((done, None)),
                Step::Commit(batch, done, after) => match self.commit(batch).await {
                    Ok(mark) => {
                        self.stored(*after, mark);
                        return Ok((done, Some(mark)));
                    }
                    Err(CommitError::Conflict) => {}
                    Err(why) => return Err(why.into()),
                },
            }
        }
        Err(CommitError::Conflict.into())
    }
}

/// What there is to do for an item.
enum Step {
    /// This change.
    Commit(Batch, Done, Box<After>),
    /// Nothing.
    Nothing(Done),
}

/// What is told and counted once a change is durable.
struct After {
    telling: Option<Telling>,
    key: Key,
    out: ConnectionOut,
}

impl Done {
    fn would_be(outcome: Imported) -> Self {
        Self { outcome, generation: None }
    }
}

impl Judged {
    fn ask<'a>(&'a self, request: &'a RequestId, mode: Mode) -> Ask<'a> {
        Ask::new(request, action_of(mode)).of(&self.org).on_connection(&self.id)
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

/// A thousand items are many milliseconds of work: others come in between.
async fn pause(items: usize) {
    if items.is_multiple_of(16) {
        tokio::task::yield_now().await;
    }
}

/// Where the audit log cannot be written, the whole request ends.
fn unless_unaudited(refusal: Refusal) -> Result<Result<Done, Refusal>, Refusal> {
    if refusal.code == Code::AuditUnavailable { Err(refusal) } else { Ok(Err(refusal)) }
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
    Refusal::new(Code::Internal, "the item did not end; a second import will tell")
}
