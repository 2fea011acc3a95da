//! Connections: token sets taken in, shown without their tokens, listed, deleted.
//!
//! The hard problem: a token set that is replaced must not take a refresh token with it that nobody else
//! has. The answer: a set without one keeps the stored one, and the one that was replaced stays sealed
//! beside the new one.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokenkeep_client::ids::{ConnectionId, OrgId, ProviderId};
use tokenkeep_client::moment::Moment;
use tokenkeep_client::problem::Code;
use tokenkeep_client::secret::{AccessToken, IdToken, RefreshToken};
use tokenkeep_client::wire::{ConnectionOut, ConnectionState, Deleted, Labels, Page, TokenSet, to_body};
use zeroize::Zeroizing;

use super::ask::Ask;
use super::caller::Caller;
use super::orgs::Org;
use super::page::{Cursor, PageRequest};
use super::place::{Field, Table, org_prefix, place};
use super::record::{RecordView, RecordWriter};
use super::refusal::Refusal;
use super::request_id::RequestId;
use super::{Vault, apart};
use crate::chain::Mark;
use crate::crypto::mac::constant_time_eq;
use crate::crypto::seal::seal;
use crate::domain::action::Action;
use crate::domain::provider::NotAccepted;
use crate::domain::token_set::{Accepted, accept};
use crate::store::{Batch, Change, CommitError, Key, Precondition, Record};

/// Why a connection whose access token has ended stays so.
pub const REFRESH_NOT_AVAILABLE: &str = "refresh_not_available";
/// A change without a condition is tried again when another came first; so often, no more.
const TRIES: usize = 8;
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

/// Which connections a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConnectionFilter {
    /// Only of this issuer.
    pub provider: Option<ProviderId>,
    /// Only in this state.
    pub state: Option<ConnectionState>,
}

/// What the metadata section of a connection says.
#[derive(Debug, Serialize, Deserialize)]
struct Metadata {
    org: OrgId,
    #[serde(flatten)]
    id: ConnectionId,
    created_at: Moment,
    refreshed_at: Moment,
    expires_at: Option<Moment>,
    scopes: Vec<String>,
    labels: Labels,
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
            let permit = vault.admit_change(
                &caller,
                Ask::new(&request, Action::ConnectionWrite).of(&org).on_connection(&id),
            )?;
            let note = vault.note(&permit);
            let stored = vault.store_token_set(&org, &id, set, condition, &note).await;
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

