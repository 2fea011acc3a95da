//! The token of one connection, as a header field, kept while it is good.
//!
//! However many requests need one at the same time, one asks the vault and the others wait for it. The header
//! field is marked as sensitive, so that nobody prints it or puts it into a table of compressed fields
//! (RFC 7541, section 7.1.3), and its bytes are wiped when the last request that carries it is gone.
//!
//! Never gives a token that the vault would not give: past `min_ttl` before its end it asks again.

use crate::client::Client;
use crate::error::{Error, Transport};
use crate::ids::{ConnectionId, OrgId};
use crate::request::bearer;
use crate::wire::Token;
use hyper::header::HeaderValue;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// How long a token without a known end is kept: as long as one may go on being used that was since replaced.
const WITHOUT_END: Duration = Duration::from_secs(60);

pub(super) struct Tokens {
    vault: Client,
    org: OrgId,
    id: ConnectionId,
    min_ttl: Duration,
    held: Mutex<Option<Held>>,
    /// Held by the one who asks the vault.
    asking: tokio::sync::Mutex<()>,
}

/// A token as it is sent.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) header: HeaderValue,
    pub(super) generation: u64,
    until: SystemTime,
}

impl Tokens {
    pub(super) fn new(vault: Client, org: OrgId, id: ConnectionId, min_ttl: Duration) -> Self {
        Self { vault, org, id, min_ttl, held: Mutex::default(), asking: tokio::sync::Mutex::default() }
    }

    pub(super) fn with_min_ttl(&self, min_ttl: Duration) -> Self {
        Self::new(self.vault.clone(), self.org.clone(), self.id.clone(), min_ttl)
    }

    /// One that is good for `min_ttl` at least.
    pub(super) async fn current(&self) -> Result<Held, Error> {
        if let Some(held) = self.held() {
            return Ok(held);
        }
        let _asking = self.asking.lock().await;
        // Whoever asked before may have got one.
        if let Some(held) = self.held() {
            return Ok(held);
        }
        let token = self.vault.org(&self.org).token(&self.id, self.min_ttl).await?;
        self.keep(&token)
    }

    /// One that came after the generation that was refused; none where the vault has no newer one.
    pub(super) async fn newer_than(&self, refused: u64) -> Result<Option<Held>, Error> {
        let _asking = self.asking.lock().await;
        if let Some(held) = self.held().filter(|held| held.generation > refused) {
            return Ok(Some(held));
        }
        // What was refused is not sent again, whatever the vault says now.
        self.forget();
        let token = self.vault.org(&self.org).newer_token(&self.id, refused).await?;
        if token.generation <= refused {
            return Ok(None);
        }
        self.keep(&token).map(Some)
    }

    fn held(&self) -> Option<Held> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.clone().filter(|held| SystemTime::now() < held.until)
    }

    fn forget(&self) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn keep(&self, token: &Token) -> Result<Held, Error> {
        let header = bearer(token.access_token.expose())
            .ok_or(Transport::Protocol("the token is not one for a header field"))?;
        let until = match token.expires_at {
            Some(end) => SystemTime::from(end).checked_sub(self.min_ttl),
            None => SystemTime::now().checked_add(WITHOUT_END),
        };
        let held =
            Held { header, generation: token.generation, until: until.unwrap_or(SystemTime::UNIX_EPOCH) };
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(held.clone());
        Ok(held)
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tokens({}/{})", self.org, self.id)
    }
}
