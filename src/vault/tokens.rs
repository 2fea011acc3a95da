//! Reads of tokens: the hot path, and the reason for all the rest.
//!
//! The hard problem: decrypt on demand, record it, and cost little more than the kernel's round trip. The
//! answer: one section is opened, and what it holds is the body of the answer, spliced and not parsed.
//!
//! A read of an access token never opens a refresh token.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokenkeep_client::ids::{ConnectionId, OrgId};
use tokenkeep_client::limits;
use tokenkeep_client::moment::Moment;
use tokenkeep_client::problem::Code;
use tokenkeep_client::secret::WipedBytes;

use super::Vault;
use super::ask::Ask;
use super::caller::Caller;
use super::connection_record::{REFRESH_NOT_AVAILABLE, WITHHELD};
use super::connections::scope_not_allowed;
use super::door::{Permit, Settling};
use super::orgs::Org;
use super::place::Field;
use super::refusal::Refusal;
use super::renewal::Renewed;
use super::request_id::RequestId;
use crate::crypto::seal::Opened;
use crate::digits::put_number;
use crate::domain::action::Action;
use crate::store::{Key, Record};

/// An access token that was opened for one answer. Wiped when it goes.
#[derive(Debug)]
pub struct OpenToken {
    value: Opened,
}

impl OpenToken {
    /// Counts the token sets of the connection.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.value.generation()
    }

    /// Appends the JSON of the answer.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        let body = &self.value.expose()[8..];
        out.extend_from_slice(&body[..body.len().saturating_sub(1)]);
        out.extend_from_slice(b",\"generation\":");
        put_number(out, self.generation());
        out.push(b'}');
    }

    /// How long that JSON is, at the most.
    #[must_use]
    pub fn json_length(&self) -> usize {
        self.value.expose().len() + 32
    }

    /// The bare token.
    ///
    /// # Errors
    /// `integrity`: what was sealed is not what this program writes.
    pub fn bare(&self) -> Result<WipedBytes, Refusal> {
        #[derive(Deserialize)]
        struct Body<'a> {
            #[serde(borrow)]
            access_token: Cow<'a, str>,
        }
        let body: Body<'_> = serde_json::from_slice(&self.value.expose()[8..])
            .map_err(|_| Refusal::integrity("access token", &"its body is not what was written"))?;
        let bare = WipedBytes::from(body.access_token.as_bytes().to_vec());
        if let Cow::Owned(unescaped) = body.access_token {
            drop(WipedBytes::from(unescaped.into_bytes()));
        }
        Ok(bare)
    }

    fn is_good(&self, wanted: Wanted, now: Moment) -> bool {
        match wanted {
            Wanted::LivesFor(span) => self.expires_at().is_none_or(|end| end >= now.after(span)),
            Wanted::OtherThan(generation) => self.generation() != generation,
        }
    }

    fn is_withheld(&self) -> bool {
        self.value.expose().get(8) == Some(&WITHHELD)
    }

    fn expires_at(&self) -> Option<Moment> {
        let (seconds, _) = self.value.expose().split_first_chunk::<8>()?;
        match u64::from_be_bytes(*seconds) {
            0 => None,
            seconds => Moment::from_unix(seconds),
        }
    }
}

/// A refresh token that was opened for one answer. Wiped when it goes.
#[derive(Debug)]
pub struct OpenRefreshToken(Opened);

impl OpenRefreshToken {
    /// Counts the token sets of the connection.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.0.generation()
    }

    /// The one way out. Whoever calls this owns the leak.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.0.expose()
    }
}

/// Which token set is good enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// One that lives at least so long.
    LivesFor(Duration),
    /// Any but that of this generation: the caller got a 401 with it.
    OtherThan(u64),
}

/// A token as it was found.
enum Sight {
    /// It is what was wanted.
    Good(OpenToken),
    /// It is not.
    Stale(OpenToken),
}

/// What was found of one of many, and when it was looked for.
struct Seen {
    sight: Result<Sight, Refusal>,
    begun_at: Duration,
    ended_at: Duration,
}

impl Vault {
    /// The access token of a connection.
    ///
    /// # Errors
    /// The door's; `not_found`, `needs_reauth`, `integrity`.
    pub async fn read_token(
        &self,
        caller: &Caller,
        request: RequestId,
        org: &OrgId,
        id: &ConnectionId,
        wanted: Wanted,
    ) -> Result<OpenToken, Refusal> {
        let mut permit =
            self.admit(caller, Ask::new(&request, Action::TokenRead).of(org).on_connection(id))?;
        let sight = self.standing_consent(org, id).and_then(|consent| {
            if consent.is_some() {
                permit.rests_on(consent);
            }
            self.open_token(org, id, wanted)
        });
        let token = match sight {
            Ok(Sight::Good(token)) => Ok(token),
            Ok(Sight::Stale(token)) => {
                // Plaintext does not wait for a provider.
                drop(token);
                // In a box: the future of a read that need not wait stays small.
                Box::pin(async { self.after_renewal(org, id, wanted, self.renew(org, id, wanted).await) })
                    .await
            }
            Err(refusal) => Err(refusal),
        };
        permit.settle(token, |token| Some(token.generation())).await
    }

