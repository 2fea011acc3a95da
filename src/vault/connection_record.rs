//! The record of a connection: how a token set becomes one, and what is read of it without its tokens.
//!
//! The hard problem: a token set that is replaced must not take a refresh token with it that nobody else
//! has. The answer: a set without one keeps the stored one, and the one that was replaced stays sealed
//! beside the new one.
//!
//! Every section is sealed anew with the generation of its record: one from an older record is refused.

use serde::{Deserialize, Serialize};
use tokenkeep_client::ids::{ConnectionId, OrgId};
use tokenkeep_client::moment::Moment;
use tokenkeep_client::problem::Code;
use tokenkeep_client::secret::{AccessToken, IdToken, RefreshToken};
use tokenkeep_client::wire::{ConnectionOut, ConnectionState, Forecast, Labels, to_body};
use zeroize::Zeroizing;

use super::Vault;
use super::orgs::Org;
use super::place::{Field, place};
use super::record::{RecordView, RecordWriter};
use super::refusal::Refusal;
use super::sealed::Sealed;
use super::shared_grant::SHARED_GRANT;
use crate::crypto::mac::constant_time_eq;
use crate::domain::event::{ANSWER_LOST, News, PROBE_LOST, news_of_end};
use crate::domain::refresh::life::Life;
use crate::domain::refresh::schedule::{Limits, forecast};
use crate::domain::refresh::{Custody, Fingerprint};
use crate::domain::token_set::Accepted;
use crate::store::{Key, Record};

/// Why a connection whose access token has ended stays so.
pub(super) const REFRESH_NOT_AVAILABLE: &str = "refresh_not_available";

/// Stands before the body of an access token that is kept and served to nobody. No JSON begins with it.
pub(super) const WITHHELD: u8 = b'!';

/// What the metadata section of a connection says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Metadata {
    org: OrgId,
    #[serde(flatten)]
    pub(super) id: ConnectionId,
    pub(super) created_at: Moment,
    pub(super) refreshed_at: Moment,
    pub(super) expires_at: Option<Moment>,
    pub(super) scopes: Vec<String>,
    labels: Labels,
    /// The incarnation of the store in which it was last known to be current.
    #[serde(default = "first", skip_serializing_if = "is_first")]
    pub(super) incarnation: u64,
    /// Whether its scopes go beyond what its provider may give: it is kept, and served to nobody.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) withheld: bool,
    /// Its refresh token, named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) grant: Option<Fingerprint>,
    /// The account at its provider, named; none: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) account: Option<Fingerprint>,
    /// When its owner consented last; none: when it was made. A refresh is no consent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    consented_at: Option<Moment>,
}

fn first() -> u64 {
    1
}

fn is_first(incarnation: &u64) -> bool {
    *incarnation == first()
}

impl Metadata {
    /// When its owner consented last.
    fn consented_at(&self) -> Moment {
        self.consented_at.unwrap_or(self.created_at)
    }

    /// When the token set came and ends.
    pub(super) fn life(&self) -> Life {
        Life { refreshed_at: self.refreshed_at, expires_at: self.expires_at }
    }

    /// As it is known to be current in this incarnation of the store.
    pub(super) fn in_incarnation(self, incarnation: u64) -> Self {
        Self { incarnation, ..self }
    }
}

/// What becomes of what is known of the exchange of the stored refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ExchangeFate {
    /// It goes on with the refresh token, and goes with it.
    Follows,
    /// It is over.
    Over,
}

