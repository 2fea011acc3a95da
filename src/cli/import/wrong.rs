//! Why a row does not come in: a word that scripts may rely on, and a sentence.
//!
//! Never carries bytes of the row; fields are named by the contract's words.

use std::borrow::Cow;

use serde::Serialize;

/// Why a row does not come in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wrong {
    /// A word that stays.
    pub code: Cow<'static, str>,
    /// A sentence that may change.
    pub detail: Cow<'static, str>,
}

impl Wrong {
    /// With its sentence.
    #[must_use]
    pub fn new(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code: Cow::Borrowed(code), detail: detail.into() }
    }

    /// The field has nothing in it.
    #[must_use]
    pub fn missing(field: &str) -> Self {
        Self::new("missing_field", format!("{field} is empty or not there"))
    }

    /// The field has a number where a text belongs, or the like.
    #[must_use]
    pub fn kind(field: &str, kind: &str) -> Self {
        Self::new("wrong_kind", format!("{field} is {kind}"))
    }
}
