//! Authorizations that were begun: each a sealed record, bound to its org and its principal, good for ten minutes and
//! for one use.
//!
//! The hard problem: a code is worth a whole connection, and is sent once (RFC 6749, section 4.1.2: a second time may
//! revoke what the first one gave). The answer: the authorization is spent, durably, before the code is sent; so neither
//! a second call nor a second life of the daemon finds it again.
//!
//! Never gives the code verifier to a caller.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokenkeep_client::ids::{AuthorizationState, ConnectionId, OrgId};
use tokenkeep_client::moment::Moment;
use tokenkeep_client::problem::Code;
use tokenkeep_client::secret::SecretValue;
use tokenkeep_client::wire::{AuthorizationOut, AuthorizationRequest, ConnectionOut, to_body};
use zeroize::Zeroizing;

use super::ask::Ask;
use super::caller::Caller;
use super::connections::{Source, TRIES, standing};
use super::door::{Became, Permit};
use super::orgs::Org;
use super::place::{Field, OrgBlind, Table, place};
use super::record::RecordWriter;
use super::refusal::Refusal;
use super::request_id::RequestId;
use super::sealed::Sealed;
use super::{Vault, apart};
use crate::chain::Mark;
use crate::crypto::{hex, pkce, random};
use crate::domain::action::Action;
use crate::domain::authorization::{
    Asked, LIFETIME, asks_for_identity, judge_issuer, judge_redirect_uri, url,
};
use crate::domain::provider::Provider;
use crate::domain::refresh::answer::Granted;
use crate::domain::token_set::{Accepted, check_scopes};
use crate::store::{Batch, Change, CommitError, Key, Precondition, Record};

/// Abandoned authorizations that go by one commit.
const SWEPT: usize = 256;

/// What an authorization was begun with.
#[derive(Debug, Serialize, Deserialize)]
struct Begun {
    org: OrgId,
    #[serde(flatten)]
    id: ConnectionId,
    /// Who may complete it.
    principal: String,
    redirect_uri: String,
    scopes: Vec<String>,
    nonce: Option<String>,
    expires_at: Moment,
}

/// An authorization that is spent: its code may be sent, once.
pub struct Spent {
    /// The connection that is to hold the token set.
    pub id: ConnectionId,
    /// Its provider, as configured now.
    pub provider: Arc<Provider>,
    /// As it was sent to the provider.
    pub redirect_uri: String,
    /// What was asked for.
    pub scopes: Vec<String>,
    /// For the ID token, where one was asked for.
    pub nonce: Option<String>,
    /// RFC 7636, section 4.1.
    pub verifier: SecretValue,
    /// When the code is sent.
    pub asked_at: Moment,
}

/// What came of the exchange of a code.
pub enum Exchanged {
    /// A token set that is taken.
    Accepted(Box<Accepted>),
    /// None.
    Nothing(Refusal),
    /// One that is not taken: its grant is revoked.
    Unwanted(Box<Granted>, Refusal),
}

impl Vault {
    /// Begins an authorization.
    ///
    /// # Errors
    /// The door's; `invalid_request`, `unknown_provider`, `scope_not_allowed`, `not_found` (the org), `storage_full`.
    pub async fn begin_authorization(
        self: &Arc<Self>,
        caller: &Arc<Caller>,
        request: RequestId,
        org: OrgId,
        asked: AuthorizationRequest,
    ) -> Result<AuthorizationOut, Refusal> {
        let (vault, caller) = (Arc::clone(self), Arc::clone(caller));
        apart(async move {
            let id = ConnectionId { provider: asked.provider, name: asked.name };
            let ask = Ask::new(&request, Action::ConnectionWrite).of(&org).on_connection(&id);
            let permit = vault.admit_change(&caller, ask)?;
            let begun = vault.make_authorization(&permit, &org, &id, asked.redirect_uri, asked.scopes).await;
            settled(permit, begun, "authorization_begun").await
        })
        .await
    }

