//! The OAuth issuers that the configuration names, and what their tokens may do.

use tokenkeep_client::ids::ProviderId;

/// A configured issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// As applications name it.
    pub id: ProviderId,
    /// Scopes a token may have; empty: any.
    pub allowed_scopes: Vec<String>,
}

/// The issuers that may hold tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Providers {
    /// Any: development only.
    Any,
    /// These.
    Named(Vec<Provider>),
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
    /// Whether a token with these scopes may be kept for the provider.
    ///
    /// # Errors
    /// Which rule is in the way.
    pub fn accept(&self, id: &ProviderId, scopes: &[String]) -> Result<(), NotAccepted> {
        let Self::Named(named) = self else { return Ok(()) };
        let provider = named.iter().find(|provider| provider.id == *id).ok_or(NotAccepted::Unknown)?;
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
        let named =
            Providers::Named(vec![Provider { id: id.clone(), allowed_scopes: vec!["read:org".into()] }]);
        assert_eq!(named.accept(&id, &["read:org".into()]), Ok(()));
        assert_eq!(named.accept(&id, &["repo".into()]), Err(NotAccepted::Scope));
        let other = ProviderId::parse("slack").expect("valid");
        assert_eq!(named.accept(&other, &[]), Err(NotAccepted::Unknown));
        assert_eq!(Providers::Any.accept(&other, &["x".into()]), Ok(()));
    }
}
