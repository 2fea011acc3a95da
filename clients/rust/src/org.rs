//! What an application asks of one org: connections, tokens, secrets, passes.
//!
//! Never caches: the daemon decides at every read what is still valid.

use crate::client::Client;
use crate::error::{Error, Transport};
use crate::ids::{AuthorizationState, ConnectionId, OrgId, ProviderId, SecretName};
use crate::request::{Condition, Request};
use crate::response::Response;
use crate::secret::Pass;
use crate::wire::{
    AuthorizationOut, AuthorizationRequest, BatchOut, BatchRequest, BatchResult, CompleteRequest,
    ConnectionOut, ConnectionState, Deleted, OrgOut, Page, PassOut, PassRequest, RefreshRequest,
    RefreshTokenOut, SecretIn, SecretInfo, SecretOut, Token, TokenSet,
};
use serde::Serialize;
use std::time::Duration;
use zeroize::Zeroizing;

/// Connections that one batch may name.
const BATCH: usize = 1000;

/// Largest answer of a batch: 1,000 tokens of 16 KiB, and their JSON.
const BATCH_ANSWER: usize = 32 << 20;

/// Which connections a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConnectionFilter {
    /// Of this provider only.
    pub provider: Option<ProviderId>,
    /// In this state only.
    pub state: Option<ConnectionState>,
}

/// One org of the vault.
#[derive(Debug, Clone, Copy)]
pub struct Org<'a> {
    client: &'a Client,
    org: &'a OrgId,
    pass: Option<&'a Pass>,
}

impl<'a> Org<'a> {
    pub(crate) fn new(client: &'a Client, org: &'a OrgId) -> Self {
        Self { client, org, pass: None }
    }

    /// Shows this pass with every request. A pass is good for the org and the principal that it was given
    /// to; shown for another org it is refused, and that is an incident.
    #[must_use]
    pub fn with_pass(self, pass: &'a Pass) -> Self {
        Self { pass: Some(pass), ..self }
    }

    /// A pass for these actions (`token:read`) that lasts so long: for whoever does a part of this process's
    /// work in its name, in this org, and must not be able to do more. The caller must have each of the
    /// actions itself.
    ///
    /// # Errors
    /// Whose fault it is.
    pub async fn pass(&self, actions: &[&str], ttl: Duration) -> Result<PassOut, Error> {
        let actions = actions.iter().map(|action| (*action).to_owned()).collect();
        let body = json(&PassRequest { actions, ttl: Some(seconds(ttl)) })?;
        // The daemon keeps nothing of a pass: one that nobody received is nothing.
        self.send(Request::post(self.path("/passes"), body).repeatable()).await?.read()
    }

    /// Creates the org; one that exists already stays as it is.
    ///
    /// # Errors
    /// Whose fault it is.
    pub async fn create(&self) -> Result<OrgOut, Error> {
        self.send(Request::put(self.path(""), Zeroizing::default())).await?.read()
    }

    /// Shows the org.
    ///
    /// # Errors
    /// Whose fault it is.
    pub async fn show(&self) -> Result<OrgOut, Error> {
        self.send(Request::get(self.path(""))).await?.read()
    }

    /// Stores a token set.
    ///
    /// # Errors
    /// Whose fault it is; `precondition_failed` where the condition does not hold.
    pub async fn put_connection(
        &self,
        id: &ConnectionId,
        tokens: &TokenSet,
        condition: Condition,
    ) -> Result<ConnectionOut, Error> {
        let request = Request::put(self.connection_path(id, ""), tokens.body()).on(condition);
        self.send(request).await?.read()
    }

    /// Shows a connection, without its tokens.
    ///
    /// # Errors
    /// Whose fault it is.
    pub async fn connection(&self, id: &ConnectionId) -> Result<ConnectionOut, Error> {
        self.send(Request::get(self.connection_path(id, ""))).await?.read()
    }