    async fn make_authorization(
        &self,
        permit: &Permit<'_>,
        org: &OrgId,
        id: &ConnectionId,
        redirect_uri: String,
        scopes: Vec<String>,
    ) -> Result<(AuthorizationOut, Mark), Refusal> {
        judge_redirect_uri(&redirect_uri).map_err(Refusal::invalid)?;
        check_scopes(&scopes).map_err(|rejected| Refusal::invalid(rejected.0))?;
        self.accept_scopes(id, &scopes)?;
        let org = self.org(org)?;
        let provider = self.client_of(&id.provider).ok_or_else(no_client)?;
        let client = provider.client.as_ref().ok_or_else(no_client)?;
        let endpoint = client.authorization_endpoint.as_ref().ok_or_else(|| {
            Refusal::invalid("the provider has no authorization_endpoint; add it to its [[provider]]")
        })?;
        let (state, verifier) = (chance(), Zeroizing::new(chance()));
        let nonce = asks_for_identity(&scopes).then(chance);
        let url = url(
            client,
            endpoint,
            &Asked {
                redirect_uri: &redirect_uri,
                scopes: &scopes,
                state: &state,
                challenge: &pkce::challenge(&verifier),
                nonce: nonce.as_deref(),
            },
        );
        let state = AuthorizationState::parse(&state).map_err(|why| Refusal::integrity("state", &why))?;
        let key = self.blind.authorization(org.blind, &state);
        let expires_at = self.now().after(LIFETIME);
        let principal = permit.caller().principal().name.clone();
        let begun =
            Begun { org: org.id.clone(), id: id.clone(), principal, redirect_uri, scopes, nonce, expires_at };
        let batch = Batch {
            preconditions: vec![Precondition::Absent(key)],
            changes: vec![Change::Put(key, self.written_authorization(&org, &key, &begun, &verifier))],
            note: self.note(permit),
        };
        let mark = self.commit(batch).await?;
        Ok((AuthorizationOut { url, state, expires_at }, mark))
    }

    /// Spends an authorization: from now on nobody else can complete it, and its code may be sent.
    ///
    /// # Errors
    /// The door's; `not_found` (never begun, spent, or too late), `forbidden` (another principal's), `invalid_request`
    /// (`iss`), `unknown_provider`, `storage_full`. Nothing may be sent then.
    pub async fn spend_authorization(
        &self,
        caller: &Caller,
        request: RequestId,
        org: &OrgId,
        state: &AuthorizationState,
        iss: Option<&str>,
    ) -> Result<Spent, Refusal> {
        let whole = Ask::new(&request, Action::ConnectionWrite).of(org);
        self.refuse_early(caller, whole)?;
        let found = self.org(org).and_then(|org| {
            let key = self.blind.authorization(org.blind, state);
            let record = self.store.read(&key)?.ok_or_else(not_open)?;
            let begun = self.begun_authorization(&org, &key, &record)?;
            Ok((org, key, record, begun))
        });
        let (org, key, record, begun) = match found {
            Ok(found) => found,
            Err(refusal) => return Err(self.refuse(caller, whole, refusal)),
        };
        let permit = self.admit_change(caller, whole.on_connection(&begun.id))?;
        let (spent, mark) = match self.spend(&permit, &org, &key, &record, &begun, iss).await {
            Ok(spent) => spent,
            Err(refusal) => return permit.settle(Err(refusal), |_| None).await,
        };
        permit.settle_step(Became::because("ok", "authorization_spent"), None, Some(mark)).await?;
        Ok(spent)
    }

