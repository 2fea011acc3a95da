//! Revocations: what becomes of a deleted connection's tokens at their provider.
//!
//! Never carries a secret.

use crate::ids::{ConnectionName, OrgId, ProviderId};
use crate::moment::Moment;
use serde::{Deserialize, Serialize};

/// What becomes of a deleted connection's tokens at their provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RevocationState {
    /// The provider has ended them.
    Done,
    /// The provider has no way to end them, or will not: they live there until they end by themselves.
    Impossible,
    /// It was asked for that they live on.
    NotAsked,
    /// Not yet: it is tried until it is done or proven impossible.
    Pending,
}

impl RevocationState {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Impossible => "impossible",
            Self::NotAsked => "not_asked",
            Self::Pending => "pending",
        }
    }
}

/// A revocation that is still to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RevocationOut {
    /// Whose connection it was.
    pub org: OrgId,
    /// Who is to end its tokens.
    pub provider: ProviderId,
    /// The name that the connection had.
    pub name: ConnectionName,
    /// When it was deleted.
    pub since: Moment,
    /// How often the provider was asked.
    pub attempts: u32,
    /// When it is asked next.
    pub next_at: Moment,
    /// What came of it last: `client_misconfigured` or `provider_error`.
    pub last: Option<String>,
}

/// GET `/admin/v1/revocations`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RevocationsOut {
    /// At most 1,000 of them, in no order.
    pub items: Vec<RevocationOut>,
    /// How many there are.
    pub waiting: u64,
}
