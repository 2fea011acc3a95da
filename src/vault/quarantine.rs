//! Quarantine: what a store that may be a copy does not do until it is told that it is the one.
//!
//! The hard problem: two stores with one refresh token, and each refresh ends what the other has. No question to the
//! provider tells which of them is the current one, or that there are two. The answer: a store that is not surely the
//! one that ran last serves the access tokens it has, and spends no refresh token that it had before. A connection is
//! let go when a refresh token comes that no other store can have, or when an admin says so.
//!
//! Each connection says in which incarnation of the store it was last known to be current; none says 1.
//!
//! Never ends by itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use tokenkeep_client::ids::{ConnectionId, OrgId, ProviderId};
use tokenkeep_client::problem::Code;
use tokenkeep_client::wire::{Finding, QuarantineStatus, ReleaseIn, ReleaseOut, to_body};

use super::ask::Ask;
use super::caller::Caller;
use super::connection_record::Metadata;
use super::connections::{TRIES, standing};
use super::door::Became;
use super::header::{Header, Quarantined};
use super::lease::Doubt;
use super::orgs::Org;
use super::place::{Field, OrgBlind, Table, org_prefix};
use super::record::RecordView;
use super::refusal::Refusal;
use super::request_id::{RequestId, RequestIds};
use super::{Vault, apart};
use crate::chain::Mark;
use crate::crypto::hex;
use crate::domain::action::Action;
use crate::domain::refresh::Terms;
use crate::store::{Batch, Change, CommitError, Key, Precondition, Record};

/// Connections a commit: few enough that others hardly wait.
const BATCH: usize = 128;
/// One call looks at so many parts of that size, and says where the next goes on.
const PAGES: usize = 64;

/// What is held back in this run.
pub(super) struct Quarantine {
    incarnation: AtomicU64,
    /// Connections of earlier incarnations than this are held back.
    below: AtomicU64,
    why: RwLock<Option<Quarantined>>,
}

impl Quarantine {
    /// As the header says.
    pub(super) fn of(header: &Header) -> Self {
        let (incarnation, why) = (header.incarnation(), header.quarantine());
        let below = if why.is_some() { incarnation } else { 0 };
        Self { incarnation: incarnation.into(), below: below.into(), why: RwLock::new(why) }
    }

    /// What a connection says that is known to be current now.
    pub(super) fn incarnation(&self) -> u64 {
        self.incarnation.load(Ordering::Acquire)
    }

    fn why(&self) -> Option<Quarantined> {
        *self.why.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn follow(&self, header: &Header) {
        let now = Self::of(header);
        *self.why.write().unwrap_or_else(PoisonError::into_inner) = now.why();
        self.incarnation.store(now.incarnation(), Ordering::Release);
        self.below.store(now.below.into_inner(), Ordering::Release);
    }
}

impl Vault {
    /// Compares the store with its lease, and holds everything back where it is another one; then renews the lease, if
    /// there was a change. Blocks on the disk.
    pub fn renew_lease(&self) {
        let sequence = self.store.health().head.sequence;
        let mut lease = self.lease.lock().unwrap_or_else(PoisonError::into_inner);
        if !lease.is_due(sequence) {
            return;
        }
        let is_leased = self.header().is_leased();
        if is_leased && let Some(doubt) = lease.doubt(self.quarantine.incarnation(), sequence) {
            self.hold_back(doubt);
        }
        if let Err(why) = lease.renew(self.quarantine.incarnation(), sequence, self.now()) {
            tracing::error!(%why, "the boot lease could not be renewed: a copy of this store may pass for it");
        } else if !is_leased && let Err(why) = self.header().lease() {
            tracing::error!(%why, "the header does not say yet that there is a boot lease");
        }
    }