impl Vault {
    /// The record that follows `current`: one generation on, every section sealed anew with that generation.
    pub(super) fn next_record(
        &self,
        org: &Org,
        key: &Key,
        id: &ConnectionId,
        accepted: &Accepted,
        current: Option<&Record>,
        fate: ExchangeFate,
    ) -> Result<(Vec<u8>, ConnectionOut), Refusal> {
        let now = self.now();
        let before = current.map(|record| self.open_metadata(org, key, record)).transpose()?;
        let generation = before.as_ref().map_or(1, |(generation, _)| generation + 1);
        let kept = self.kept_refresh_tokens(org, key, accepted, current)?;
        let is_consent = fate == ExchangeFate::Follows && kept.current.is_some() && !kept.stays;
        let metadata = Metadata {
            consented_at: match &before {
                Some(_) if is_consent => Some(now),
                Some((_, metadata)) => metadata.consented_at,
                None => None,
            },
            org: org.id.clone(),
            id: id.clone(),
            created_at: before.as_ref().map_or(now, |(_, metadata)| metadata.created_at),
            refreshed_at: now,
            expires_at: accepted.expires_at,
            scopes: accepted.scopes.clone(),
            incarnation: match &before {
                Some((_, metadata)) if !kept.is_new => metadata.incarnation,
                Some(_) | None => self.quarantine.incarnation(),
            },
            grant: kept.current.as_ref().map(|token| self.name_of(token)),
            account: match (&accepted.account, &before) {
                // A refresh does not change the account, and an ID token may call it otherwise than the application did.
                (_, Some((_, Metadata { account: Some(known), .. }))) if fate == ExchangeFate::Over => {
                    Some(known.clone())
                }
                (Some(account), _) => Some(self.name_of_account(&id.provider, account)),
                // Another grant may be another account's.
                (None, Some((_, metadata))) if !is_consent => metadata.account.clone(),
                (None, _) => None,
            },
            labels: accepted.labels.clone().or(before.map(|(_, m)| m.labels)).unwrap_or_default(),
            // At the door it was refused: a refresh has widened it, and its refresh token must not be lost.
            withheld: !self.allows_scopes(id, &accepted.scopes),
        };
        let sealed =
            |field, value: &[u8]| Sealed::of(&org.key, &place(self.vault_id, key, field), generation, value);
        let section =
            |writer: RecordWriter, field, value: &[u8]| writer.section(field, &sealed(field, value));
        // First what is read most.
        let mut writer = section(
            RecordWriter::new(generation),
            Field::AccessToken,
            &access_token_value(accepted, metadata.withheld),
        );
        writer = section(writer, Field::Metadata, &to_body(&metadata));
        if let Some(token) = &kept.current {
            writer = section(writer, Field::RefreshToken, token);
        }
        if let Some(token) = &kept.previous {
            writer = section(writer, Field::PreviousRefreshToken, token);
        }
        let mut custody = Custody::Settled;
        if fate == ExchangeFate::Follows && kept.stays {
            for field in [Field::Exchange, Field::Answer] {
                if let Some(value) = self.stored_section(org, key, current, field)? {
                    writer = section(writer, field, &value);
                }
            }
            custody = current.map(|record| self.custody(org, key, record)).transpose()?.unwrap_or_default();
        }
        if let Some(token) = &accepted.id_token {
            writer = section(writer, Field::IdToken, IdToken::expose(token).as_bytes());
        }
        if kept.current.is_some() {
            self.announce(org, key, &metadata, generation, &custody);
        }
        let out = self.connection_out(metadata, generation, kept.current.is_some(), &custody, key);
        Ok((writer.finish(), out))
    }

    /// What is known of the exchange of the stored refresh token.
    pub(super) fn custody(&self, org: &Org, key: &Key, record: &Record) -> Result<Custody, Refusal> {
        let Some(value) = self.stored_section(org, key, Some(record), Field::Exchange)? else {
            return Ok(Custody::Settled);
        };
        serde_json::from_slice(&value)
            .map_err(|_| Refusal::integrity("connection", &"its exchange is not what was written"))
    }

