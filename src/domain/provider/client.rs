//! Our client at a provider: where it asks, how it proves itself, and how that provider treats refresh tokens.
//!
//! The hard problem: providers differ in exactly the points where a refresh token is lost. The answer: each point is
//! a value here, taken from a preset or written by hand, and the engine obeys the values and knows no provider.
//!
//! Never holds a secret: only the place where one is kept.

use std::time::Duration;

use super::address::Address;
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
    /// How a token is revoked; none: the provider has no way, or none that is known.
    pub revocation: Option<Revocation>,
    /// Whose certificates are trusted at these addresses.
    pub roots: Roots,
    /// How the token request is written.
    pub token_request: BodyForm,
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
    /// What stands between scopes.
    pub scope_separator: ScopeSeparator,
}

/// How a client proves itself at the token endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientAuth {
    /// HTTP Basic, id and secret form-encoded first (RFC 6749, section 2.3.1).
    Basic(Held),
    /// HTTP Basic, id and secret as they are: what many providers expect instead.
    BasicRaw(Held),
    /// The client's certificate (RFC 8705).
    Mtls(ClientCertificate),
    /// Not at all: a public client.
    None,
    /// In the body (RFC 6749, section 2.3.1).
    Post(Held),
    /// A signed assertion (RFC 7523).
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

/// The key that signs assertions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssertionKey {
    /// PKCS #8, PEM.
    pub key: Held,
    /// Its `kid` at the provider.
    pub id: Option<String>,
    /// What it signs with.
    pub algorithm: Algorithm,
    /// Who is meant (`aud`), where that is not the token endpoint.
    pub audience: Option<String>,
}

/// A signature algorithm (RFC 7518, section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// ECDSA with P-256 and SHA-256.
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
}

/// How the body of a token request is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyForm {
    /// `application/x-www-form-urlencoded`, as RFC 6749 has it.
    Form,
    /// `application/json`.
    Json,
}

/// How a token is revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// Where.
    pub endpoint: Address,
    /// How.
    pub way: RevocationWay,
}

/// What a provider takes for a revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevocationWay {
    /// A POST without a body, with the access token as bearer.
    Bearer,
    /// A DELETE without a body, with the access token as bearer.
    BearerDelete,
    /// RFC 7009.
    Form,
    /// A DELETE of GitHub: client id and secret in HTTP Basic, the access token in JSON.
    GitHub,
    /// As RFC 7009, with the body in JSON.
    Json,
    /// A DELETE with the refresh token as the last part of the path.
    Path,
}

/// What becomes of the refresh token at a refresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// Each refresh spends it and gives another.
    Rotates,
    /// It stays, even where a new one comes.
    Stays,
}

/// Whether the access token may be refreshed while it still works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshEarly {
    /// The old one works on to its end.
    Allowed,
    /// The old one ends with the refresh.
    KillsAccessToken,
}

/// What stands between scopes in `scope`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScopeSeparator {
    /// `,`
    Comma,
    /// A space (RFC 6749, section 3.3).
    Space,
}

impl ScopeSeparator {
    /// The character.
    #[must_use]
    pub fn as_char(self) -> char {
        match self {
            Self::Comma => ',',
            Self::Space => ' ',
        }
    }
}
