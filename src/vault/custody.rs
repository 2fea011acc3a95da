//! The steps of a refresh that are kept: the intent before the request, the answer before anything else is done with it.
//!
//! The hard problem: between reading a refresh token and keeping what it was exchanged for, anything may die and anybody
//! may write. The answer: each step is one commit that holds only if the record is still the one that was looked at; and
//! an answer whose record has changed is put where its token still is, never dropped.
//!
//! Never gives a refresh token out before its intent is on the disk and in the audit log.

mod landing;

use std::sync::Arc;
use std::time::Duration;

use tokenkeep_client::ids::{ConnectionId, OrgId, ProviderId};
use tokenkeep_client::moment::Moment;
use tokenkeep_client::problem::Code;
use tokenkeep_client::secret::RefreshToken;
use tokenkeep_client::wire::to_body;
use zeroize::Zeroizing;

use super::Vault;
use super::ask::Ask;
use super::caller::Caller;
use super::census::state_of;
use super::connections::{TRIES, standing};
use super::door::{Became, Permit};
use super::orgs::Org;
use super::place::{Field, Table, place};
use super::record::{RecordView, RecordWriter};
use super::refusal::Refusal;
use super::request_id::RequestId;
use super::sealed::Sealed;
use super::telling::Telling;
use crate::chain::Mark;
use crate::crypto::hex;
use crate::domain::action::Action;
use crate::domain::refresh::answer::Granted;
use crate::domain::refresh::life::Life;
use crate::domain::refresh::{Custody, Ended, Fingerprint, Grounds, Intent, LEASE, Node, Reason};
use crate::os::fault_points;
use crate::store::{Batch, Change, CommitError, Key, Record};
use landing::Landed;

/// A connection as it was looked at, without its tokens.
pub struct Kept {
    pub(super) org: Arc<Org>,
    pub(super) key: Key,
    pub(super) record: Record,
    /// Its refresh token, named.
    pub grant: Option<Fingerprint>,
    /// Counts its token sets.
    pub generation: u64,
    /// What is known of the exchange of its refresh token.
    pub custody: Custody,
    /// When its token set came and ends.
    pub life: Life,
    /// Whether there is a refresh token.
    pub has_refresh_token: bool,
    /// Whether it is held back: the store may be a copy.
    pub is_held: bool,
}

/// An exchange that may be carried out: its intent is durable.
pub struct Begun {
    /// The note.
    pub intent: Intent,
    /// What is sent.
    pub token: RefreshToken,
}

/// How an exchange ended, and what it brought.
pub struct Conclusion {
    /// What it says of the token that was sent.
    pub ended: Ended,
    /// The token set, where one came.
    pub granted: Option<Box<Granted>>,
    /// How long an access token lives whose answer does not say.
    pub usual_life: Option<Duration>,
    /// An answer that says it worked and cannot be read.
    pub unread: Option<Zeroizing<Vec<u8>>>,
    /// What callers are told where no token set came.
    pub told: Refusal,
}

/// A connection found by a survey.
pub struct Surveyed {
    /// Whose it is.
    pub org: OrgId,
    /// Which it is.
    pub id: ConnectionId,
    /// Counts its token sets.
    pub generation: u64,
    /// What is known of the exchange of its refresh token.
    pub custody: Custody,
    /// When its token set came and ends.
    pub life: Life,
    /// Whether its refresh token is held back: the store may be a copy.
    pub is_held: bool,
    /// When it was made.
    pub created_at: Moment,
    /// Where it stands in the store: its key without the table.
    pub blind: [u8; 32],
    /// It was not read later than this, as far as this run of the daemon knows; none: not at all.
    pub read_by: Option<Moment>,
}

impl Vault {
    /// The wall clock of the vault.
    #[must_use]
    pub fn moment(&self) -> Moment {
        self.now()
    }

