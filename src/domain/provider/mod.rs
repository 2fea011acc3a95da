//! The OAuth issuers that the configuration names, what their tokens may do, and how they are asked.
//!
//! Never holds a secret, and asks nobody.

pub mod address;
pub mod catalogue;
pub mod client;
pub mod setting;
mod word;

use std::sync::Arc;

use tokenkeep_client::ids::ProviderId;

pub use address::Address;
pub use client::OAuthClient;

/// A configured issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// As applications name it.
    pub id: ProviderId,
    /// Scopes a token may have; empty: any.
    pub allowed_scopes: Vec<String>,
    /// Whether tokens are served only while a consent stands.
    pub requires_consent: bool,
    /// The preset that it was made from.
    pub preset: Option<&'static str>,
    /// The settings of its client that were written by hand, by name.
    pub by_hand: Vec<&'static str>,
    /// Our client there; none: it may hold tokens, and refreshes none.
    pub client: Option<OAuthClient>,
}

/// The issuers that may hold tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Providers {
    /// Any, and these are configured: development only.
    Any(Vec<Arc<Provider>>),
    /// These.
    Named(Vec<Arc<Provider>>),
}

/// Why a provider or its scopes are not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAccepted {
    /// A scope goes beyond what is allowed.
    Scope,
    /// No such provider is configured.
    Unknown,
}

impl Providers {
    /// Those that are configured, in the order of the file.
    #[must_use]
    pub fn configured(&self) -> &[Arc<Provider>] {
        let (Self::Any(configured) | Self::Named(configured)) = self;
        configured
    }

    /// The one with this id, if it is configured.
    #[must_use]
    pub fn find(&self, id: &ProviderId) -> Option<&Arc<Provider>> {
        self.configured().iter().find(|provider| provider.id == *id)
    }

    /// What stands between scopes where this one writes them; a space, where it is not asked anything.
    #[must_use]
    pub fn scope_separator(&self, id: &ProviderId) -> client::ScopeSeparator {
        let client = self.find(id).and_then(|provider| provider.client.as_ref());
        client.map_or(client::ScopeSeparator::Space, |client| client.scope_separator)
    }

    /// Whether a token with these scopes may be kept for the provider.
    ///
    /// # Errors
    /// Which rule is in the way.
    pub fn accept(&self, id: &ProviderId, scopes: &[String]) -> Result<(), NotAccepted> {
        let Some(provider) = self.find(id) else {
            return if matches!(self, Self::Any(_)) { Ok(()) } else { Err(NotAccepted::Unknown) };
        };
        let allowed = &provider.allowed_scopes;
        if allowed.is_empty() || scopes.iter().all(|scope| allowed.contains(scope)) {
            Ok(())
        } else {
            Err(NotAccepted::Scope)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_beyond_the_configured_ones_are_refused() {
        let id = ProviderId::parse("github").expect("valid");
        let configured = vec![Arc::new(Provider {
            id: id.clone(),
            allowed_scopes: vec!["read:org".into()],
            requires_consent: false,
            preset: None,
            by_hand: Vec::new(),
            client: None,
        })];
        let other = ProviderId::parse("slack").expect("valid");
        for providers in [Providers::Named(configured.clone()), Providers::Any(configured)] {
            assert_eq!(providers.accept(&id, &["read:org".into()]), Ok(()));
            assert_eq!(providers.accept(&id, &["repo".into()]), Err(NotAccepted::Scope));
            let known = matches!(providers, Providers::Any(_));
            assert_eq!(providers.accept(&other, &["x".into()]).is_ok(), known);
        }
    }
}
