//! Revocations to be done: for each deleted connection, a note of its own that keeps its tokens until their provider
//! has ended them, or has said that it will not.
//!
//! The hard problem: the connection must be gone for its readers at once, while the provider may be away for days; and a
//! refresh may be in the air that brings a token nobody waits for any more. The answer: the note is written by the commit
//! that deletes the connection, so neither is without the other; and where a refresh is open, the note stands by until
//! it has landed, takes over what it brought, and only then is acted on.
//!
//! Never read by a caller: what is in a note goes to the provider's revocation endpoint, or nowhere.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokenkeep_client::ids::{ConnectionId, OrgId};
use tokenkeep_client::moment::Moment;
use tokenkeep_client::problem::Code;
use tokenkeep_client::secret::{AccessToken, RefreshToken};
use tokenkeep_client::wire::{RevocationOut, RevocationState, RevocationsOut};

use super::Vault;
use super::ask::Ask;
use super::caller::Caller;
use super::connections::{TRIES, standing};
use super::door::{Became, Permit};
use super::orgs::Org;
use super::place::{Field, Table, org_prefix, revocation_key};
use super::record::RecordView;
use super::refusal::Refusal;
use super::request_id::RequestId;
use super::revocation_record::{Errand, Tokens, bare, bytes_of};
use crate::chain::Mark;
use crate::crypto::random;
use crate::domain::action::Action;
use crate::domain::refresh::answer::Granted;
use crate::domain::refresh::{Custody, Fingerprint, Intent};
use crate::domain::revocation::{Setback, Verdict};
use crate::store::{Batch, Change, CommitError, Key, Precondition, Record};

/// An admin is shown so many, in no order; how many there are in all is counted beside.
const SHOWN: usize = 1000;
/// Notes looked at in one go.
const PAGE: usize = 256;

/// Whether the provider of a deleted connection is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Farewell {
    /// Its grant stays alive there: somebody else goes on with it.
    Leave,
    /// Its grant is revoked there.
    Revoke,
}

/// Ready when a revocation is over, or takes longer than a caller is kept waiting.
pub type Told = Pin<Box<dyn Future<Output = RevocationState> + Send>>;

/// Carries revocations out. Stands above the vault, and is told of each new note.
pub trait Revoking: Send + Sync + 'static {
    /// Begins, not before this span has passed. It is on its way when this returns; dropping what it gives changes
    /// nothing.
    fn begin(&self, note: Key, not_before: Duration) -> Told;
}

/// A note that is about to be acted on.
pub struct Due {
    /// Whose connection it was.
    pub org: OrgId,
    /// Which it was.
    pub id: ConnectionId,
    /// When it was deleted.
    pub since: Moment,
    /// How often the provider was asked before.
    pub attempts: u32,
    /// The access token.
    pub access: AccessToken,
    /// The refresh tokens, the current one first.
    pub refresh: Vec<RefreshToken>,
}

/// A note that was found.
#[derive(Debug, Clone, Copy)]
pub struct Waiting {
    /// Where it stands.
    pub note: Key,
    /// When it is to be acted on.
    pub next_at: Moment,
}

/// A note in the making: it becomes durable with the deletion that it belongs to.
pub(super) struct Draft {
    /// Where it will stand.
    pub(super) note: Key,
    /// Written by the same commit.
    pub(super) change: Change,
    /// Nothing stands there yet.
    pub(super) precondition: Precondition,
    /// How long a refresh that is in the air is waited for.
    pub(super) not_before: Duration,
}

impl Vault {
    /// Names who carries revocations out. The first one named stays.
    pub fn revoke_by(&self, revoking: Arc<dyn Revoking>) {
        drop(self.revoking.set(revoking));
    }

