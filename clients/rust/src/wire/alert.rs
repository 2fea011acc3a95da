//! Alerts: what waits to be delivered to the webhook, as an admin sees it.
//!
//! Never carries a secret, and of the webhook's address only the host: a path may be one.

use serde::{Deserialize, Serialize};

use crate::ids::{OrgId, ProviderId};
use crate::moment::Moment;

/// GET `/admin/v1/alerts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AlertsOut {
    /// Who is told; null where nobody is.
    pub webhook: Option<String>,
    /// How many events wait.
    pub waiting: u64,
    /// The oldest 200 of them, oldest first.
    pub items: Vec<AlertOut>,
}

/// An event that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AlertOut {
    /// The same however often it is sent: `webhook-id`.
    pub id: String,
    /// Grows from event to event; has gaps.
    pub sequence: u64,
    /// What has happened.
    #[serde(rename = "type")]
    pub kind: String,
    /// When.
    pub timestamp: Moment,
    /// Of the connection.
    pub org: Option<OrgId>,
    /// Of the connection, or the provider itself.
    pub provider: Option<ProviderId>,
    /// Of the connection.
    pub name: Option<String>,
    /// How often it was sent in vain since the daemon started.
    pub failures: u32,
    /// What came of the last time.
    pub last_failure: Option<String>,
    /// Seconds until it is sent again, if nothing else stands in its way.
    pub next_in: u64,
}

/// POST `/admin/v1/alerts/test`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AlertTestOut {
    /// Of the event that was sent.
    pub id: String,
    /// Whether the receiver has taken it.
    pub delivered: bool,
    /// The HTTP status of its answer; null where there was none.
    pub status: Option<u16>,
    /// What came back, and what to do.
    pub detail: String,
}
