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
use tokenkeep_client::wire::TokenSet;
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
            let created_orgs = vault.missing_orgs(&caller, request, &wanted).await?;
            let results = vault.import_items(&caller, request, wanted, &created_orgs).await?;
            vault.end_batch().await?;
            Ok(Import { created_orgs, results })
        })
        .await
    }

    /// Creates the orgs that are missing, or says which those are.
    async fn missing_orgs(
        self: &Arc<Self>,
        caller: &Arc<Caller>,
        request: RequestId,
        wanted: &ImportIn,
    ) -> Result<BTreeSet<OrgId>, Refusal> {
        let mut missing = BTreeSet::new();
        if wanted.terms.missing_org == MissingOrg::Refuse {
            return Ok(missing);
        }
        for org in wanted.items.iter().map(|item| &item.org).collect::<BTreeSet<_>>() {
            match self.org(org) {
                Err(refusal) if refusal.code == Code::NotFound => drop(missing.insert(org.clone())),
                // What else is in the way, each item of the org will say.
                _ => {}
            }
        }
        if wanted.terms.mode == Mode::DryRun {
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
        wanted: ImportIn,
        created_orgs: &BTreeSet<OrgId>,
    ) -> Result<Vec<Result<Done, Refusal>>, Refusal> {
        let terms = wanted.terms;
        let mut importing = JoinSet::new();
        let count = wanted.items.len();
        for (at, item) in wanted.items.into_iter().enumerate() {
            let (vault, caller) = (Arc::clone(self), Arc::clone(caller));
            let org_is_missing = terms.mode == Mode::DryRun && created_orgs.contains(&item.org);
            importing.spawn(async move {
                let ImportItem { org, provider, name, tokens } = item;
                let id = ConnectionId { provider, name };
                let done = if org_is_missing {
                    vault.compare_with_nothing(&caller, &request, &org, &id, tokens).await
                } else {
                    vault.import_item(&caller, &request, terms, (&org, &id), tokens).await
                };
                (at, done)
            });
        }
        let mut results: Vec<_> = (0..count).map(|_| Err(unended())).collect();
        while let Some(ended) = importing.join_next().await {
            match ended {
                Ok((_, Err(refusal))) if refusal.code == Code::AuditUnavailable => return Err(refusal),
                Ok((at, done)) => results[at] = done,
                Err(why) => tracing::error!(panicked = why.is_panic(), "an item of an import did not end"),
            }
        }
        Ok(results)
    }

    async fn import_item(
        &self,
        caller: &Caller,
        request: &RequestId,
        terms: Terms,
        (org, id): (&OrgId, &ConnectionId),
        tokens: TokenSet,
    ) -> Result<Done, Refusal> {
        let ask = Ask::new(request, action_of(terms.mode)).of(org).on_connection(id);
        if terms.mode == Mode::DryRun {
            let permit = self.admit_in_batch(caller, ask)?;
            let compared = self.compare(org, id, tokens, terms.different);
            return permit.settle_in_batch(compared, |done| done.generation)?;
        }
        let permit = self.admit_change_in_batch(caller, ask)?;
        match self.store_if_different(org, id, tokens, terms.different, &permit).await {
            Ok((done, Some(mark))) => permit.settle_change(Ok((done, mark)), |done| done.generation).await,
            Ok((done, None)) => permit.settle_in_batch(Ok(done), |done| done.generation)?,
            Err(refusal) => permit.settle_in_batch(Err(refusal), |_: &Done| None)?,
        }
    }

    /// In a dry run, of an org that would be created: there can be nothing to compare with.
    async fn compare_with_nothing(
        &self,
        caller: &Caller,
        request: &RequestId,
        org: &OrgId,
        id: &ConnectionId,
        tokens: TokenSet,
    ) -> Result<Done, Refusal> {
        let ask = Ask::new(request, Action::ConnectionCompare).of(org).on_connection(id);
        let permit = self.admit_in_batch(caller, ask)?;
        let accepted = self.accept_token_set(id, tokens);
        let done = accepted.map(|_| Done { outcome: Imported::Created, generation: None });
        permit.settle_in_batch(done, |_| None)?
    }

    fn compare(
        &self,
        org: &OrgId,
        id: &ConnectionId,
        tokens: TokenSet,
        different: Different,
    ) -> Result<Done, Refusal> {
        let accepted = self.accept_token_set(id, tokens)?;
        let org = self.org(org)?;
        let key = self.blind.connection(org.blind, id);
        let Some(stored) = self.store.read(&key)? else {
            return Ok(Done { outcome: Imported::Created, generation: None });
        };
        let (generation, relation) = self.relate(&org, &key, id, &accepted, &stored)?;
        match already_there(relation, generation, different)? {
            Some(done) => Ok(done),
            None => Ok(Done { outcome: Imported::Replaced, generation: None }),
        }
    }

    async fn store_if_different(
        &self,
        org: &OrgId,
        id: &ConnectionId,
        tokens: TokenSet,
        different: Different,
        permit: &Permit<'_>,
    ) -> Result<(Done, Option<Mark>), Refusal> {
        let accepted: Accepted = self.accept_token_set(id, tokens)?;
        let org = self.org(org)?;
        let key = self.blind.connection(org.blind, id);
        for _ in 0..TRIES {
            let stored = self.store.read(&key)?;
            if let Some(stored) = &stored {
                let (generation, relation) = self.relate(&org, &key, id, &accepted, stored)?;
                if let Some(done) = already_there(relation, generation, different)? {
                    return Ok((done, None));
                }
            }
            let (record, out) = self.next_record(&org, &key, id, &accepted, stored.as_ref())?;
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