    /// The note for a connection that is deleted by the same commit; none where its provider has no way to revoke, or where
    /// another connection lives on: it goes with the last.
    pub(super) fn draft_of(
        &self,
        org: &Org,
        id: &ConnectionId,
        key: &Key,
        record: &Record,
    ) -> Result<Option<Draft>, Refusal> {
        if !self.has_revocation(id) || self.is_shared(org, key, record)? {
            return Ok(None);
        }
        let now = self.now();
        let custody = self.custody(org, key, record)?;
        let until = custody.intent().map(|intent| intent.deadline);
        let errand = Errand {
            org: org.id.clone(),
            id: id.clone(),
            since: now,
            attempts: 0,
            next_at: until.map_or(now, |until| until.max(now)),
            last: None,
            awaits: match custody {
                Custody::Refreshing { intent } => Some(intent.token),
                Custody::NeedsReauth { .. } | Custody::OutcomeUnknown { .. } | Custody::Settled => None,
            },
        };
        let access = self.stored_section(org, key, Some(record), Field::AccessToken)?;
        let tokens = Tokens {
            access: access.map(|value| bare(&value)).transpose()?.unwrap_or_default(),
            current: self.stored_section(org, key, Some(record), Field::RefreshToken)?,
            // What it replaced may be of another grant, which another connection holds by now.
            previous: None,
        };
        Ok(Some(self.draft(org, &errand, &tokens)))
    }

    /// The note for a token set that came and is not taken.
    pub(super) fn draft_of_unwanted(&self, org: &Org, id: &ConnectionId, granted: &Granted) -> Option<Draft> {
        if !self.has_revocation(id) {
            return None;
        }
        let now = self.now();
        let (org_id, id) = (org.id.clone(), id.clone());
        let errand =
            Errand { org: org_id, id, since: now, attempts: 0, next_at: now, last: None, awaits: None };
        let tokens = Tokens {
            access: bytes_of(AccessToken::expose(&granted.access_token)),
            current: granted.refresh_token.as_ref().map(|token| bytes_of(RefreshToken::expose(token))),
            previous: None,
        };
        Some(self.draft(org, &errand, &tokens))
    }

    fn draft(&self, org: &Org, errand: &Errand, tokens: &Tokens) -> Draft {
        let note = revocation_key(org.blind, random::bytes());
        let now = self.now();
        Draft {
            note,
            change: Change::Put(note, self.written_note(org, &note, 1, errand, tokens)),
            precondition: Precondition::Absent(note),
            not_before: span(now, errand.next_at),
        }
    }

    /// Hands a note that is durable to whoever acts on it.
    pub(super) fn act_on(&self, note: Key, not_before: Duration) -> Option<Told> {
        self.revoking.get().map(|revoking| revoking.begin(note, not_before))
    }

    /// Whether its provider has a way to revoke, and a client of ours.
    pub(super) fn has_revocation(&self, id: &ConnectionId) -> bool {
        let provider = self.client_of(&id.provider);
        provider.is_some_and(|provider| provider.client.as_ref().is_some_and(|c| c.revocation.is_some()))
    }

    /// Records that a connection is deleted whose provider has no way to revoke: its owner believes the grant gone.
    pub(super) async fn record_irrevocable(&self, request: &RequestId, org: &OrgId, id: &ConnectionId) {
        if self.client_of(&id.provider).is_none() {
            return;
        }
        let task = self.revoker();
        let ask = Ask::new(request, Action::TokenRevoke).of(org).on_connection(id);
        let recorded = match self.admit(&task, ask) {
            Ok(permit) => {
                let became = Became::because(Code::ProviderError.as_str(), "no_revocation");
                permit.settle_step(became, None, None).await
            }
            Err(refusal) => Err(refusal),
        };
        if let Err(refusal) = recorded {
            tracing::error!(code = refusal.code.as_str(), "that nothing is revoked could not be recorded");
        }
    }

