//! Why the vault says no: the public code, a sentence that says what to do, and what helps the caller.
//!
//! Never carries bytes of the input.

use std::borrow::Cow;

use crate::crypto::seal::SealError;
use crate::crypto::wrap::WrapError;
use crate::domain::pass::PassFault;
use crate::store::{CommitError, ReadError};
use tokenkeep_client::moment::Moment;
use tokenkeep_client::problem::Code;

/// A no, ready to be recorded and to be mapped to a problem document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// From the public list.
    pub code: Code,
    /// What happened and what to do.
    pub detail: Cow<'static, str>,
    /// The reason behind the code, where one helps.
    pub reason: Option<&'static str>,
    /// Since when it is so.
    pub since: Option<Moment>,
    /// Seconds to wait before asking again.
    pub retry_after: Option<u64>,
}

impl Refusal {
    /// A no with its sentence.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: detail.into(), reason: None, since: None, retry_after: None }
    }

    /// The request is not what the contract says.
    #[must_use]
    pub fn invalid(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::InvalidRequest, detail)
    }

    /// There is no such thing, and the caller may know.
    #[must_use]
    pub fn not_found(what: &'static str) -> Self {
        Self::new(Code::NotFound, format!("there is no such {what}"))
    }

    /// The audit log cannot take the entry, so nothing is released.
    #[must_use]
    pub fn audit_unavailable() -> Self {
        Self::new(
            Code::AuditUnavailable,
            "the audit log cannot be written, so nothing is released; the daemon's log says why",
        )
    }

    /// A stored value does not open or stands in the wrong place. Logged here, once; names no org.
    #[must_use]
    pub fn integrity(what: &'static str, why: &dyn std::fmt::Display) -> Self {
        tracing::error!(what, %why, "a stored value is damaged or stands in the wrong place");
        Self::new(
            Code::Integrity,
            "the stored value does not open or is not where it belongs; restore it from a backup",
        )
    }
}

/// A sealed value that does not open.
impl From<SealError> for Refusal {
    fn from(why: SealError) -> Self {
        Self::integrity("sealed value", &why)
    }
}

/// A sealed key that does not open, or has no place to be opened into.
impl From<WrapError> for Refusal {
    fn from(why: WrapError) -> Self {
        match why {
            WrapError::NoRoom => {
                tracing::error!(%why, "an org key could not be opened");
                let detail = "there is no locked memory left for another key; try again, or raise the limit";
                Self { retry_after: Some(1), ..Self::new(Code::NotReady, detail) }
            }
            why => Self::integrity("sealed key", &why),
        }
    }
}

/// A pass that is not good for what was asked.
impl From<PassFault> for Refusal {
    fn from(fault: PassFault) -> Self {
        Self { reason: Some(fault.reason()), ..Self::new(fault.code(), fault.detail()) }
    }
}

/// The index cannot be read: ours, and the truth is not lost.
impl From<ReadError> for Refusal {
    fn from(why: ReadError) -> Self {
        tracing::error!(%why, "a read failed");
        Self {
            retry_after: Some(1),
            ..Self::new(Code::NotReady, "the record cannot be read at this moment; try again")
        }
    }
}

impl From<CommitError> for Refusal {
    fn from(why: CommitError) -> Self {
        match why {
            CommitError::Conflict => Self::new(
                Code::Conflict,
                "another change of the same record came first; read it and try again",
            ),
            CommitError::Failed(why) => {
                tracing::error!(%why, "the store has failed");
                Self::new(
                    Code::NotReady,
                    "the store has failed and the daemon is stopping; try again when it is back",
                )
            }
            CommitError::Full => Self::new(
                Code::StorageFull,
                "there is no room to keep the change; nothing was written, reads go on; make room on the host",
            ),
            CommitError::TooLarge => {
                Self::new(Code::TooLarge, "the change is larger than a journal record may be")
            }
        }
    }
}
