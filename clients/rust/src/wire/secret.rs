//! Any other secret of an org: in, out, and without its value.
//!
//! Never written anywhere but by [`SecretIn::body`], into a buffer that is wiped.

use super::{Labels, to_body};
use crate::ids::SecretName;
use crate::moment::Moment;
use crate::secret::SecretValue;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// PUT of a secret.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SecretIn {
    /// 1 byte to 64 KiB of UTF-8.
    pub value: SecretValue,
    /// Left out: the ones that are stored stay.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Labels>"))]
    pub labels: Option<Labels>,
}

impl SecretIn {
    /// The JSON body of the PUT, in a buffer that is wiped when it goes.
    #[must_use]
    pub fn body(&self) -> Zeroizing<Vec<u8>> {
        #[derive(Serialize)]
        struct Exposed<'a> {
            value: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            labels: Option<&'a Labels>,
        }
        to_body(&Exposed { value: self.value.expose(), labels: self.labels.as_ref() })
    }
}

/// GET of a secret.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SecretOut {
    /// The value of that version.
    pub value: SecretValue,
    /// Counts up from 1.
    pub version: u64,
    /// When this version came.
    pub created_at: Moment,
}

/// A version of a secret that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SecretVersion {
    /// Counts up from 1.
    pub version: u64,
    /// When it came.
    pub created_at: Moment,
}

/// A secret without its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SecretInfo {
    /// Its name.
    pub name: SecretName,
    /// The current version.
    pub version: u64,
    /// When the current version came.
    pub created_at: Moment,
    /// The versions that are kept, oldest first.
    pub versions: Vec<SecretVersion>,
    /// As the application set them.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Labels"))]
    pub labels: Labels,
}
