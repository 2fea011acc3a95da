//! What an audit entry says. Never a secret, never input bytes that were not parsed into an identifier.

use tokenkeep_client::ids::ConnectionId;

use super::line;
use crate::chain::Mark;
use crate::domain::action::Action;
use crate::domain::principal::Principal;

/// Whether it was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Let in.
    Allow,
    /// Refused at the door.
    Deny,
}

impl Decision {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

/// The thing inside an org, or of the vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// A connection; written as `provider/name`.
    Connection(&'a ConnectionId),
    /// By its name.
    Named(&'a str),
}

/// Who asked, as entries say it: a caller asks often, and is written once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who(Box<[u8]>);

impl Who {
    /// This principal.
    #[must_use]
    pub fn of(principal: &Principal) -> Self {
        Self(line::principal(principal).into_boxed_slice())
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// One entry, before it has its place in the chain.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    /// Also in `X-Request-Id`.
    pub request_id: &'a str,
    /// Who asked.
    pub who: &'a Who,
    /// What was asked.
    pub action: Action,
    /// The org, where there is one.
    pub org: Option<&'a str>,
    /// The thing concerned, where there is one.
    pub target: Option<Target<'a>>,
    /// Whether it was let in.
    pub decision: Decision,
    /// `ok`, or the code of the problem.
    pub outcome: &'a str,
    /// The reason beside the code, where there is one.
    pub reason: Option<&'a str>,
    /// The id of the pass that was shown, where one opened.
    pub pass: Option<&'a str>,
    /// The generation or version concerned.
    pub generation: Option<u64>,
    /// Where the change stands in the journal.
    pub journal: Option<Mark>,
}
