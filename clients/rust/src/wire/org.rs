//! An org, as it is shown.
//!
//! Never names the org's own key, only the root key that wraps it.

use crate::ids::OrgId;
use crate::moment::Moment;
use serde::{Deserialize, Serialize};

/// An org.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OrgOut {
    /// Its name.
    pub org: OrgId,
    /// When it was created.
    pub created_at: Moment,
    /// The root key that wraps its key.
    pub root_key_id: String,
}
