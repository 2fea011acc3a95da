//! The clients at providers: what they prove themselves with is looked at before anybody depends on it, and the way out
//! to them is made here.
//!
//! Never keeps a secret: what is read here is read again for each use.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use tokenkeep_client::ids::ProviderId;
use tokenkeep_client::secret::RefreshToken;

use super::config::Config;
use super::exit::Exit;
use crate::domain::provider::client::OAuthClient;
use crate::net::outbound::{Deadlines, exchange};
use crate::service::oauth::check::Ask;
use crate::service::oauth::client_auth::ClientAuthError;
use crate::service::oauth::token_request::{Grant, token_request};

/// Answers of a token endpoint have a few KiB; an error page has more.
const LONGEST_ANSWER: usize = 256 * 1024;

/// Why a client cannot prove itself, and which.
#[derive(Debug)]
pub(super) struct ProviderError {
    provider: ProviderId,
    why: ClientAuthError,
}

impl ProviderError {
    pub(super) fn exit(&self) -> Exit {
        if self.why.is_unsafe() { Exit::Unsafe } else { Exit::Configuration }
    }
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "provider {}: {}", self.provider, self.why)
    }
}

impl std::error::Error for ProviderError {}

/// Makes a request of each client, and sends none: whatever would keep it from being made is found now.
///
/// # Errors
/// The first client that cannot prove itself.
pub(super) fn examine(config: &Config) -> Result<(), ProviderError> {
    for provider in &config.providers {
        let Some(client) = &provider.client else { continue };
        provable(client).map_err(|why| ProviderError { provider: provider.id.clone(), why })?;
    }
    Ok(())
}

fn provable(client: &OAuthClient) -> Result<(), ClientAuthError> {
    let nobodys = RefreshToken::new(String::new());
    token_request(client, &Grant::RefreshToken(&nobodys), SystemTime::now()).map(drop)
}

/// The way out to a provider.
pub(super) fn asking() -> Arc<Ask> {
    Arc::new(|client, address, request| {
        exchange(address.host(), &client.roots, request, LONGEST_ANSWER, Deadlines::REMOTE)
    })
}
