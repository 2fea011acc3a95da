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
use crate::crypto::root_key::Reach;
use crate::domain::provider::address::Address;
use crate::domain::provider::client::OAuthClient;
use crate::net::outbound::{Deadlines, Door};
use crate::service::oauth::check::Ask;
use crate::service::oauth::client_auth::ClientAuthError;
use crate::service::oauth::token_request::refresh_request;

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
    refresh_request(client, &nobodys, SystemTime::now()).map(drop)
}

/// The way out to a provider.
pub(super) fn asking(door: &Door) -> Arc<Ask> {
    let door = door.clone();
    Arc::new(move |client, address, request| {
        door.exchange(address.host(), &client.roots, request, LONGEST_ANSWER, Deadlines::REMOTE)
    })
}

/// What asking them touches.
#[must_use]
pub(super) fn reach(config: &Config) -> Reach {
    let mut reach = Reach::default();
    for client in config.providers.iter().filter_map(|provider| provider.client.as_ref()) {
        reach.files.extend(client.auth.places().into_iter().filter_map(|(_, held)| held.place()));
        reach = reach.and_asks(client.asked().map(Address::host), &client.roots);
    }
    reach
}
