//! Tokens on their way out, one by one and many at once, and how they are asked for.
//!
//! A batch answers in the order asked and names each connection again, so that no token can be taken for
//! another's.
//!
//! Never carries an access token and a refresh token in one shape.

use crate::ids::{ConnectionId, ConnectionName, ProviderId};
use crate::moment::Moment;
use crate::problem::Problem;
use crate::secret::{AccessToken, RefreshToken};
use serde::{Deserialize, Serialize};

/// GET of a token.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Token {
    /// Valid for at least the `min_ttl` that was asked for.
    pub access_token: AccessToken,
    /// RFC 6749, section 7.1.
    pub token_type: String,
    /// None where the provider gave no end.
    pub expires_at: Option<Moment>,
    /// The scopes granted.
    pub scopes: Vec<String>,
    /// Counts the token sets of the connection; also the `ETag`.
    pub generation: u64,
}

/// GET of a refresh token, for applications that still refresh themselves.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RefreshTokenOut {
    /// The current one.
    pub refresh_token: RefreshToken,
    /// The generation it belongs to.
    pub generation: u64,
}

/// POST `.../refresh`: a caller got a 401 with this generation.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RefreshRequest {
    /// Refresh only if this is still the current generation.
    pub if_generation: u64,
}

/// POST `.../tokens`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct BatchRequest {
    /// At most 1,000.
    #[cfg_attr(feature = "schema", schemars(length(max = crate::limits::BATCH)))]
    #[serde(deserialize_with = "super::items::up_to::<{ crate::limits::BATCH }, _, _>")]
    pub connections: Vec<ConnectionId>,
    /// Seconds; 60 where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(max = crate::limits::MIN_TTL)))]
    pub min_ttl: Option<u64>,
}

/// One answer of a batch, in the order asked.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(transform = crate::schema::token_or_problem))]
pub struct BatchResult {
    /// As asked.
    pub provider: ProviderId,
    /// As asked.
    pub name: ConnectionName,
    /// The token, or the problem.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Token>,
    /// Why there is no token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// The answer of a batch.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BatchOut {
    /// One a connection asked for.
    pub results: Vec<BatchResult>,
}
