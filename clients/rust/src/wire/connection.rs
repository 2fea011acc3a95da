//! A connection without its tokens.
//!
//! Never carries a secret.

use super::Labels;
use crate::ids::{ConnectionName, ProviderId};
use crate::moment::Moment;
use serde::{Deserialize, Serialize};

/// What the last exchange proved of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ConnectionState {
    /// The access token has not ended, has no known end, or is renewed when it is asked for.
    Active,
    /// The owner must connect again: the provider refuses the refresh token, or the access token has ended and nothing
    /// renews it.
    NeedsReauth,
    /// A refresh token was sent, may have been spent, and no answer came. The access token is served to its end.
    OutcomeUnknown,
    /// A refresh is under way.
    Refreshing,
}

impl ConnectionState {
    /// Every state there is.
    pub const ALL: &'static [Self] =
        &[Self::Active, Self::NeedsReauth, Self::OutcomeUnknown, Self::Refreshing];

    /// Reads the word for one.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.as_str() == word)
    }

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::NeedsReauth => "needs_reauth",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::Refreshing => "refreshing",
        }
    }
}

/// A connection without its tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ConnectionOut {
    /// The configured issuer.
    pub provider: ProviderId,
    /// The name that the application chose.
    pub name: ConnectionName,
    /// What the last exchange proved.
    pub state: ConnectionState,
    /// Why, where the state is not `active`.
    pub reason: Option<String>,
    /// Since when, where the state is not `active`.
    #[serde(default)]
    pub since: Option<Moment>,
    /// The scopes granted.
    pub scopes: Vec<String>,
    /// Counts the token sets; also the `ETag`.
    pub generation: u64,
    /// End of the access token.
    pub expires_at: Option<Moment>,
    /// Whether a refresh token is kept.
    pub has_refresh_token: bool,
    /// When the first token set came.
    pub created_at: Moment,
    /// When the current token set came.
    pub refreshed_at: Moment,
    /// Last read since the daemon started.
    pub last_read_at: Option<Moment>,
    /// As the application set them.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Labels"))]
    pub labels: Labels,
}

/// What a DELETE of a connection did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Deleted {
    /// Always true.
    pub deleted: bool,
    /// Whether the provider was told.
    pub revoked: bool,
}
