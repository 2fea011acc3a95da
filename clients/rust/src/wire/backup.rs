//! Backups: what there is, how it goes, and what came of it last.

use serde::{Deserialize, Serialize};

use crate::moment::Moment;

/// GET `/admin/v1/backups`; what each POST below it answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BackupsOut {
    /// Where they are kept, in words.
    pub repository: String,
    /// The vault that they are of, in hex: the name of its folder there.
    pub vault: String,
    /// The set that is being written.
    pub set: Option<String>,
    /// So many seconds of changes would be lost if this machine were lost now; none until the first set is whole.
    pub behind_seconds: Option<u64>,
    /// What runs now: `create`, `drill`, `ship` or `verify`.
    pub running: Option<String>,
    /// What ended last, one of each kind.
    pub last: Vec<BackupRun>,
    /// The sets there are, oldest first.
    pub items: Vec<BackupSet>,
}

/// Something that was done with backups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BackupRun {
    /// `create`, `drill`, `retain`, `ship` or `verify`.
    pub what: String,
    /// Counts those of its kind since the daemon started.
    pub number: u64,
    /// When it ended.
    pub ended_at: Moment,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// Why it failed; none where it did not.
    pub error: Option<String>,
    /// In words, what was done.
    pub detail: String,
}

/// One set: a whole state of the vault, and what came after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BackupSet {
    /// Its name.
    pub set: String,
    /// When it was begun: restores to any second from here on take it.
    pub begun_at: Moment,
    /// When its last part was made.
    pub ended_at: Moment,
    /// In which life of the vault.
    pub incarnation: u64,
    /// How many parts it has.
    pub parts: u64,
    /// How many bytes they take.
    pub bytes: u64,
    /// The last change in it.
    pub sequence: u64,
    /// How many records the store had then.
    pub records: u64,
    /// The ids of the root keys that open it.
    pub root_keys: Vec<String>,
}
