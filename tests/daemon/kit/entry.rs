//! An entry of the audit log, as the tests read it.

use serde::Deserialize;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AuditEntry {
    pub seq: u64,
    pub request_id: String,
    pub principal: AuditPrincipal,
    pub action: String,
    pub org: Option<String>,
    pub target: Option<String>,
    pub decision: String,
    pub outcome: String,
    pub reason: Option<String>,
    pub pass: Option<String>,
    pub generation: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AuditPrincipal {
    pub name: String,
    pub proof: String,
    pub uid: Option<u32>,
    pub pid: Option<u32>,
    pub unit: Option<String>,
    pub address: Option<String>,
    pub san: Option<String>,
    pub serial: Option<String>,
}