    /// Deletes a connection. The provider is not told.
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
    ) -> Result<Deleted, Refusal> {
        let (vault, caller) = (Arc::clone(self), Arc::clone(caller));
        apart(async move {
            let permit = vault.admit_change(
                &caller,
                Ask::new(&request, Action::ConnectionDelete).of(&org).on_connection(&id),
            )?;
            let note = vault.note(&permit);
            let deleted = vault.remove_connection(&org, &id, condition, &note).await;
            permit.settle_change(deleted, |_| None).await
        })
        .await
    }

    async fn store_token_set(
        &self,
        org: &OrgId,
        id: &ConnectionId,
        set: TokenSet,
        condition: Condition,
        note: &[u8],
    ) -> Result<(ConnectionOut, Mark), Refusal> {
        let accepted = accept(set, self.now()).map_err(|rejected| Refusal::invalid(rejected.0))?;
        self.providers.accept(&id.provider, &accepted.scopes).map_err(|why| match why {
            NotAccepted::Scope => Refusal::new(
                Code::ScopeNotAllowed,
                "the token has a scope beyond the provider's allowed_scopes",
            ),
            NotAccepted::Unknown => {
                Refusal::new(Code::UnknownProvider, "no [[provider]] with this id is configured")
            }
        })?;
        let org = self.org(org)?;
        let key = self.blind.connection(org.blind, id);
        for _ in 0..TRIES {
            let current = self.store.read(&key)?;
            check(condition, current.as_ref())?;
            let (record, out) = self.next_record(&org, &key, id, &accepted, current.as_ref())?;
            let batch = Batch {
                preconditions: vec![standing(key, current.as_ref())],
                changes: vec![Change::Put(key, record)],
                note: note.to_vec(),
            };
            match self.store.commit(batch).await {
                Ok(mark) => return Ok((out, mark)),
                Err(CommitError::Conflict) => {}
                Err(why) => return Err(why.into()),
            }
        }
        Err(CommitError::Conflict.into())
    }

    /// The record that follows `current`: one generation on, every section sealed anew with that generation.
    fn next_record(
        &self,
        org: &Org,
        key: &Key,
        id: &ConnectionId,
        accepted: &Accepted,
        current: Option<&Record>,
    ) -> Result<(Vec<u8>, ConnectionOut), Refusal> {
        let now = self.now();
        let before = current.map(|record| self.open_metadata(org, key, record)).transpose()?;
        let generation = before.as_ref().map_or(1, |(generation, _)| generation + 1);
        let metadata = Metadata {
            org: org.id.clone(),
            id: id.clone(),
            created_at: before.as_ref().map_or(now, |(_, metadata)| metadata.created_at),
            refreshed_at: now,
            expires_at: accepted.expires_at,
            scopes: accepted.scopes.clone(),
            labels: accepted.labels.clone().or(before.map(|(_, m)| m.labels)).unwrap_or_default(),
        };
        let sealed =
            |field, value: &[u8]| seal(&org.key, &place(self.vault_id, key, field), generation, value);
        let section = |writer: RecordWriter, field, value: &[u8]| {
            writer.section(field, org.key.id(), sealed(field, value).as_bytes())
        };
        // First what is read most.
        let mut writer =
            section(RecordWriter::new(generation), Field::AccessToken, &access_token_value(accepted));
        writer = section(writer, Field::Metadata, &to_body(&metadata));
        let kept = self.kept_refresh_tokens(org, key, accepted, current)?;
        if let Some(token) = &kept.current {
            writer = section(writer, Field::RefreshToken, token);
        }
        if let Some(token) = &kept.previous {
            writer = section(writer, Field::PreviousRefreshToken, token);
        }
        if let Some(token) = &accepted.id_token {
            writer = section(writer, Field::IdToken, IdToken::expose(token).as_bytes());
        }
        let out = self.connection_out(metadata, generation, kept.current.is_some(), key);
        Ok((writer.finish(), out))
    }

    fn kept_refresh_tokens(
        &self,
        org: &Org,
        key: &Key,
        accepted: &Accepted,
        current: Option<&Record>,
    ) -> Result<KeptRefreshTokens, Refusal> {
        let stored = |field| -> Result<Option<Zeroizing<Vec<u8>>>, Refusal> {
            let Some(record) = current else { return Ok(None) };
            if RecordView::parse(&record.value).is_none_or(|view| view.section(field).is_none()) {
                return Ok(None);
            }
            let opened = self.open_section(&org.key, key, &record.value, field)?;
            Ok(Some(Zeroizing::new(opened.expose().to_vec())))
        };
        let (stored_current, stored_previous) =
            (stored(Field::RefreshToken)?, stored(Field::PreviousRefreshToken)?);
        let new = accepted.refresh_token.as_ref().map(RefreshToken::expose);
        let new = new.map(|text| Zeroizing::new(text.as_bytes().to_vec()));
        Ok(match (new, stored_current) {
            (Some(new), Some(old)) if !constant_time_eq(&new, &old) => {
                KeptRefreshTokens { current: Some(new), previous: Some(old) }
            }
            (new, old) => KeptRefreshTokens { current: new.or(old), previous: stored_previous },
        })
    }

    fn open_metadata(&self, org: &Org, key: &Key, record: &Record) -> Result<(u64, Metadata), Refusal> {
        let opened = self.open_section(&org.key, key, &record.value, Field::Metadata)?;
        let metadata: Metadata = serde_json::from_slice(opened.expose())
            .map_err(|_| Refusal::integrity("connection", &"its metadata is not what was written"))?;
        if metadata.org != org.id {
            return Err(Refusal::integrity("connection", &"it is another org's"));
        }
        Ok((opened.generation(), metadata))
    }

    fn describe_connection(&self, org: &Org, key: &Key, record: &Record) -> Result<ConnectionOut, Refusal> {
        let (generation, metadata) = self.open_metadata(org, key, record)?;
        let has_refresh_token =
            RecordView::parse(&record.value).is_some_and(|view| view.section(Field::RefreshToken).is_some());
        Ok(self.connection_out(metadata, generation, has_refresh_token, key))
    }

    fn connection_out(
        &self,
        metadata: Metadata,
        generation: u64,
        has_refresh_token: bool,
        key: &Key,
    ) -> ConnectionOut {
        let ended = metadata.expires_at.is_some_and(|at| at <= self.now());
        ConnectionOut {
            provider: metadata.id.provider,
            name: metadata.id.name,
            state: if ended { ConnectionState::NeedsReauth } else { ConnectionState::Active },
            reason: ended.then(|| REFRESH_NOT_AVAILABLE.to_owned()),
            scopes: metadata.scopes,
            generation,
            expires_at: metadata.expires_at,
            has_refresh_token,
            created_at: metadata.created_at,
            refreshed_at: metadata.refreshed_at,
            last_read_at: self.last_reads.at(key),
            labels: metadata.labels,
        }
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
        note: &[u8],
    ) -> Result<(Deleted, Mark), Refusal> {
        let org = self.org(org)?;
        let key = self.blind.connection(org.blind, id);
        for _ in 0..TRIES {
            let current = self.store.read(&key)?.ok_or_else(|| Refusal::not_found("connection"))?;
            check(condition, Some(&current))?;
            let batch = Batch {
                preconditions: vec![standing(key, Some(&current))],
                changes: vec![Change::Delete(key)],
                note: note.to_vec(),
            };
            match self.store.commit(batch).await {
                Ok(mark) => return Ok((Deleted { deleted: true, revoked: false }, mark)),
                Err(CommitError::Conflict) => {}
                Err(why) => return Err(why.into()),
            }
        }
        Err(CommitError::Conflict.into())
    }
}

struct KeptRefreshTokens {
    current: Option<Zeroizing<Vec<u8>>>,
    previous: Option<Zeroizing<Vec<u8>>>,
}

/// The value of the access token section: the end in Unix seconds (8 bytes, big-endian, 0 where unknown),
/// then the body that a read answers with, less its generation. A read splices and parses nothing.
fn access_token_value(accepted: &Accepted) -> Zeroizing<Vec<u8>> {
    #[derive(Serialize)]
    struct Body<'a> {
        access_token: &'a str,
        token_type: &'a str,
        expires_at: Option<Moment>,
        scopes: &'a [String],
    }
    let body = to_body(&Body {
        access_token: AccessToken::expose(&accepted.access_token),
        token_type: &accepted.token_type,
        expires_at: accepted.expires_at,
        scopes: &accepted.scopes,
    });
    let mut value = Zeroizing::new(Vec::with_capacity(8 + body.len()));
    value.extend_from_slice(&accepted.expires_at.map_or(0, Moment::unix).to_be_bytes());
    value.extend_from_slice(&body);
    value
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

fn standing(key: Key, current: Option<&Record>) -> Precondition {
    current.map_or(Precondition::Absent(key), |record| Precondition::Unchanged(key, record.revision))
}