    /// A page of connections, without their tokens.
    ///
    /// # Errors
    /// Whose fault it is.
    pub async fn connections(
        &self,
        filter: &ConnectionFilter,
        after: Option<&str>,
        limit: Option<u32>,
    ) -> Result<Page<ConnectionOut>, Error> {
        let request = Request::get(self.path("/connections"))
            .with_query_if("provider", filter.provider.as_ref())
            .with_query_if("state", filter.state.map(ConnectionState::as_str))
            .with_query_if("after", after)
            .with_query_if("limit", limit);
        self.send(request).await?.read()
    }

    /// Begins an authorization: the person's browser is to be sent to its `url`. Bind its `state` to their session.
    ///
    /// # Errors
    /// Whose fault it is.
    pub async fn begin_authorization(&self, asked: &AuthorizationRequest) -> Result<AuthorizationOut, Error> {
        self.send(Request::post(self.path("/authorizations"), json(asked)?)).await?.read()
    }

    /// Completes an authorization with what the browser came back with: the daemon exchanges the code itself, and
    /// keeps the token set. Once.
    ///
    /// # Errors
    /// Whose fault it is; `outcome_unknown` where the provider's answer was lost: begin another one.
    pub async fn complete_authorization(
        &self,
        state: &AuthorizationState,
        back: &CompleteRequest,
    ) -> Result<ConnectionOut, Error> {
        let path = self.path(&format!("/authorizations/{state}/complete"));
        self.send(Request::post(path, back.body())).await?.read()
    }

    /// Deletes a connection whose tokens live on at the provider: somebody else goes on with them.
    ///
    /// # Errors
    /// Whose fault it is.
    pub async fn delete_connection_unrevoked(&self, id: &ConnectionId) -> Result<Deleted, Error> {
        let request = Request::delete(self.connection_path(id, "")).with_query("revoke", false);
        self.send(request).await?.read()
    }

    /// Deletes a connection, and has its tokens revoked at the provider: at once, or as soon as the provider can.
    ///
    /// # Errors
    /// Whose fault it is.
    pub async fn delete_connection(&self, id: &ConnectionId) -> Result<Deleted, Error> {
        self.send(Request::delete(self.connection_path(id, ""))).await?.read()
    }

    /// The access token, valid for at least `min_ttl`.
    ///
    /// # Errors
    /// [`Error::Owner`] where the owner must connect again.
    pub async fn token(&self, id: &ConnectionId, min_ttl: Duration) -> Result<Token, Error> {
        let request =
            Request::get(self.connection_path(id, "/token")).with_query("min_ttl", seconds(min_ttl));
        self.send(request).await?.read()
    }

    /// The API behind the token answered 401 to this generation: the current token, refreshed only if
    /// `generation` is still the current one. However many callers ask, one refresh follows.
    ///
    /// # Errors
    /// [`Error::Owner`] where the owner must connect again.
    pub async fn newer_token(&self, id: &ConnectionId, generation: u64) -> Result<Token, Error> {
        let body = json(&RefreshRequest { if_generation: generation })?;
        let request = Request::post(self.connection_path(id, "/refresh"), body).repeatable();
        self.send(request).await?.read()
    }

    /// The access tokens of many connections, in the order asked; one that fails fails alone. More than
    /// 1,000 are asked for in several requests.
    ///
    /// # Errors
    /// Whose fault it is, where a request as a whole fails.
    pub async fn tokens(
        &self,
        ids: &[ConnectionId],
        min_ttl: Duration,
    ) -> Result<Vec<Result<Token, Error>>, Error> {
        let mut tokens = Vec::with_capacity(ids.len());
        for asked in ids.chunks(BATCH) {
            let body = json(&BatchRequest { connections: asked.to_vec(), min_ttl: Some(seconds(min_ttl)) })?;
            let request =
                Request::post(self.path("/tokens"), body).repeatable().with_answer_up_to(BATCH_ANSWER);
            let answer: BatchOut = self.send(request).await?.read()?;
            if answer.results.len() != asked.len() {
                return Err(Transport::Protocol("a batch with more or fewer results than asked").into());
            }
            for (id, result) in asked.iter().zip(answer.results) {
                tokens.push(one_of_batch(id, result)?);
            }
        }
        Ok(tokens)
    }

