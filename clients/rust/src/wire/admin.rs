//! What admins are shown: keys by id, findings of `doctor`, the state of the audit chain.
//!
//! Never carries a key or an entry's bytes.

use serde::{Deserialize, Serialize};

/// What one root key still wraps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RootKeyOut {
    /// Its id; says nothing of the key.
    pub id: String,
    /// Whether it seals what is new.
    pub primary: bool,
    /// Org keys wrapped by it.
    pub org_keys: u64,
    /// Whether it wraps the system key.
    pub system_key: bool,
}

/// GET `/admin/v1/keys`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KeysOut {
    /// In the order of the key list.
    pub root_keys: Vec<RootKeyOut>,
    /// Keys not yet wrapped by the primary root key: 0 after a whole rotation.
    pub remaining: u64,
    /// Whether a rotation runs now.
    pub rotating: bool,
    /// Why the last rotation since start ended early, if it did.
    pub rotation_error: Option<String>,
}

/// One finding of `doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Finding {
    /// What was looked at.
    pub check: String,
    /// `ok`, `warn` or `fail`.
    pub level: String,
    /// What was found.
    pub detail: String,
    /// What to do, where something is to be done.
    pub mend: Option<String>,
}

/// GET `/admin/v1/doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DoctorOut {
    /// Every check that was made.
    pub findings: Vec<Finding>,
}

/// POST `/admin/v1/audit/verify`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuditVerifyOut {
    /// Whether every entry is there, in order, unchanged.
    pub intact: bool,
    /// Entries that were found intact, up to the first break.
    pub entries: u64,
    /// Files read.
    pub files: u64,
    /// The first break: file, line, what is wrong.
    #[serde(rename = "break")]
    pub first_break: Option<AuditBreak>,
}

/// Where the audit chain breaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuditBreak {
    /// Name of the file in the audit directory.
    pub file: String,
    /// Counts from 1.
    pub line: u64,
    /// `changed`, `missing`, `reordered`, `cut_off`.
    pub kind: String,
    /// In words.
    pub detail: String,
}
