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
    /// How a rotation of org keys goes.
    #[serde(default)]
    pub org_rotation: OrgRotationOut,
}

/// GET `/admin/v1/keys/orgs`: the keys of orgs, and how their rotation goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OrgKeysOut {
    /// Records that are under the current key of their org.
    pub current_records: u64,
    /// Records that are under an earlier one: 0 after a whole rotation.
    pub earlier_records: u64,
    /// The keys before the current ones, at most 1000; of one org that was asked for, its current key first.
    pub keys: Vec<OrgKeyOut>,
    /// Keys before the current ones, in all.
    pub earlier_keys: u64,
    /// How a rotation goes.
    pub rotation: OrgRotationOut,
    /// What the backups that are kept need, read for this; none where none are made.
    #[serde(default)]
    pub backups: Option<KeptBackupsOut>,
}

/// What the backups that are kept need of the keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KeptBackupsOut {
    /// So many sets are kept.
    pub sets: u64,
    /// Of those, the ones that do not say what is under which org key: each counts as if it had every one in use.
    pub uncounted_sets: u64,
    /// The oldest of them.
    pub oldest_set: Option<String>,
    /// The root keys that it takes to restore them.
    pub root_keys: Vec<KeptRootKeyOut>,
    /// Why this cannot be said now, where it cannot: nothing else is true then.
    pub error: Option<String>,
}

/// A root key that backups need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KeptRootKeyOut {
    /// Its id.
    pub id: String,
    /// Whether it is on the key list of the daemon.
    pub listed: bool,
    /// So many sets need it.
    pub sets: u64,
    /// The last of those to go.
    pub last_set: String,
    /// That one goes then, or later.
    pub until: crate::moment::Moment,
}

/// A key of an org.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OrgKeyOut {
    /// Whose.
    pub org: crate::ids::OrgId,
    /// Its id; says nothing of the key.
    pub id: String,
    /// `current` seals and opens; `former` opens what is not yet sealed anew, and ciphertexts; `retired` opens ciphertexts.
    pub state: String,
    /// Since when there is another one.
    pub former_since: Option<crate::moment::Moment>,
    /// Records under it in the store.
    pub records: u64,
    /// Records under it in the backups that are kept, set by set, as they stood at the beginning of each; none where no backups
    /// are made, or they cannot be read.
    pub backup_records: Option<u64>,
    /// Sets that hold such records, or may; likewise.
    #[serde(default)]
    pub backup_sets: Option<u64>,
    /// The last of those goes then, or later.
    #[serde(default)]
    pub in_backups_until: Option<crate::moment::Moment>,
}

/// How a rotation of org keys goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OrgRotationOut {
    /// Whether one runs now.
    pub running: bool,
    /// Orgs that got a new key since it began.
    pub new_keys: u64,
    /// Records that were under an earlier key when they were counted last.
    pub found: u64,
    /// Of those, how many were sealed anew since.
    pub done: u64,
    /// At most so many a second.
    pub records_per_second: u64,
    /// Why the last one since the start ended early, if it did.
    pub error: Option<String>,
}

/// POST `/admin/v1/keys/orgs/rotate`: a new key for one org, or for all there are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", schemars(transform = crate::schema::one_org_or_all))]
pub struct OrgRotationIn {
    /// This one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org: Option<crate::ids::OrgId>,
    /// All there are.
    #[serde(default)]
    pub all: bool,
    /// At most so many records a second are sealed anew: 1 to 1,000,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1_000_000)))]
    pub records_per_second: Option<u64>,
}

/// POST `/admin/v1/keys/retire`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RetireIn {
    /// The id of a root key or of an org's key.
    pub id: String,
    /// No ciphertext that an application keeps is under it any more: the key of an org is destroyed.
    #[serde(default)]
    pub destroy: bool,
}

/// What became of a key that nothing needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RetireOut {
    /// The key.
    pub id: String,
    /// Whose it is; none: a root key.
    pub org: Option<crate::ids::OrgId>,
    /// `retired`: it opens ciphertexts and nothing else. `destroyed`. `unneeded`: a root key that may be taken off the list.
    pub state: String,
    /// Of an org's key: backups that are kept bring it along, wrapped; the last of them goes then, or later.
    #[serde(default)]
    pub in_backups_until: Option<crate::moment::Moment>,
    /// Why that cannot be said now, where it cannot.
    #[serde(default)]
    pub backups_error: Option<String>,
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