    async fn spend(
        &self,
        permit: &Permit<'_>,
        org: &Org,
        key: &Key,
        record: &Record,
        begun: &Begun,
        iss: Option<&str>,
    ) -> Result<(Spent, Mark), Refusal> {
        if begun.principal != permit.caller().principal().name {
            let refusal = Refusal::new(Code::Forbidden, "this authorization was begun by another client");
            return Err(Refusal { reason: Some("authorization_of_other_principal"), ..refusal });
        }
        let now = self.now();
        if begun.expires_at <= now {
            return Err(not_open());
        }
        let provider = self.client_of(&begun.id.provider).ok_or_else(no_client)?;
        let client = provider.client.as_ref().ok_or_else(no_client)?;
        judge_issuer(client.issuer.as_deref(), iss).map_err(|mixed| Refusal::invalid(mixed.detail()))?;
        let verifier = self.stored_section(org, key, Some(record), Field::CodeVerifier)?;
        let verifier = verifier.as_deref().and_then(|bytes| std::str::from_utf8(bytes).ok());
        let verifier = verifier.ok_or_else(|| Refusal::integrity("authorization", &"it has no verifier"))?;
        let spent = Spent {
            id: begun.id.clone(),
            redirect_uri: begun.redirect_uri.clone(),
            scopes: begun.scopes.clone(),
            nonce: begun.nonce.clone(),
            verifier: SecretValue::new(verifier.to_owned()),
            asked_at: now,
            provider,
        };
        self.remove_spent(permit, key, record).await.map(|mark| (spent, mark))
    }

    /// An authorization is never changed, only sealed anew: one that is another record by now is the same.
    async fn remove_spent(&self, permit: &Permit<'_>, key: &Key, record: &Record) -> Result<Mark, Refusal> {
        let mut found = record.clone();
        for _ in 0..TRIES {
            let batch = Batch {
                preconditions: vec![standing(*key, Some(&found))],
                changes: vec![Change::Delete(*key)],
                note: self.note(permit),
            };
            match self.commit(batch).await {
                Ok(mark) => return Ok(mark),
                // Gone: somebody else has just spent it.
                Err(CommitError::Conflict) => found = self.store.read(key)?.ok_or_else(not_open)?,
                Err(why) => return Err(why.into()),
            }
        }
        Err(CommitError::Conflict.into())
    }

    /// Keeps what the exchange of a code brought. The inner result is what the caller is told.
    ///
    /// # Errors
    /// It could not be kept: to be tried again for as long as there is something to keep.
    pub async fn end_authorization(
        &self,
        caller: &Caller,
        request: RequestId,
        org: &OrgId,
        id: &ConnectionId,
        exchanged: &Exchanged,
    ) -> Result<Result<ConnectionOut, Refusal>, Refusal> {
        let ask = Ask::new(&request, Action::ConnectionWrite).of(org).on_connection(id);
        // Not `admit_change`: what has come is kept while anything can be kept.
        let mut permit = self.admit(caller, ask)?;
        match exchanged {
            Exchanged::Accepted(accepted) => {
                match self.store_accepted(&mut permit, org, id, accepted, Source::Provider).await {
                    Ok((out, mark)) => {
                        let generation = Some(out.generation);
                        let became = Became::because("ok", "authorization_completed");
                        permit.settle_step(became, generation, Some(mark)).await?;
                        Ok(Ok(out))
                    }
                    Err(refusal) => permit.settle(Err(refusal), |_: &Result<_, _>| None).await,
                }
            }
            Exchanged::Nothing(refusal) => {
                permit.settle_step(Became::refused(refusal), None, None).await?;
                Ok(Err(refusal.clone()))
            }
            Exchanged::Unwanted(granted, refusal) => {
                let mark = match self.hand_over(&permit, org, id, granted).await {
                    Ok(mark) => mark,
                    Err(why) => return permit.settle(Err(why), |_: &Result<_, _>| None).await,
                };
                permit.settle_step(Became::refused(refusal), None, mark).await?;
                Ok(Err(refusal.clone()))
            }
        }
    }

    /// What is not taken is revoked, where its provider has a way.
    async fn hand_over(
        &self,
        permit: &Permit<'_>,
        org: &OrgId,
        id: &ConnectionId,
        granted: &Granted,
    ) -> Result<Option<Mark>, Refusal> {
        let org = self.org(org)?;
        let Some(draft) = self.draft_of_unwanted(&org, id, granted) else { return Ok(None) };
        let batch = Batch {
            preconditions: vec![draft.precondition],
            changes: vec![draft.change],
            note: self.note(permit),
        };
        let mark = self.commit_precious(batch).await?;
        drop(self.act_on(draft.note, draft.not_before));
        Ok(Some(mark))
    }

