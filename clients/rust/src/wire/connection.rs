//! A connection without its tokens.
//!
//! Never carries a secret.

use super::{Labels, RevocationState};
use crate::ids::{ConnectionName, OrgId, ProviderId};
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
    /// The store may be a copy: the access token is served to its end, the refresh token is not used until it is released.
    Quarantined,
    /// A refresh is under way.
    Refreshing,
}

impl ConnectionState {
    /// Every state there is.
    pub const ALL: &'static [Self] =
        &[Self::Active, Self::NeedsReauth, Self::OutcomeUnknown, Self::Quarantined, Self::Refreshing];

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
            Self::Quarantined => "quarantined",
            Self::Refreshing => "refreshing",
        }
    }
}

/// Which other connections have the same refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum GrantSharing {
    /// One of another org or another configured provider: none of them is refreshed until only one has it.
    Elsewhere,
    /// Others of the same org and provider: they are refreshed as one.
    Together,
}

impl GrantSharing {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Elsewhere => "elsewhere",
            Self::Together => "together",
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
    /// Whether other connections have the same refresh token; absent where none has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<GrantSharing>,
    /// Whether another connection of this provider, in any org, is of the same account; absent where none is known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub same_account: bool,
    /// As the application set them.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Labels"))]
    pub labels: Labels,
    /// When it will end by itself, where that is known; older daemons say nothing.
    #[serde(default)]
    pub forecast: Option<Forecast>,
}

/// When a connection will end if its owner does not connect again, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Forecast {
    /// When.
    pub ends_at: Moment,
    /// `absolute_limit`: the provider ends it so long after the consent. `idle_limit`: it was not refreshed for almost as
    /// long as the provider lets it be, and should have been. `no_refresh_token`: its access token ends, and nothing
    /// renews it.
    pub reason: String,
}

/// A connection that will end by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ExpiringOut {
    /// Whose it is.
    pub org: OrgId,
    /// The configured issuer.
    pub provider: ProviderId,
    /// The name that the application chose.
    pub name: ConnectionName,
    /// What the last exchange proved.
    pub state: ConnectionState,
    /// When it will end, and why.
    pub forecast: Forecast,
    /// Last read since the daemon started.
    pub last_read_at: Option<Moment>,
}

/// What a DELETE of a connection did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Deleted {
    /// Always true.
    pub deleted: bool,
    /// Whether the provider has ended its tokens.
    pub revoked: bool,
    /// Of a connection, what becomes of its tokens at the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation: Option<RevocationState>,
}