    /// The access tokens of many connections, one answer each, in the order asked.
    ///
    /// # Errors
    /// Of the batch as a whole: `rate_limited`, `invalid_request`, `audit_unavailable`.
    pub async fn read_tokens(
        &self,
        caller: &Caller,
        request: RequestId,
        org: &OrgId,
        ids: &[ConnectionId],
        min_ttl: Duration,
    ) -> Result<Vec<Result<OpenToken, Refusal>>, Refusal> {
        let whole = Ask::new(&request, Action::TokenRead).of(org);
        self.take_allowance(caller, &whole)?;
        if ids.len() > limits::BATCH {
            let refusal = Refusal::invalid("a batch has at most 1000 connections");
            self.record_denial(caller, &whole, &refusal)?;
            return Err(refusal);
        }
        let admitted_at = self.uptime();
        let wanted = Wanted::LivesFor(min_ttl);
        let mut refused = Vec::with_capacity(ids.len());
        let mut permits = Vec::with_capacity(ids.len());
        for id in ids {
            let ask = Ask::new(&request, Action::TokenRead).of(org).on_connection(id);
            match self.admit_at(caller, ask, admitted_at) {
                Err(refusal) if refusal.code == Code::AuditUnavailable => return Err(refusal),
                Err(refusal) => refused.push(Some(refusal)),
                Ok(permit) => {
                    refused.push(None);
                    permits.push((id, permit));
                }
            }
        }
        let settling = self.open_tokens(org, permits, wanted).await;
        let mut settled = self.settle_all(settling, |token| Some(token.generation())).await?.into_iter();
        Ok(refused.into_iter().filter_map(|refusal| refusal.map(Err).or_else(|| settled.next())).collect())
    }

