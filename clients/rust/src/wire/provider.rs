//! A configured provider, as it is shown.
//!
//! Never carries a secret: of one, only where it is held.

use serde::{Deserialize, Serialize};

use super::admin::Finding;
use crate::ids::ProviderId;

/// A configured OAuth issuer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProviderOut {
    /// As applications name it.
    pub provider: ProviderId,
    /// The preset that it was made from.
    pub preset: Option<String>,
    /// Whether it has a client: without one it holds tokens and refreshes none.
    pub refreshes: bool,
    /// Scopes a token may have; empty: any.
    pub allowed_scopes: Vec<String>,
    /// Whether tokens are served only while a consent stands.
    pub requires_consent: bool,
    /// The settings of its client; empty without one.
    pub settings: Vec<ProviderSetting>,
}

/// One setting of a provider's client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProviderSetting {
    /// As the configuration names it.
    pub name: String,
    /// As the configuration writes it; null where there is none.
    pub value: Option<String>,
    /// `configuration`, `preset`, or `default` where nothing says it.
    pub from: String,
    /// Of a preset: the document that it was read in, or `unverified`.
    pub source: Option<String>,
}

/// POST `/admin/v1/providers/{provider}/check`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProviderCheckOut {
    /// Which one was asked.
    pub provider: ProviderId,
    /// What was tried; empty where it has no client.
    pub findings: Vec<Finding>,
}