    /// A new incarnation: everything that was known before is held back.
    fn hold_back(&self, doubt: Doubt) {
        let reason = doubt.as_str();
        tracing::error!(
            reason,
            "this store is not surely the one that ran last: no refresh token that rotates is sent until its \
             connections are released (tokenkeep connection release); access tokens are served to their ends"
        );
        let (daemon, request) = (self.task("daemon"), RequestIds::new().next());
        let ask = Ask::new(&request, Action::VaultRun).on("quarantine");
        let entry = self.entry(&daemon, &ask, Became::because("ok", reason), None, None);
        if let Err(why) = self.audit.append(&entry) {
            tracing::error!(%why, "the quarantine could not be recorded");
        }
        let mut header = self.header();
        let begun = header.begin_quarantine(Quarantined { reason: doubt, since: self.now() });
        if let Err(why) = begun {
            tracing::error!(%why, "the quarantine could not be written down; it holds for this run");
        }
        self.quarantine.follow(&header);
    }

    /// Whether a connection is of an incarnation that is held back, and its provider one where a refresh harms another
    /// store that has it too. Cheap where nothing is held back.
    pub(super) fn is_held(&self, provider: &ProviderId, incarnation: u64) -> bool {
        incarnation < self.quarantine.below.load(Ordering::Acquire) && !self.harms_nobody(provider)
    }

    /// Whether a refresh at this provider spends nothing and ends nothing.
    pub(super) fn harms_nobody(&self, provider: &ProviderId) -> bool {
        let provider = self.client_of(provider);
        let terms = provider.as_ref().and_then(|provider| provider.client.as_ref()).map(Terms::of);
        terms.is_some_and(|terms| !terms.rotates && !terms.kills_access_token)
    }

    /// Why connections are held back, in a word.
    pub(super) fn why_held(&self) -> &'static str {
        self.quarantined_for().unwrap_or("quarantined")
    }