    /// A refresh has ended whose connection is gone: what it brought belongs to the note that awaits it, if there
    /// is one.
    pub(super) async fn inherit(
        &self,
        permit: &Permit<'_>,
        org: &Org,
        intent: &Intent,
        granted: Option<&Granted>,
    ) -> Result<Option<(Key, Mark)>, Refusal> {
        for _ in 0..TRIES {
            let Some((note, record, mut errand)) = self.awaiting(org, &intent.token)? else {
                return Ok(None);
            };
            let mut tokens = self.tokens_of(org, &note, &record)?;
            if let Some(granted) = granted {
                tokens.access = bytes_of(AccessToken::expose(&granted.access_token));
                if let Some(token) = &granted.refresh_token {
                    tokens.previous = tokens.current.replace(bytes_of(RefreshToken::expose(token)));
                }
            }
            errand.awaits = None;
            errand.next_at = self.now();
            match self.replace_note(permit, org, &note, &record, &errand, &tokens).await {
                Ok(mark) => return Ok(Some((note, mark))),
                Err(CommitError::Conflict) => {}
                Err(why) => return Err(why.into()),
            }
        }
        Err(CommitError::Conflict.into())
    }

    fn awaiting(&self, org: &Org, token: &Fingerprint) -> Result<Option<(Key, Record, Errand)>, Refusal> {
        let (prefix, mut after) = (org_prefix(Table::Revocation, org.blind), None);
        loop {
            let records = self.store.scan(&prefix, after.as_ref(), PAGE)?;
            let last = records.last().map(|(key, _)| *key);
            for (key, record) in records {
                let errand = self.errand(org, &key, &record)?;
                if errand.awaits.as_ref() == Some(token) {
                    return Ok(Some((key, record, errand)));
                }
            }
            match last {
                Some(last) => after = Some(last),
                None => return Ok(None),
            }
        }
    }

    /// Notes that wait to be acted on, a page of them.
    ///
    /// # Errors
    /// The store cannot be read. A note that does not open is left out, and logged.
    pub fn survey_revocations(&self, after: Option<&Key>) -> Result<(Vec<Waiting>, Option<Key>), Refusal> {
        let records = self.store.scan(&[Table::Revocation as u8], after, PAGE)?;
        let last = records.last().map(|(key, _)| *key);
        let found = records.iter().filter_map(|(note, record)| {
            let (_, errand) = self.org_and_errand(note, record).ok()?;
            Some(Waiting { note: *note, next_at: errand.next_at })
        });
        Ok((found.collect(), last))
    }

    /// Opens a note for its provider, and records that. None: it is gone, or is not due yet.
    ///
    /// # Errors
    /// The door's; `integrity`. Nothing may be sent then.
    pub async fn begin_revocation(&self, request: RequestId, note: &Key) -> Result<Option<Due>, Refusal> {
        let Some(record) = self.store.read(note)? else { return Ok(None) };
        let (org, errand) = self.org_and_errand(note, &record)?;
        let task = self.revoker();
        let ask = Ask::new(&request, Action::TokenRevoke).of(&org.id).on_connection(&errand.id);
        let permit = self.admit_change(&task, ask)?;
        let tokens = self.tokens_of(&org, note, &record)?;
        permit.settle_step(Became::because("ok", "begun"), None, None).await?;
        let text = |bytes: &[u8]| {
            std::str::from_utf8(bytes).map(str::to_owned).map_err(|why| Refusal::integrity("token", &why))
        };
        let refresh = [&tokens.current, &tokens.previous].into_iter().flatten();
        let refresh = refresh.map(|token| text(token).map(RefreshToken::new)).collect::<Result<_, _>>()?;
        Ok(Some(Due {
            access: AccessToken::new(text(&tokens.access)?),
            refresh,
            org: org.id.clone(),
            id: errand.id,
            since: errand.since,
            attempts: errand.attempts,
        }))
    }

    /// Keeps what came of it: the note goes, or says when to go on.
    ///
    /// # Errors
    /// It could not be kept: to be tried again.
    pub async fn end_revocation(
        &self,
        request: RequestId,
        note: &Key,
        verdict: Verdict,
        pause: Duration,
    ) -> Result<(), Refusal> {
        for _ in 0..TRIES {
            let Some(record) = self.store.read(note)? else { return Ok(()) };
            let (org, mut errand) = self.org_and_errand(note, &record)?;
            let task = self.revoker();
            let ask = Ask::new(&request, Action::TokenRevoke).of(&org.id).on_connection(&errand.id);
            let permit = self.admit(&task, ask)?;
            let kept = match verdict {
                Verdict::Done | Verdict::Impossible(_) => self.remove_note(&permit, note, &record).await,
                Verdict::Later { setback, .. } => {
                    errand.attempts = errand.attempts.saturating_add(1);
                    errand.next_at = self.now().after(pause);
                    errand.last = Some(setback.as_str().to_owned());
                    let tokens = self.tokens_of(&org, note, &record)?;
                    self.replace_note(&permit, &org, note, &record, &errand, &tokens).await
                }
            };
            match kept {
                Ok(mark) => return permit.settle_step(became(verdict), None, Some(mark)).await,
                Err(CommitError::Conflict) => {
                    permit.settle_step(Became::because("conflict", "revocation"), None, None).await?;
                }
                Err(why) => return permit.settle(Err(Refusal::from(why)), |()| None).await,
            }
        }
        Err(CommitError::Conflict.into())
    }