    /// Looks at a connection; opens no token.
    ///
    /// # Errors
    /// `not_found`, `integrity`.
    pub fn look(&self, org: &OrgId, id: &ConnectionId) -> Result<Kept, Refusal> {
        let org = self.org(org)?;
        let key = self.blind.connection(org.blind, id);
        let record = self.store.read(&key)?.ok_or_else(|| Refusal::not_found("connection"))?;
        let (generation, metadata) = self.open_metadata(&org, &key, &record)?;
        if metadata.id != *id {
            return Err(Refusal::integrity("connection", &"the record is another connection's"));
        }
        let custody = self.custody(&org, &key, &record)?;
        let has_refresh_token = has(&record, Field::RefreshToken);
        let is_held = self.is_held(&metadata.id.provider, metadata.incarnation);
        let life = metadata.life();
        let grant = match metadata.grant {
            Some(grant) => Some(grant),
            None => self
                .stored_section(&org, &key, Some(&record), Field::RefreshToken)?
                .map(|token| self.name_of(&token)),
        };
        Ok(Kept { life, org, key, record, grant, generation, custody, has_refresh_token, is_held })
    }

    /// Makes an intent durable and gives the token that it speaks of. None: the connection has changed since it was
    /// looked at; look again.
    ///
    /// # Errors
    /// The door's; `not_found` where there is no refresh token; `integrity`, `storage_full`. Nothing may be sent then.
    pub async fn begin_exchange(
        &self,
        request: RequestId,
        id: &ConnectionId,
        kept: &Kept,
        grounds: Grounds,
        node: &Node,
    ) -> Result<Option<Begun>, Refusal> {
        let task = self.refresher();
        let org = &kept.org;
        let ask = Ask::new(&request, Action::TokenRefresh).of(&org.id).on_connection(id);
        let permit = self.admit_change(&task, ask)?;
        fault_points::reach("intent/admitted");
        self.refuse_held(org, &kept.key, &kept.record)?;
        let token = self.stored_section(org, &kept.key, Some(&kept.record), Field::RefreshToken)?;
        let token = token.ok_or_else(|| Refusal::not_found("refresh token"))?;
        let now = self.now();
        let intent = Intent {
            generation: kept.generation,
            token: self.name_of(&token),
            node: node.clone(),
            fence: kept.record.revision,
            begun_at: now,
            deadline: now.after(LEASE),
            grounds,
        };
        let custody = Custody::Refreshing { intent: intent.clone() };
        let record = self.with_exchange(org, &kept.key, &kept.record, &custody, None)?;
        let mut batch = self.replacement(&permit, kept.key, &kept.record, record);
        if let Err(refusal) = self.intend_with_mates(&mut batch, kept, &id.provider, &intent) {
            permit.settle_step(Became::refused(&refusal), Some(kept.generation), None).await?;
            return Err(refusal);
        }
        fault_points::reach("intent/sealed");
        let Some(mark) = unless_changed(self.commit(batch).await)? else {
            permit.settle_step(Became::because("conflict", "intent"), Some(kept.generation), None).await?;
            return Ok(None);
        };
        self.census.note(kept.key, state_of(&custody));
        fault_points::reach("intent/committed");
        permit.settle_step(Became::because("ok", "intent"), Some(kept.generation), Some(mark)).await?;
        fault_points::reach("intent/audited");
        let now_stored = self.store.read(&kept.key)?;
        let custody = now_stored.map(|record| self.custody(org, &kept.key, &record)).transpose()?;
        if !custody.is_some_and(|custody| intent.still_stands(&custody)) {
            return Ok(None);
        }
        fault_points::reach("intent/confirmed");
        let text = std::str::from_utf8(&token).map_err(|why| Refusal::integrity("refresh token", &why))?;
        Ok(Some(Begun { intent, token: RefreshToken::new(text.to_owned()) }))
    }