    /// Why the store may be a copy, in a word; none where it is not held to be one.
    pub(super) fn quarantined_for(&self) -> Option<&'static str> {
        self.quarantine.why().map(|why| why.reason.as_str())
    }

    /// What callers are told of a connection that is held back.
    #[must_use]
    pub fn quarantined(&self) -> Refusal {
        let why = self.quarantine.why();
        Refusal {
            reason: why.map(|why| why.reason.as_str()),
            since: why.map(|why| why.since),
            ..Refusal::new(
                Code::Quarantined,
                "this store may be a copy, so its refresh tokens are not used: put a new token set, or have an admin \
                 release the connection; its access token is served to its end",
            )
        }
    }

    /// The quarantine, as `status` shows it.
    pub(super) fn describe_quarantine(&self) -> Option<QuarantineStatus> {
        let why = self.quarantine.why()?;
        let incarnation = self.quarantine.incarnation();
        Some(QuarantineStatus { reason: why.reason.as_str().to_owned(), since: why.since, incarnation })
    }

    /// The quarantine, as `doctor` shows it.
    #[must_use]
    pub fn examine_quarantine(&self) -> Finding {
        let (level, detail, mend) = match self.describe_quarantine() {
            None => ("ok", "this store is the one that ran last".to_owned(), None),
            Some(QuarantineStatus { reason, since, .. }) => (
                "warn",
                format!("this store may be a copy ({reason}, since {since}); connections are held back"),
                Some("see docs/restore.md; then: tokenkeep connection release --all".to_owned()),
            ),
        };
        Finding { check: "quarantine".to_owned(), level: level.to_owned(), detail, mend }
    }

    /// Lets connections go that are held back: one, those of an org or a provider a part at a time, or all there are.
    ///
    /// # Errors
    /// The door's; `invalid_request`, `not_found`, `conflict`, `storage_full`.
    pub async fn release(
        self: &Arc<Self>,
        caller: &Arc<Caller>,
        request: RequestId,
        wanted: ReleaseIn,
    ) -> Result<ReleaseOut, Refusal> {
        let (vault, caller) = (Arc::clone(self), Arc::clone(caller));
        apart(async move {
            let ReleaseIn { org, provider, name, all, after } = wanted;
            match (org, provider, name, all) {
                (Some(org), Some(provider), Some(name), false) => {
                    vault.release_one(&caller, request, &org, &ConnectionId { provider, name }).await
                }
                (None, None, None, true) => vault.release_all(&caller, request).await,
                (org, provider, None, true) => {
                    let several = Several { org, provider };
                    vault.release_several(&caller, request, &several, after.as_deref()).await
                }
                _ => {
                    let rule = "name one connection by org, provider and name, or say all; \
                                all with org or provider are those of that one";
                    let refusal = Refusal::invalid(rule);
                    vault.record_refused(&caller, Ask::new(&request, Action::ConnectionRelease), &refusal)?;
                    Err(refusal)
                }
            }
        })
        .await
    }

    async fn release_one(
        &self,
        caller: &Caller,
        request: RequestId,
        org: &OrgId,
        id: &ConnectionId,
    ) -> Result<ReleaseOut, Refusal> {
        let ask = Ask::new(&request, Action::ConnectionRelease).of(org).on_connection(id);
        let permit = self.admit_change(caller, ask)?;
        let note = self.note(&permit);
        let release = async {
            let org = self.org(org)?;
            let key = self.blind.connection(org.blind, id);
            for _ in 0..TRIES {
                let record = self.store.read(&key)?.ok_or_else(|| Refusal::not_found("connection"))?;
                let (_, metadata) = self.open_metadata(&org, &key, &record)?;
                let Some(released) = self.released(&org, &key, &record, metadata)? else { return Ok(None) };
                let batch = Batch {
                    preconditions: vec![standing(key, Some(&record))],
                    changes: vec![Change::Put(key, released)],
                    note: note.clone(),
                };
                match self.commit(batch).await {
                    Ok(mark) => return Ok(Some(mark)),
                    Err(CommitError::Conflict) => {}
                    Err(why) => return Err(why.into()),
                }
            }
            Err(CommitError::Conflict.into())
        };
        let out = |released| ReleaseOut { released, next: None };
        match release.await.transpose() {
            Some(changed) => permit.settle_change(changed.map(|mark| (out(1), mark)), |_| None).await,
            None => permit.settle(Ok(out(0)), |_| None).await,
        }
    }

    /// The record of a connection that is known to be current from now on; none where it was.
    fn released(
        &self,
        org: &Org,
        key: &Key,
        record: &Record,
        metadata: Metadata,
    ) -> Result<Option<Vec<u8>>, Refusal> {
        let incarnation = self.quarantine.incarnation();
        if metadata.incarnation >= incarnation {
            return Ok(None);
        }
        let metadata = to_body(&metadata.in_incarnation(incarnation));
        self.with_sections(org, key, record, &[(Field::Metadata, Some(&metadata))]).map(Some)
    }

    async fn release_all(&self, caller: &Caller, request: RequestId) -> Result<ReleaseOut, Refusal> {
        let ask = Ask::new(&request, Action::ConnectionRelease).on("*");
        let permit = self.admit_change(caller, ask)?;
        let ended = {
            let mut header = self.header();
            let ended = header.end_quarantine();
            self.quarantine.follow(&header);
            ended
        };
        let ended = ended.map_err(|why| {
            tracing::error!(%why, "the quarantine could not be ended");
            Refusal::new(Code::Internal, "the vault header could not be written; the quarantine stands")
        });
        permit.settle(ended.map(|()| ReleaseOut { released: 0, next: None }), |_| None).await
    }

    async fn release_several(
        &self,
        caller: &Caller,
        request: RequestId,
        several: &Several,
        after: Option<&str>,
    ) -> Result<ReleaseOut, Refusal> {
        let target = format!("{}/*", several.provider.as_ref().map_or("*", ProviderId::as_str));
        let ask = Ask::new(&request, Action::ConnectionRelease).on(&target);
        let ask = several.org.as_ref().map_or(ask, |org| ask.of(org));
        let mut after = match after.map(|text| hex::decode::<33>(text.as_bytes())) {
            None => None,
            Some(Some(key)) => Some(Key(key)),
            Some(None) => {
                let refusal = Refusal::invalid("after is the next of an earlier part");
                self.record_refused(caller, ask, &refusal)?;
                return Err(refusal);
            }
        };
        let (mut released, mut pages) = (0, PAGES);
        loop {
            let permit = self.admit_change(caller, ask)?;
            let note = self.note(&permit);
            match self.release_batch(several, &mut after, &mut pages, note).await {
                Ok(Some((count, mark))) => {
                    released += count;
                    permit.settle_change(Ok(((), mark)), |()| None).await?;
                }
                Ok(None) => {
                    let next = after.map(|key| hex::encode(&key.0));
                    return permit.settle(Ok(ReleaseOut { released, next }), |_| None).await;
                }
                Err(refusal) => return permit.settle(Err(refusal), |_| None).await,
            }
        }
    }

    /// How many were released, and where that stands in the journal; none where so many pages were looked at, or there
    /// are no more: then `after` is none.
    async fn release_batch(
        &self,
        several: &Several,
        after: &mut Option<Key>,
        pages: &mut usize,
        note: Vec<u8>,
    ) -> Result<Option<(u64, Mark)>, Refusal> {
        let prefix = match &several.org {
            Some(org) => org_prefix(Table::Connection, self.org(org)?.blind).to_vec(),
            None => vec![Table::Connection as u8],
        };
        while *pages > 0 {
            *pages -= 1;
            let records = self.store.scan(&prefix, after.as_ref(), BATCH)?;
            let Some((last, _)) = records.last() else {
                *after = None;
                return Ok(None);
            };
            let mut batch = Batch { note: note.clone(), ..Batch::default() };
            for (key, record) in &records {
                if let Some(released) = self.released_of(several, key, record)? {
                    batch.preconditions.push(Precondition::Unchanged(*key, record.revision));
                    batch.changes.push(Change::Put(*key, released));
                }
            }
            let count = batch.changes.len() as u64;
            if count == 0 {
                *after = Some(*last);
                tokio::task::yield_now().await;
                continue;
            }
            match self.commit(batch).await {
                Ok(mark) => {
                    *after = Some(*last);
                    return Ok(Some((count, mark)));
                }
                // Somebody wrote one of them in between: look again at the same part.
                Err(CommitError::Conflict) => {}
                Err(why) => return Err(why.into()),
            }
        }
        Ok(None)
    }

    fn released_of(&self, several: &Several, key: &Key, record: &Record) -> Result<Option<Vec<u8>>, Refusal> {
        let org = self.org_in_passing(OrgBlind::of_record(key))?;
        let (_, metadata) = self.open_metadata(&org, key, record)?;
        if several.provider.as_ref().is_some_and(|provider| *provider != metadata.id.provider) {
            return Ok(None);
        }
        self.released(&org, key, record, metadata)
    }

    /// Refuses to end at its provider what another store may still live on, whether or not a refresh would harm it.
    pub(super) fn refuse_unproven(&self, org: &Org, key: &Key, record: &Record) -> Result<(), Refusal> {
        let below = self.quarantine.below.load(Ordering::Acquire);
        if below > 0 && self.open_metadata(org, key, record)?.1.incarnation < below {
            return Err(self.quarantined());
        }
        Ok(())
    }

    /// Refuses where the refresh token of this connection is held back.
    pub(super) fn refuse_held(&self, org: &Org, key: &Key, record: &Record) -> Result<(), Refusal> {
        if self.quarantine.below.load(Ordering::Acquire) == 0
            || RecordView::parse(&record.value).is_none_or(|view| view.section(Field::RefreshToken).is_none())
        {
            return Ok(());
        }
        let (_, metadata) = self.open_metadata(org, key, record)?;
        if self.is_held(&metadata.id.provider, metadata.incarnation) {
            return Err(self.quarantined());
        }
        Ok(())
    }
}

/// Connections of this org, of this provider, or of this org at this provider.
struct Several {
    org: Option<OrgId>,
    provider: Option<ProviderId>,
}