    /// The revocations that are still to be done, for an admin.
    ///
    /// # Errors
    /// The door's; the store cannot be read.
    pub async fn list_revocations(
        &self,
        caller: &Caller,
        request: RequestId,
    ) -> Result<RevocationsOut, Refusal> {
        let permit = self.admit(caller, Ask::new(&request, Action::RevocationList))?;
        let list = || {
            let records = self.store.scan(&[Table::Revocation as u8], None, SHOWN)?;
            let items = records.iter().map(|(note, record)| self.shown(note, record));
            Ok(RevocationsOut {
                items: items.collect::<Result<_, Refusal>>()?,
                waiting: self.count_revocations()?,
            })
        };
        permit.settle(list(), |_| None).await
    }

    /// How many revocations are still to be done.
    pub(super) fn count_revocations(&self) -> Result<u64, Refusal> {
        let (mut count, mut after) = (0, None);
        loop {
            let records = self.store.scan(&[Table::Revocation as u8], after.as_ref(), PAGE)?;
            count += records.len() as u64;
            match records.last() {
                Some((last, _)) => after = Some(*last),
                None => return Ok(count),
            }
        }
    }

    fn shown(&self, note: &Key, record: &Record) -> Result<RevocationOut, Refusal> {
        let (org, errand) = self.org_and_errand(note, record)?;
        Ok(RevocationOut {
            org: org.id.clone(),
            provider: errand.id.provider,
            name: errand.id.name,
            since: errand.since,
            attempts: errand.attempts,
            next_at: errand.next_at,
            last: errand.last,
        })
    }

    async fn remove_note(
        &self,
        permit: &Permit<'_>,
        note: &Key,
        record: &Record,
    ) -> Result<Mark, CommitError> {
        let batch = Batch {
            preconditions: vec![standing(*note, Some(record))],
            changes: vec![Change::Delete(*note)],
            note: self.note(permit),
        };
        self.commit(batch).await
    }

    async fn replace_note(
        &self,
        permit: &Permit<'_>,
        org: &Org,
        note: &Key,
        record: &Record,
        errand: &Errand,
        tokens: &Tokens,
    ) -> Result<Mark, CommitError> {
        let generation = RecordView::parse(&record.value).map_or(1, |view| view.generation() + 1);
        let next = self.written_note(org, note, generation, errand, tokens);
        let batch = Batch {
            preconditions: vec![standing(*note, Some(record))],
            changes: vec![Change::Put(*note, next)],
            note: self.note(permit),
        };
        self.commit(batch).await
    }

    fn revoker(&self) -> Caller {
        self.task("revoker")
    }
}

fn span(now: Moment, then: Moment) -> Duration {
    Duration::from_secs(then.unix().saturating_sub(now.unix()))
}

/// In the words of the audit log.
fn became(verdict: Verdict) -> Became {
    match verdict {
        Verdict::Done => Became::because("ok", "revoked"),
        Verdict::Impossible(why) => Became::because(Code::ProviderError.as_str(), why.as_str()),
        Verdict::Later { setback: Setback::Client, .. } => {
            Became::because(Code::ClientMisconfigured.as_str(), "tried_again")
        }
        Verdict::Later { setback: Setback::Provider, .. } => {
            Became::because(Code::ProviderError.as_str(), "tried_again")
        }
    }
}