    /// Keeps what became of an exchange, wherever it belongs by now. The inner result is what callers are told.
    ///
    /// # Errors
    /// It could not be kept: to be tried again for as long as there is something to keep.
    pub async fn end_exchange(
        &self,
        request: RequestId,
        org: &OrgId,
        id: &ConnectionId,
        intent: &Intent,
        conclusion: &Conclusion,
    ) -> Result<Result<(), Refusal>, Refusal> {
        let task = self.refresher();
        let org = self.org(org)?;
        let key = self.blind.connection(org.blind, id);
        for _ in 0..TRIES {
            let ask = Ask::new(&request, Action::TokenRefresh).of(&org.id).on_connection(id);
            // Not `admit_change`: what has come is kept while anything can be kept.
            let permit = self.admit(&task, ask)?;
            fault_points::reach("answer/admitted");
            let record = self.store.read(&key)?;
            let stands =
                |record| self.custody(&org, &key, record).map(|custody| intent.still_stands(&custody));
            if !record.as_ref().map(stands).transpose()?.unwrap_or(false) {
                // The connection was deleted meanwhile, and perhaps made anew: what came is its revocation's.
                let granted = conclusion.granted.as_deref();
                if let Some((note, mark)) = self.inherit(&permit, &org, intent, granted).await? {
                    let became = Became::because("ok", "deleted");
                    let recorded = permit.settle_step(became, None, Some(mark)).await;
                    drop(self.act_on(note, Duration::ZERO));
                    return Ok(recorded.and(Err(Refusal::not_found("connection"))));
                }
            }
            let landed = match &record {
                Some(record) => self.land(&org, &key, id, record, intent, conclusion)?,
                None => Landed::gone(),
            };
            let generation = landed.generation.unwrap_or(intent.generation);
            let mut telling = self.telling(&org, &key, id, generation, landed.news);
            let mut batch = match (&record, landed.record) {
                (Some(record), Some(next)) => {
                    let moves = self.moves_of_grant(&org, &key, Some(record), Some(&next))?;
                    let mut batch = self.replacement(&permit, key, record, next);
                    batch.changes.extend(moves);
                    batch
                }
                (_, None) | (None, _) => Batch { note: self.note(&permit), ..Batch::default() },
            };
            let mates = self.land_in_mates(&mut batch, (&org, &key, &id.provider), intent, conclusion)?;
            if batch.changes.is_empty() {
                self.census.note(key, landed.state);
                let recorded = permit.settle_step(landed.became, Some(generation), None).await;
                return Ok(recorded.and(landed.told));
            }
            batch.changes.extend(telling.iter_mut().flat_map(Telling::changes));
            fault_points::reach("answer/sealed");
            let Some(mark) = unless_changed(self.commit_precious(batch).await)? else {
                permit.settle_step(Became::because("conflict", "answer"), None, None).await?;
                continue;
            };
            fault_points::reach("answer/committed");
            self.told(telling, mark);
            self.census.note(key, landed.state);
            mates.into_iter().for_each(|(mate, state)| self.census.note(mate, state));
            let recorded = permit.settle_step(landed.became, landed.generation, Some(mark)).await;
            fault_points::reach("answer/audited");
            return Ok(recorded.and(landed.told));
        }
        Err(CommitError::Conflict.into())
    }

    /// The record with another state of its exchange, its other sections as they are.
    pub(super) fn with_exchange(
        &self,
        org: &Org,
        key: &Key,
        record: &Record,
        custody: &Custody,
        unread: Option<&[u8]>,
    ) -> Result<Vec<u8>, Refusal> {
        let exchange = (*custody != Custody::Settled).then(|| to_body(custody));
        let mut replaced = vec![(Field::Exchange, exchange.as_deref().map(Vec::as_slice))];
        if unread.is_some() {
            replaced.push((Field::Answer, unread));
        }
        self.with_sections(org, key, record, &replaced)
    }

    /// The record with a refresh token that came too late to be the current one, and is kept all the same.
    fn with_spare(
        &self,
        org: &Org,
        key: &Key,
        record: &Record,
        token: &RefreshToken,
    ) -> Result<Vec<u8>, Refusal> {
        let token = RefreshToken::expose(token).as_bytes();
        self.with_sections(org, key, record, &[(Field::PreviousRefreshToken, Some(token))])
    }

