//! What the daemon says of itself and of the caller.
//!
//! Never names an org.

use super::QuarantineStatus;
use serde::{Deserialize, Serialize};

/// The caller, as the vault sees it. What does not belong to the way it came is absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PrincipalOut {
    /// The configured client, or `admin`.
    pub name: String,
    /// How it was proved: `unix`, `mtls` or `admin`.
    pub proof: String,
    /// On a socket, from the kernel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// On a socket, from the kernel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
    /// On a socket, from the kernel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// The systemd unit of the process, where it runs in one.
    pub unit: Option<String>,
    /// Over mTLS, where it called from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Over mTLS, the name in its certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub san: Option<String>,
    /// Over mTLS, the serial number of its certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
}

/// GET `/v1/status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Status {
    /// Of the daemon.
    pub version: String,
    /// Of the store.
    pub vault_id: String,
    /// Stamped into the store.
    pub environment: String,
    /// The caller, as seen.
    pub principal: PrincipalOut,
    /// Whether it may serve.
    pub ready: bool,
    /// What this build lacks of all that protects memory: absent, except in builds for tests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacks: Vec<String>,
    /// `ok`, `full` or `failed`, with what is known.
    pub store: StoreStatus,
    /// `ok` or `failed`, with what is known.
    pub audit: AuditStatus,
    /// What the memory is that keys stand in: `secret` (nobody else can read it), `locked` or `unlocked` (root can). For admins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_pages: Option<String>,
    /// Why connections are held back, where the store may be a copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<QuarantineStatus>,
    /// Whether all memory of the daemon is kept from the swap. For admins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked_memory: Option<bool>,
}

/// The store, as `status` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StoreStatus {
    /// `ok`, `full` (reads go on) or `failed`.
    pub state: String,
    /// Why, where the state is not `ok`.
    pub reason: Option<String>,
    /// Records in the store.
    pub records: u64,
    /// Last journal sequence.
    pub sequence: u64,
    /// `sled`, or `memory` where sled had to be given up until the next start.
    pub index: String,
}

/// The audit log, as `status` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuditStatus {
    /// `ok` or `failed`.
    pub state: String,
    /// Why, where the state is not `ok`.
    pub reason: Option<String>,
    /// Last entry.
    pub sequence: u64,
}
