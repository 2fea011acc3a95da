//! The quarantine of a store that may be a copy, and the release of its connections.
//!
//! Never carries a secret.

use crate::ids::{ConnectionName, OrgId, ProviderId};
use crate::moment::Moment;
use serde::{Deserialize, Serialize};

/// The quarantine, as `status` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct QuarantineStatus {
    /// `copied`, `restored`, `other_machine` or `lease_lost`.
    pub reason: String,
    /// Since when.
    pub since: Moment,
    /// Connections of earlier incarnations are held back until they are released.
    pub incarnation: u64,
}

/// POST `/admin/v1/connections/release`: one connection by org, provider and name; or all, of an org, of a provider, of
/// both, or all there are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ReleaseIn {
    /// Whose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org: Option<OrgId>,
    /// At which issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<ProviderId>,
    /// Which one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<ConnectionName>,
    /// All that org and provider leave.
    #[serde(default)]
    pub all: bool,
    /// The `next` of an earlier part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// What a release did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReleaseOut {
    /// Connections that were held back and are no longer; not counted where the whole quarantine was ended.
    pub released: u64,
    /// Where to go on, if there may be more.
    pub next: Option<String>,
}