    pub(super) fn with_sections(
        &self,
        org: &Org,
        key: &Key,
        record: &Record,
        replaced: &[(Field, Option<&[u8]>)],
    ) -> Result<Vec<u8>, Refusal> {
        let view = RecordView::parse(&record.value)
            .ok_or_else(|| Refusal::integrity("connection", &"the record is not one"))?;
        let mut writer = RecordWriter::new(view.generation());
        let goes = |field: u8| replaced.iter().any(|(replaced, _)| *replaced as u8 == field);
        for section in view.sections().filter(|section| !goes(section.field)) {
            writer = writer.copied(&section);
        }
        for (field, value) in replaced {
            let Some(value) = value else { continue };
            let sealed = Sealed::of(&org.key, &place(self.vault_id, key, *field), view.generation(), value);
            writer = writer.section(*field, &sealed);
        }
        Ok(writer.finish())
    }

    /// Keeps another state of the exchange of a connection that was looked at. None: it has changed since.
    pub(super) async fn keep_exchange(
        &self,
        permit: &Permit<'_>,
        kept: &Kept,
        custody: &Custody,
    ) -> Result<Option<Mark>, Refusal> {
        let record = self.with_exchange(&kept.org, &kept.key, &kept.record, custody, None)?;
        let batch = self.replacement(permit, kept.key, &kept.record, record);
        let kept_at = unless_changed(self.commit(batch).await)?;
        if kept_at.is_some() {
            self.census.note(kept.key, state_of(custody));
        }
        Ok(kept_at)
    }

    fn replacement(&self, permit: &Permit<'_>, key: Key, record: &Record, next: Vec<u8>) -> Batch {
        Batch {
            preconditions: vec![standing(key, Some(record))],
            changes: vec![Change::Put(key, next)],
            note: self.note(permit),
        }
    }

    /// Connections that have a refresh token, a page of them, in the order of their blind names.
    ///
    /// # Errors
    /// The store cannot be read. A connection that does not open is left out, and logged.
    pub fn survey(&self, after: Option<&Key>, most: usize) -> Result<(Vec<Surveyed>, Option<Key>), Refusal> {
        let records = self.store.scan(&[Table::Connection as u8], after, most)?;
        let last = records.last().map(|(key, _)| *key);
        let found = records.iter().filter(|(_, record)| has(record, Field::RefreshToken));
        let mut org = None;
        Ok((found.filter_map(|(key, record)| self.survey_one(key, record, &mut org).ok()).collect(), last))
    }

    pub(super) fn name_of(&self, token: &[u8]) -> Fingerprint {
        Fingerprint(hex::encode(&self.blind.refresh_token(token)))
    }

    /// An account at a provider, named.
    pub(super) fn name_of_account(&self, provider: &ProviderId, account: &str) -> Fingerprint {
        Fingerprint(hex::encode(&self.blind.account(provider, account)))
    }

    pub(super) fn refresher(&self) -> Caller {
        self.task("refresher")
    }
}

/// None where another change of one of the records came first.
fn unless_changed(committed: Result<Mark, CommitError>) -> Result<Option<Mark>, Refusal> {
    match committed {
        Ok(mark) => Ok(Some(mark)),
        Err(CommitError::Conflict) => Ok(None),
        Err(why) => Err(why.into()),
    }
}

/// The provider refuses the refresh token for good.
#[must_use]
pub fn needs_reauth(reason: Reason, since: Moment) -> Refusal {
    Refusal {
        reason: Some(reason.as_str()),
        since: Some(since),
        ..Refusal::new(
            Code::NeedsReauth,
            "the provider refuses the refresh token; its owner must connect again",
        )
    }
}

pub(super) fn has(record: &Record, field: Field) -> bool {
    RecordView::parse(&record.value).is_some_and(|view| view.section(field).is_some())
}
