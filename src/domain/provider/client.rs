//! Our client at a provider: where it asks, how it proves itself, and how that provider treats refresh tokens.
//!
//! The hard problem: providers differ in exactly the points where a refresh token is lost. The answer: each point is
//! a value here, taken from a preset or written by hand, and the engine obeys the values and knows no provider.
//!
//! Never holds a secret: only the place where one is kept.

use std::time::Duration;

use super::address::Address;
pub use super::word::{AuthMethod, BodyForm, RefreshEarly, RevocationWay, Rotation, ScopeSeparator};
use crate::net::outbound::Roots;
use crate::os::held::Held;

/// A client that is registered at a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuthClient {
    /// `client_id` (RFC 6749, section 2.2).
    pub id: String,
    /// How it proves itself.
    pub auth: ClientAuth,
    /// Where tokens are had.
    pub token_endpoint: Address,
    /// Where a person consents.
    pub authorization_endpoint: Option<Address>,
    /// How the provider names itself in `iss` (RFC 9207); none: it does not, or nobody has said.
    pub issuer: Option<String>,
    /// How a token is revoked; none: the provider has no way, or none that is known.
    pub revocation: Option<Revocation>,
    /// Whose certificates are trusted at these addresses.
    pub roots: Roots,
    /// How the token request is written.
    pub token_request: BodyForm,
    /// Headers that the provider wants beside; names in lower case.
    pub headers: &'static [(&'static str, &'static str)],
    /// What becomes of the refresh token at a refresh.
    pub rotation: Rotation,
    /// How long a spent refresh token still works; zero: not at all.
    pub leeway: Duration,
    /// Whether a spent refresh token, shown after the leeway, ends all tokens of the connection.
    pub reuse_revokes_family: bool,
    /// After so long without a refresh, the refresh token ends.
    pub idle_limit: Option<Duration>,
    /// So long after the consent, the refresh token ends.
    pub absolute_limit: Option<Duration>,
    /// How long an access token lives whose answer does not say.
    pub access_token_lifetime: Option<Duration>,
    /// Whether the access token may be refreshed while it still works.
    pub refresh_early: RefreshEarly,
    /// Whether an answer of status 200 may be an error.
    pub errors_in_200: bool,
    /// What this provider says for `invalid_grant`.
    pub grant_errors: Vec<String>,
    /// What this provider says for `invalid_client`.
    pub client_errors: Vec<String>,
    /// What stands between scopes.
    pub scope_separator: ScopeSeparator,
}

/// How a client proves itself at the token endpoint, and where what it needs for that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientAuth {
    /// [`AuthMethod::Basic`]: the secret.
    Basic(Held),
    /// [`AuthMethod::BasicRaw`]: the secret.
    BasicRaw(Held),
    /// [`AuthMethod::Mtls`]
    Mtls(ClientCertificate),
    /// [`AuthMethod::None`]
    None,
    /// [`AuthMethod::Post`]: the secret.
    Post(Held),
    /// [`AuthMethod::PrivateKeyJwt`]
    PrivateKeyJwt(AssertionKey),
}

/// The certificate of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The chain, PEM.
    pub certificate: Held,
    /// The key of it, PEM.
    pub key: Held,
}

/// The key that signs assertions: RS256 where it is an RSA key, ES256 where it is one of P-256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssertionKey {
    /// PKCS #8, PEM.
    pub key: Held,
    /// Its `kid` at the provider.
    pub id: Option<String>,
    /// Who is meant (`aud`); none: the token endpoint (RFC 7523, section 3).
    pub audience: Option<String>,
}

/// How a token is revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// Where.
    pub endpoint: Address,
    /// How.
    pub way: RevocationWay,
}

/// What an `error` of a token endpoint says (RFC 6749, section 5.2), whatever the provider calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorMeaning {
    /// Our client is not accepted: our configuration is wrong, and no token is dead for that.
    Client,
    /// The refresh token is not accepted.
    Grant,
    /// Neither.
    Other,
}

impl OAuthClient {
    /// What this `error` says. `unauthorized_client` is ours too: the client may not do this.
    #[must_use]
    pub fn meaning(&self, error: &str) -> ErrorMeaning {
        let among = |errors: &[String]| errors.iter().any(|one| one == error);
        match error {
            "invalid_grant" => ErrorMeaning::Grant,
            "invalid_client" | "unauthorized_client" => ErrorMeaning::Client,
            _ if among(&self.grant_errors) => ErrorMeaning::Grant,
            _ if among(&self.client_errors) => ErrorMeaning::Client,
            _ => ErrorMeaning::Other,
        }
    }

    /// Every address that is asked by the daemon itself.
    pub fn asked(&self) -> impl Iterator<Item = &Address> {
        [Some(&self.token_endpoint), self.revocation.as_ref().map(|one| &one.endpoint)].into_iter().flatten()
    }
}

impl ClientAuth {
    /// Its method.
    #[must_use]
    pub fn method(&self) -> AuthMethod {
        match self {
            Self::Basic(_) => AuthMethod::Basic,
            Self::BasicRaw(_) => AuthMethod::BasicRaw,
            Self::Mtls(_) => AuthMethod::Mtls,
            Self::None => AuthMethod::None,
            Self::Post(_) => AuthMethod::Post,
            Self::PrivateKeyJwt(_) => AuthMethod::PrivateKeyJwt,
        }
    }

    /// Where what it needs is kept: the setting of each place, and the place.
    #[must_use]
    pub fn places(&self) -> Vec<(&'static str, &Held)> {
        match self {
            Self::None => Vec::new(),
            Self::Basic(secret) | Self::BasicRaw(secret) | Self::Post(secret) => {
                vec![("client_secret", secret)]
            }
            Self::Mtls(pair) => vec![("client_certificate", &pair.certificate), ("client_key", &pair.key)],
            Self::PrivateKeyJwt(signing) => vec![("client_key", &signing.key)],
        }
    }
}