    /// Removes authorizations that nobody completed in time.
    ///
    /// # Errors
    /// The door's, the store's.
    pub async fn sweep_authorizations(&self, request: RequestId) -> Result<usize, Refusal> {
        let (mut swept, mut after) = (0, None);
        loop {
            let records = self.store.scan(&[Table::Authorization as u8], after.as_ref(), SWEPT)?;
            let Some((last, _)) = records.last() else { return Ok(swept) };
            after = Some(*last);
            let now = self.now();
            let late: Vec<_> =
                records.into_iter().filter(|(key, record)| self.is_late(key, record, now)).collect();
            if late.is_empty() {
                continue;
            }
            swept += late.len();
            let task = self.task("sweeper");
            let permit = self.admit_change(&task, Ask::new(&request, Action::ConnectionWrite))?;
            let batch = Batch {
                preconditions: late.iter().map(|(key, record)| standing(*key, Some(record))).collect(),
                changes: late.iter().map(|(key, _)| Change::Delete(*key)).collect(),
                note: self.note(&permit),
            };
            match self.commit(batch).await {
                Ok(mark) => {
                    let became = Became::because("ok", "authorizations_expired");
                    permit.settle_step(became, None, Some(mark)).await?;
                }
                Err(why) => return permit.settle(Err(why.into()), |_| None).await,
            }
        }
    }

    /// One that does not open is left, and logged: it is not ours to remove what we cannot read.
    fn is_late(&self, key: &Key, record: &Record, now: Moment) -> bool {
        let org = self.org_in_passing(OrgBlind::of_record(key));
        let begun = org.and_then(|org| self.begun_authorization(&org, key, record));
        begun.is_ok_and(|begun| begun.expires_at <= now)
    }

    fn written_authorization(&self, org: &Org, key: &Key, begun: &Begun, verifier: &str) -> Vec<u8> {
        let section = |writer: RecordWriter, field, value: &[u8]| {
            let sealed = Sealed::of(&org.key, &place(self.vault_id, key, field), 1, value);
            writer.section(field, &sealed)
        };
        let writer = section(RecordWriter::new(1), Field::Authorization, &to_body(begun));
        section(writer, Field::CodeVerifier, verifier.as_bytes()).finish()
    }

    fn begun_authorization(&self, org: &Org, key: &Key, record: &Record) -> Result<Begun, Refusal> {
        let opened = self.open_section(org, key, &record.value, Field::Authorization)?;
        let begun: Begun = serde_json::from_slice(opened.expose())
            .map_err(|_| Refusal::integrity("authorization", &"it is not what was written"))?;
        if begun.org != org.id {
            return Err(Refusal::integrity("authorization", &"it is another org's"));
        }
        Ok(begun)
    }
}

async fn settled(
    permit: Permit<'_>,
    begun: Result<(AuthorizationOut, Mark), Refusal>,
    word: &'static str,
) -> Result<AuthorizationOut, Refusal> {
    match begun {
        Ok((out, mark)) => {
            permit.settle_step(Became::because("ok", word), None, Some(mark)).await?;
            Ok(out)
        }
        Err(refusal) => permit.settle(Err(refusal), |_| None).await,
    }
}

/// 256 bits: RFC 6749, section 10.10, asks for 128; RFC 7636, section 7.1, for 256.
fn chance() -> String {
    hex::encode(&random::bytes::<32>())
}

/// Never begun, spent, or too late: which of them is nobody's business.
fn not_open() -> Refusal {
    Refusal::new(
        Code::NotFound,
        "there is no such authorization that can still be completed; begin another one",
    )
}

fn no_client() -> Refusal {
    Refusal::invalid(
        "the provider has no client_id, so nothing is exchanged there; add it to its [[provider]]",
    )
}
