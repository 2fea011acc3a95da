//! A page of a list.
//!
//! The cursor means something to the daemon alone: never taken apart here.

use serde::{Deserialize, Serialize};

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "PageOf{T}"))]
pub struct Page<T> {
    /// What there is.
    pub items: Vec<T>,
    /// Pass as `after` to read on; none at the end.
    pub next: Option<String>,
}