    /// The refresh token, for applications that still refresh themselves.
    ///
    /// # Errors
    /// Whose fault it is.
    pub async fn refresh_token(&self, id: &ConnectionId) -> Result<RefreshTokenOut, Error> {
        self.send(Request::get(self.connection_path(id, "/refresh-token"))).await?.read()
    }

    /// Stores a new version of a secret.
    ///
    /// # Errors
    /// Whose fault it is.
    pub async fn put_secret(&self, name: &SecretName, secret: &SecretIn) -> Result<SecretInfo, Error> {
        self.send(Request::put(self.secret_path(name), secret.body())).await?.read()
    }

    /// The current version of a secret.
    ///
    /// # Errors
    /// Whose fault it is.
    pub async fn secret(&self, name: &SecretName) -> Result<SecretOut, Error> {
        self.send(Request::get(self.secret_path(name))).await?.read()
    }

    /// An older version of a secret.
    ///
    /// # Errors
    /// Whose fault it is.
    pub async fn secret_version(&self, name: &SecretName, version: u64) -> Result<SecretOut, Error> {
        let request = Request::get(self.secret_path(name)).with_query("version", version);
        self.send(request).await?.read()
    }

    /// A page of secrets, without their values.
    ///
    /// # Errors
    /// Whose fault it is.
    pub async fn secrets(&self, after: Option<&str>, limit: Option<u32>) -> Result<Page<SecretInfo>, Error> {
        let request =
            Request::get(self.path("/secrets")).with_query_if("after", after).with_query_if("limit", limit);
        self.send(request).await?.read()
    }

    /// Deletes a secret, every version of it.
    ///
    /// # Errors
    /// Whose fault it is.
    pub async fn delete_secret(&self, name: &SecretName) -> Result<(), Error> {
        self.send(Request::delete(self.secret_path(name))).await?.success().map(drop)
    }

    pub(crate) async fn send(&self, request: Request) -> Result<Response, Error> {
        match self.pass {
            Some(pass) => self.client.send(&request.with_pass(pass)).await,
            None => self.client.send(&request).await,
        }
    }

    pub(crate) fn path(&self, below: &str) -> String {
        format!("/v1/orgs/{}{below}", self.org)
    }

    fn connection_path(&self, id: &ConnectionId, below: &str) -> String {
        format!("/v1/orgs/{}/connections/{id}{below}", self.org)
    }

    fn secret_path(&self, name: &SecretName) -> String {
        format!("/v1/orgs/{}/secrets/{name}", self.org)
    }
}

/// A token goes to the one it was asked for, or nowhere.
fn one_of_batch(id: &ConnectionId, result: BatchResult) -> Result<Result<Token, Error>, Error> {
    if result.provider != id.provider || result.name != id.name {
        return Err(Transport::Protocol("a batch in another order than asked").into());
    }
    match (result.token, result.problem) {
        (Some(token), None) => Ok(Ok(token)),
        (None, Some(problem)) => Ok(Err(problem.into())),
        _ => Err(Transport::Protocol("a result of a batch is a token or a problem").into()),
    }
}

/// Whole seconds, a begun one counted.
fn seconds(span: Duration) -> u64 {
    span.as_secs().saturating_add(u64::from(span.subsec_nanos() > 0))
}

pub(crate) fn json<T: Serialize>(shape: &T) -> Result<Zeroizing<Vec<u8>>, Error> {
    serde_json::to_vec(shape)
        .map(Zeroizing::new)
        .map_err(|_| Transport::Protocol("the request does not serialise").into())
}
