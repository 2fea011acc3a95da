//! Consents: what an org has agreed to, for one connection.
//!
//! Never carries a secret.

use super::RevocationState;
use crate::ids::{ConnectionName, ProviderId};
use crate::moment::Moment;
use serde::{Deserialize, Serialize};

/// PUT `/admin/v1/orgs/{org}/consents/{provider}/{name}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ConsentIn {
    /// What attests it: a document, a ticket, the version of a form.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = crate::limits::CONSENT), regex(pattern = crate::schema::PLAIN)))]
    pub reference: String,
}

/// A consent, as it stands or as it was withdrawn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ConsentOut {
    /// The configured issuer.
    pub provider: ProviderId,
    /// The name of the connection.
    pub name: ConnectionName,
    /// Its own name: what is read on it says so in the audit log.
    pub consent: String,
    /// What attests it.
    pub reference: String,
    /// When it was recorded.
    pub recorded_at: Moment,
    /// By whom.
    pub recorded_by: String,
    /// Whether it stands.
    pub stands: bool,
    /// When it was withdrawn.
    pub withdrawn_at: Option<Moment>,
    /// By whom.
    pub withdrawn_by: Option<String>,
    /// Of a withdrawal that deleted a connection, what becomes of its tokens at the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation: Option<RevocationState>,
}