    pub(super) fn stored_section(
        &self,
        org: &Org,
        key: &Key,
        current: Option<&Record>,
        field: Field,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, Refusal> {
        let Some(record) = current else { return Ok(None) };
        if RecordView::parse(&record.value).is_none_or(|view| view.section(field).is_none()) {
            return Ok(None);
        }
        let opened = self.open_section(org, key, &record.value, field)?;
        Ok(Some(Zeroizing::new(opened.expose().to_vec())))
    }

    fn kept_refresh_tokens(
        &self,
        org: &Org,
        key: &Key,
        accepted: &Accepted,
        current: Option<&Record>,
    ) -> Result<KeptRefreshTokens, Refusal> {
        let stored = |field| self.stored_section(org, key, current, field);
        let (stored_current, stored_previous) =
            (stored(Field::RefreshToken)?, stored(Field::PreviousRefreshToken)?);
        let new = accepted.refresh_token.as_ref().map(RefreshToken::expose);
        let new = new.map(|text| Zeroizing::new(text.as_bytes().to_vec()));
        Ok(match (new, stored_current) {
            (Some(new), Some(old)) if !constant_time_eq(&new, &old) => {
                let is_known = stored_previous.is_some_and(|previous| constant_time_eq(&new, &previous));
                KeptRefreshTokens { current: Some(new), previous: Some(old), stays: false, is_new: !is_known }
            }
            (new, old) => {
                let (stays, is_new) = (old.is_some(), old.is_none() && new.is_some());
                KeptRefreshTokens { current: new.or(old), previous: stored_previous, stays, is_new }
            }
        })
    }

    /// How a token set stands to the stored one. Compared in constant time; says nothing else of either.
    pub(super) fn relate(
        &self,
        org: &Org,
        key: &Key,
        id: &ConnectionId,
        accepted: &Accepted,
        stored: &Record,
    ) -> Result<(u64, Relation), Refusal> {
        let (generation, metadata) = self.open_metadata(org, key, stored)?;
        if metadata.id != *id {
            return Err(Refusal::integrity("connection", &"the record is another connection's"));
        }
        let holds = |field, value: Option<&[u8]>| -> Result<bool, Refusal> {
            let Some(value) = value else { return Ok(true) };
            if RecordView::parse(&stored.value).is_none_or(|view| view.section(field).is_none()) {
                return Ok(false);
            }
            let opened = self.open_section(org, key, &stored.value, field)?;
            Ok(constant_time_eq(opened.expose(), value))
        };
        let refresh_token =
            accepted.refresh_token.as_ref().map(|token| RefreshToken::expose(token).as_bytes());
        let id_token = accepted.id_token.as_ref().map(|token| IdToken::expose(token).as_bytes());
        let current = holds(Field::RefreshToken, refresh_token)?;
        let same = current
            && holds(Field::AccessToken, Some(&access_token_value(accepted, false)))?
            && holds(Field::IdToken, id_token)?
            && accepted
                .account
                .as_ref()
                .is_none_or(|account| Some(self.name_of_account(&id.provider, account)) == metadata.account)
            && accepted.labels.as_ref().is_none_or(|labels| *labels == metadata.labels);
        let relation = if same {
            Relation::Same
        } else if !current && holds(Field::PreviousRefreshToken, refresh_token)? {
            Relation::Older
        } else {
            Relation::Different
        };
        Ok((generation, relation))
    }

    pub(super) fn open_metadata(
        &self,
        org: &Org,
        key: &Key,
        record: &Record,
    ) -> Result<(u64, Metadata), Refusal> {
        let opened = self.open_section(org, key, &record.value, Field::Metadata)?;
        let metadata: Metadata = serde_json::from_slice(opened.expose())
            .map_err(|_| Refusal::integrity("connection", &"its metadata is not what was written"))?;
        if metadata.org != org.id {
            return Err(Refusal::integrity("connection", &"it is another org's"));
        }
        Ok((opened.generation(), metadata))
    }

    pub(super) fn describe_connection(
        &self,
        org: &Org,
        key: &Key,
        record: &Record,
    ) -> Result<ConnectionOut, Refusal> {
        let (generation, metadata) = self.open_metadata(org, key, record)?;
        let has_refresh_token =
            RecordView::parse(&record.value).is_some_and(|view| view.section(Field::RefreshToken).is_some());
        let custody = self.custody(org, key, record)?;
        Ok(self.connection_out(metadata, generation, has_refresh_token, &custody, key))
    }

    fn connection_out(
        &self,
        metadata: Metadata,
        generation: u64,
        has_refresh_token: bool,
        custody: &Custody,
        key: &Key,
    ) -> ConnectionOut {
        let forecast = self.forecast(&metadata, has_refresh_token, custody);
        let ended = metadata.expires_at.is_some_and(|at| at <= self.now());
        let renewed = has_refresh_token && self.client_of(&metadata.id.provider).is_some();
        let shared = self.sharing(key, &metadata.id.provider, metadata.grant.as_ref());
        let is_held = has_refresh_token && self.is_held(&metadata.id.provider, metadata.incarnation);
        let (state, reason) = match custody {
            Custody::NeedsReauth { reason, .. } => (ConnectionState::NeedsReauth, Some(reason.as_str())),
            _ if is_held => (ConnectionState::Quarantined, Some(self.why_held())),
            _ if self.would_spend_another_s(&metadata.id.provider, shared) => {
                (ConnectionState::Quarantined, Some(SHARED_GRANT))
            }
            Custody::OutcomeUnknown { probed, .. } => {
                (ConnectionState::OutcomeUnknown, Some(if *probed { PROBE_LOST } else { ANSWER_LOST }))
            }
            Custody::Refreshing { .. } => (ConnectionState::Refreshing, None),
            Custody::Settled if ended && !renewed => {
                (ConnectionState::NeedsReauth, Some(REFRESH_NOT_AVAILABLE))
            }
            Custody::Settled if metadata.withheld => {
                (ConnectionState::NeedsReauth, Some(Code::ScopeNotAllowed.as_str()))
            }
            Custody::Settled => (ConnectionState::Active, None),
        };
        let since = match custody {
            Custody::NeedsReauth { since, .. } | Custody::OutcomeUnknown { since, .. } => Some(*since),
            Custody::Refreshing { intent } => Some(intent.begun_at),
            Custody::Settled if state == ConnectionState::NeedsReauth => metadata.expires_at,
            Custody::Settled => None,
        };
        ConnectionOut {
            provider: metadata.id.provider,
            name: metadata.id.name,
            state,
            reason: reason.map(str::to_owned),
            since,
            scopes: metadata.scopes,
            generation,
            expires_at: metadata.expires_at,
            has_refresh_token,
            created_at: metadata.created_at,
            refreshed_at: metadata.refreshed_at,
            last_read_at: self.last_reads.at(key),
            shared,
            same_account: self.has_same_account(key, metadata.account.as_ref()),
            labels: metadata.labels,
            forecast,
        }
    }

    /// Only where a client of ours could refresh it: what an application refreshes by itself, it knows itself.
    /// What a refresh has to tell of the end of a connection that was as `metadata` says before it.
    pub(super) fn news_of_end(&self, metadata: &Metadata) -> Option<News> {
        let provider = self.client_of(&metadata.id.provider)?;
        let limit = Limits::of(provider.client.as_ref()?).absolute?;
        news_of_end(metadata.consented_at(), limit, metadata.life().refreshed_at, self.now())
    }

    fn forecast(&self, metadata: &Metadata, has_refresh_token: bool, custody: &Custody) -> Option<Forecast> {
        if matches!(custody, Custody::NeedsReauth { .. }) {
            return None;
        }
        let provider = self.client_of(&metadata.id.provider)?;
        let limits = Limits::of(provider.client.as_ref()?);
        let (ends_at, ending) =
            forecast(metadata.consented_at(), metadata.life(), &limits, has_refresh_token, self.now())?;
        Some(Forecast { ends_at, reason: ending.as_str().to_owned() })
    }
}

/// How a token set stands to the stored one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    /// Neither of the others.
    Different,
    /// Its refresh token is the one before the stored one: it was replaced by what is stored.
    Older,
    /// What it says is what is stored.
    Same,
}

struct KeptRefreshTokens {
    current: Option<Zeroizing<Vec<u8>>>,
    previous: Option<Zeroizing<Vec<u8>>>,
    /// Whether the stored one stays the current one.
    stays: bool,
    /// Whether this store never had the current one before: no copy of it can have it.
    is_new: bool,
}

/// The value of the access token section: the end in Unix seconds (8 bytes, big-endian, 0 where unknown),
/// then the body that a read answers with, less its generation. A read splices and parses nothing. Before the body of a
/// token that is withheld stands [`WITHHELD`]: so no read can splice it by mistake.
fn access_token_value(accepted: &Accepted, withheld: bool) -> Zeroizing<Vec<u8>> {
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
    let mut value = Zeroizing::new(Vec::with_capacity(9 + body.len()));
    value.extend_from_slice(&accepted.expires_at.map_or(0, Moment::unix).to_be_bytes());
    value.extend_from_slice(if withheld { &[WITHHELD] } else { &[] });
    value.extend_from_slice(&body);
    value
}