    /// Opens what was admitted, and renews what is not good enough. All renewals are on their way before the first is
    /// waited for.
    async fn open_tokens<'a>(
        &self,
        org: &OrgId,
        permits: Vec<(&ConnectionId, Permit<'a>)>,
        wanted: Wanted,
    ) -> Vec<Settling<'a, OpenToken>> {
        let sights = self.look_at_tokens(org, permits.iter().map(|(id, _)| *id), wanted);
        let mut settling = Vec::with_capacity(permits.len());
        let mut waiting = Vec::new();
        for (at, ((id, mut permit), seen)) in permits.into_iter().zip(sights).enumerate() {
            let consent = self.standing_consent(org, id).map(|consent| permit.rests_on(consent));
            let opened = match consent.and(seen.sight) {
                Ok(Sight::Stale(_)) => {
                    waiting.push((at, id, permit, seen.begun_at, self.renew(org, id, wanted)));
                    settling.push(None);
                    continue;
                }
                Ok(Sight::Good(token)) => Ok(token),
                Err(refusal) => Err(refusal),
            };
            settling.push(Some(permit.took(opened, seen.begun_at, seen.ended_at)));
        }
        for (at, id, permit, begun_at, renewed) in waiting {
            let opened = self.after_renewal(org, id, wanted, renewed.await);
            settling[at] = Some(permit.took(opened, begun_at, self.uptime()));
        }
        settling.into_iter().flatten().collect()
    }

    /// First all records are found, then each is opened: the processor waits for memory for several of them at once.
    fn look_at_tokens<'a>(
        &self,
        org: &OrgId,
        ids: impl Iterator<Item = &'a ConnectionId> + Clone,
        wanted: Wanted,
    ) -> Vec<Seen> {
        let (org, now) = (self.org(org), self.now());
        let keys = |org: &Arc<Org>| ids.clone().map(|id| self.blind.connection(org.blind, id)).collect();
        let keys: Vec<Key> = org.as_ref().map(keys).unwrap_or_default();
        self.store.prefetch(&keys);
        let records: Vec<_> = keys.iter().map(|key| self.store.read(key)).collect();
        let mut found = keys.iter().zip(records);
        let mut at = self.uptime();
        let look = ids.map(|_| {
            let sight = match (&org, found.next()) {
                (Ok(org), Some((key, record))) => record
                    .map_err(Refusal::from)
                    .and_then(|record| self.open_found(org, key, record, wanted, now)),
                (Err(refusal), _) => Err(refusal.clone()),
                (Ok(_), None) => Err(Refusal::not_found("connection")),
            };
            let begun_at = std::mem::replace(&mut at, self.uptime());
            Seen { sight, begun_at, ended_at: at }
        });
        look.collect()
    }

    /// The refresh token of a connection, for applications that still refresh themselves.
    ///
    /// # Errors
    /// The door's; `not_found`, `integrity`.
    pub async fn read_refresh_token(
        &self,
        caller: &Caller,
        request: RequestId,
        org: &OrgId,
        id: &ConnectionId,
    ) -> Result<OpenRefreshToken, Refusal> {
        let mut permit =
            self.admit(caller, Ask::new(&request, Action::RefreshTokenRead).of(org).on_connection(id))?;
        let consent = self.standing_consent(org, id).map(|consent| permit.rests_on(consent));
        let open = || {
            consent?;
            let org = self.org(org)?;
            let key = self.blind.connection(org.blind, id);
            let record = self.store.read(&key)?.ok_or_else(|| Refusal::not_found("connection"))?;
            if !has_section(&record, Field::RefreshToken) {
                return Err(Refusal::not_found("refresh token"));
            }
            self.refuse_held(&org, &key, &record)?;
            if self.open_metadata(&org, &key, &record)?.1.withheld {
                return Err(scope_not_allowed());
            }
            self.open_section(&*org, &key, &record.value, Field::RefreshToken).map(OpenRefreshToken)
        };
        permit.settle(open(), |token| Some(token.generation())).await
    }

    fn open_token(&self, org: &OrgId, id: &ConnectionId, wanted: Wanted) -> Result<Sight, Refusal> {
        let org = self.org(org)?;
        let key = self.blind.connection(org.blind, id);
        let record = self.store.read(&key)?;
        self.open_found(&org, &key, record, wanted, self.now())
    }

    fn open_found(
        &self,
        org: &Org,
        key: &Key,
        record: Option<Record>,
        wanted: Wanted,
        now: Moment,
    ) -> Result<Sight, Refusal> {
        let record = record.ok_or_else(|| Refusal::not_found("connection"))?;
        let value = self.open_section(org, key, &record.value, Field::AccessToken)?;
        let body_starts = value.expose().get(8) == Some(&b'{');
        if !body_starts && value.expose().get(8) == Some(&WITHHELD) {
            let token = OpenToken { value };
            // A refresh may narrow it again.
            return if token.is_good(wanted, now) {
                Err(scope_not_allowed())
            } else {
                Ok(Sight::Stale(token))
            };
        }
        if !body_starts {
            return Err(Refusal::integrity("access token", &"its body is not what was written"));
        }
        let token = OpenToken { value };
        if !token.is_good(wanted, now) {
            return Ok(Sight::Stale(token));
        }
        self.last_reads.note(key, now);
        Ok(Sight::Good(token))
    }

    fn renew(&self, org: &OrgId, id: &ConnectionId, wanted: Wanted) -> Renewed {
        match self.renewal.get() {
            Some(renewal) => renewal.renew(org, id, wanted),
            None => Box::pin(std::future::ready(Err(not_renewed()))),
        }
    }

    /// What is served once a renewal has ended. While a provider is down, a token that has not ended is still served.
    fn after_renewal(
        &self,
        org: &OrgId,
        id: &ConnectionId,
        wanted: Wanted,
        renewed: Result<(), Refusal>,
    ) -> Result<OpenToken, Refusal> {
        let token = match self.open_token(org, id, wanted)? {
            Sight::Good(token) => return Ok(token),
            Sight::Stale(token) if token.is_withheld() => {
                return Err(renewed.err().unwrap_or_else(scope_not_allowed));
            }
            Sight::Stale(token) => token,
        };
        let (now, ends) = (self.now(), token.expires_at());
        let lives = ends.is_none_or(|end| end > now);
        match renewed {
            Err(refusal) if refusal.reason == Some(REFRESH_NOT_AVAILABLE) => {
                Err(Refusal { since: Some(ends.filter(|end| *end <= now).unwrap_or(now)), ..refusal })
            }
            _ if lives && matches!(wanted, Wanted::LivesFor(_)) => Ok(token),
            Err(refusal) => Err(refusal),
            Ok(()) => Err(Refusal {
                retry_after: Some(1),
                ..Refusal::new(Code::RefreshInProgress, "the token set is being replaced; ask again")
            }),
        }
    }
}

/// Nothing renews this connection: no client of ours at its provider, or no refresh token.
#[must_use]
pub fn not_renewed() -> Refusal {
    Refusal {
        reason: Some(REFRESH_NOT_AVAILABLE),
        ..Refusal::new(
            Code::NeedsReauth,
            "no token that is good enough is stored and this daemon does not refresh it; store a new token set",
        )
    }
}

fn has_section(record: &Record, field: Field) -> bool {
    super::record::RecordView::parse(&record.value).is_some_and(|view| view.section(field).is_some())
}
