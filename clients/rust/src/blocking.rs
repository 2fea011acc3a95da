//! The client without `async`, for programs that have no runtime of their own.
//!
//! ```no_run
//! # use tokenkeep_client::{blocking::Client, ids::{ConnectionId, OrgId}};
//! # use std::time::Duration;
//! # fn three_lines(org: OrgId, id: ConnectionId) -> Result<(), Box<dyn std::error::Error>> {
//! let vault = Client::unix("/run/tokenkeep/tokenkeep.sock")?;
//! let token = vault.org(&org).token(&id, Duration::from_secs(60))?;
//! let header = format!("Bearer {}", token.access_token.expose());
//! # Ok(()) }
//! ```
//!
//! Below it is the other client, on a small runtime that runs in the thread that asks, for as long as it asks.
//!
//! The hard part is a caller that has a runtime after all (a library deep inside an async program): tokio
//! panics where one runtime waits inside another. Such a call is carried out on a thread of its own. It is
//! correct, and it still holds up the thread that made it: there, take the other client.
//!
//! Never panics for being called, or dropped, in the wrong place.

use crate::error::{Error, Transport};
use crate::ids::{AuthorizationState, ConnectionId, KeyName, OrgId, SecretName};
use crate::org::ConnectionFilter;
use crate::request::{Condition, Request};
use crate::response::Response;
use crate::secret::{Pass, Plaintext};
use crate::wire::{
    AuthorizationOut, AuthorizationRequest, CompleteRequest, ConnectionOut, Deleted, OrgOut, Page, PassOut,
    RefreshTokenOut, SecretIn, SecretInfo, SecretOut, Status, Token, TokenSet,
};
use std::future::Future;
use std::io;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tokio::runtime::{Builder, Handle, Runtime};

/// Asks the daemon, and waits for the answer. One a process, cheap to clone; may be used by many threads.
#[derive(Debug, Clone)]
pub struct Client {
    client: crate::Client,
    waiting: Arc<Waiting>,
}

/// One org of the vault.
#[derive(Debug, Clone, Copy)]
pub struct Org<'a> {
    org: crate::Org<'a>,
    waiting: &'a Waiting,
}

impl Client {
    /// A client of the daemon that listens at this socket. Connects when there is something to ask.
    ///
    /// # Errors
    /// The kernel has no descriptors left for an event loop.
    pub fn unix(socket: impl Into<PathBuf>) -> io::Result<Self> {
        Self::new(crate::Client::unix(socket))
    }

    /// A client by any door, with any deadline: what the other client was told.
    ///
    /// # Errors
    /// The kernel has no descriptors left for an event loop.
    pub fn new(client: crate::Client) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Self { client, waiting: Arc::new(Waiting(Some(runtime))) })
    }

    /// What belongs to one org.
    #[must_use]
    pub fn org<'a>(&'a self, org: &'a OrgId) -> Org<'a> {
        Org { org: self.client.org(org), waiting: &self.waiting }
    }

    /// As [`Client::status`](crate::Client::status).
    ///
    /// # Errors
    /// As there.
    pub fn status(&self) -> Result<Status, Error> {
        self.waiting.on(self.client.status())
    }

    /// As [`Client::ready`](crate::Client::ready).
    ///
    /// # Errors
    /// As there.
    pub fn ready(&self) -> Result<(), Error> {
        self.waiting.on(self.client.ready())
    }

    /// As [`Client::send`](crate::Client::send).
    ///
    /// # Errors
    /// As there.
    pub fn send(&self, request: &Request) -> Result<Response, Error> {
        self.waiting.on(self.client.send(request))
    }
}

impl<'a> Org<'a> {
    /// As [`Org::with_pass`](crate::Org::with_pass).
    #[must_use]
    pub fn with_pass(self, pass: &'a Pass) -> Self {
        Self { org: self.org.with_pass(pass), ..self }
    }
}

macro_rules! as_there {
    ($($name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        impl Org<'_> { $(
            #[doc = concat!("As [`Org::", stringify!($name), "`](crate::Org::", stringify!($name), ").")]
            ///
            /// # Errors
            /// As there.
            pub fn $name(&self, $($argument: $type),*) -> Result<$answer, Error> {
                self.waiting.on(self.org.$name($($argument),*))
            }
        )* }
    };
}

as_there! {
    begin_authorization(asked: &AuthorizationRequest) -> AuthorizationOut;
    complete_authorization(state: &AuthorizationState, back: &CompleteRequest) -> ConnectionOut;
    delete_connection_unrevoked(id: &ConnectionId) -> Deleted;
    connection(id: &ConnectionId) -> ConnectionOut;
    connections(filter: &ConnectionFilter, after: Option<&str>, limit: Option<u32>) -> Page<ConnectionOut>;
    create() -> OrgOut;
    decrypt(ciphertexts: &[impl AsRef<str> + Sync]) -> Vec<Result<Plaintext, Error>>;
    decrypt_under(key: &KeyName, ciphertexts: &[impl AsRef<str> + Sync]) -> Vec<Result<Plaintext, Error>>;
    delete_connection(id: &ConnectionId) -> Deleted;
    delete_secret(name: &SecretName) -> ();
    encrypt(plaintexts: &[Plaintext]) -> Vec<String>;
    newer_token(id: &ConnectionId, generation: u64) -> Token;
    pass(actions: &[&str], ttl: Duration) -> PassOut;
    put_connection(id: &ConnectionId, tokens: &TokenSet, condition: Condition) -> ConnectionOut;
    put_secret(name: &SecretName, secret: &SecretIn) -> SecretInfo;
    refresh_token(id: &ConnectionId) -> RefreshTokenOut;
    secret(name: &SecretName) -> SecretOut;
    secret_version(name: &SecretName, version: u64) -> SecretOut;
    secrets(after: Option<&str>, limit: Option<u32>) -> Page<SecretInfo>;
    show() -> OrgOut;
    token(id: &ConnectionId, min_ttl: Duration) -> Token;
    tokens(ids: &[ConnectionId], min_ttl: Duration) -> Vec<Result<Token, Error>>;
}

/// A runtime, and the way to wait on it. None only while it goes.
#[derive(Debug)]
struct Waiting(Option<Runtime>);

impl Waiting {
    fn on<T: Send>(&self, asking: impl Future<Output = Result<T, Error>> + Send) -> Result<T, Error> {
        let Some(runtime) = &self.0 else { return Err(Transport::Protocol("the client is gone").into()) };
        if Handle::try_current().is_err() {
            return runtime.block_on(asking);
        }
        thread::scope(|scope| {
            let apart = thread::Builder::new().spawn_scoped(scope, || runtime.block_on(asking));
            let apart = apart.map_err(|error| Transport::Connect(error.kind()))?;
            apart.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // A runtime that is simply dropped waits for its threads, and panics where it may not.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn whatever_one_client_can_the_other_can_too() {
        let own = include_str!("blocking.rs");
        let others = [include_str!("client.rs"), include_str!("org.rs"), include_str!("crypt.rs")];
        let mut count = 0;
        for other in others {
            for line in other.lines().filter_map(|line| line.strip_prefix("    pub async fn ")) {
                let name = line.split('(').next().expect("a name");
                let is_there =
                    own.contains(&format!("pub fn {name}(")) || own.contains(&format!("    {name}("));
                assert!(is_there, "{name} is missing here");
                count += 1;
            }
        }
        assert!(count > 20, "{count}");
    }
}
