//! What can go wrong for an application, sorted by whose fault it is: that decides who must act.
//!
//! A write whose answer is lost may have been carried out. [`Transport::Lost`] and [`Transport::Silent`]
//! say so; every other error of the transport means that nothing left this process, or that the answer came.
//!
//! Never carries bytes of a body.

use crate::moment::Moment;
use crate::problem::Problem;
use std::fmt;
use std::io;
use std::time::Duration;

/// Why there is no answer to build on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// Too much at once: ask again later.
    Busy {
        /// How long to wait, where the daemon said so.
        retry_after: Option<Duration>,
        /// As the daemon put it.
        problem: Box<Problem>,
    },
    /// The application's request or its rights: asking again changes nothing.
    Caller(Box<Problem>),
    /// The owner of the connection must connect again.
    Owner {
        /// Why, in the provider's words where there are any.
        reason: Option<String>,
        /// Since when.
        since: Option<Moment>,
        /// As the daemon put it.
        problem: Box<Problem>,
    },
    /// The provider failed, or did not answer.
    Provider(Box<Problem>),
    /// The daemon did not answer, or not in a way that can be read.
    Transport(Transport),
    /// The vault or its operator: damaged, full, not ready, misconfigured.
    Vault(Box<Problem>),
}

/// What became of the exchange with the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// No daemon takes connections there. Nothing was sent.
    Connect(io::ErrorKind),
    /// The deadline passed before the request could be sent.
    Deadline,
    /// The certificates do not fit. Nothing was asked.
    Handshake(Handshake),
    /// The connection ended before the answer: a write may have been carried out.
    Lost,
    /// The answer is not what the contract says. Its bytes are not shown.
    Protocol(&'static str),
    /// The request was sent and no answer came within the deadline: a write may have been carried out.
    Silent,
    /// The answer is larger than this many bytes.
    TooLarge(usize),
}

/// Why the two sides of mTLS do not come together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handshake {
    /// They have no TLS 1.3 in common, or one of them does not speak TLS.
    Failed,
    /// The daemon does not take our certificate: unknown, expired, revoked.
    Refused,
    /// Whatever answers there has no valid certificate of the configured CA for the daemon's name.
    Unproven,
}

impl Error {
    /// The problem document, where the daemon sent one.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Busy { problem, .. }
            | Self::Caller(problem)
            | Self::Owner { problem, .. }
            | Self::Provider(problem)
            | Self::Vault(problem) => Some(problem),
            Self::Transport(_) => None,
        }
    }

    /// The code of the problem document (`not_found`, `needs_reauth`), where the daemon sent one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.problem().map(|problem| problem.code.as_str())
    }
}

impl From<Problem> for Error {
    /// By code where it is known here, by status otherwise: an older client reads a newer daemon.
    fn from(problem: Problem) -> Self {
        let problem = Box::new(problem);
        match (problem.code.as_str(), problem.status) {
            ("needs_reauth", _) => {
                Self::Owner { reason: problem.reason.clone(), since: problem.since, problem }
            }
            ("rate_limited" | "refresh_in_progress", _) | (_, 429) => {
                Self::Busy { retry_after: problem.retry_after.map(Duration::from_secs), problem }
            }
            ("outcome_unknown" | "provider_error" | "provider_timeout", _) | (_, 502 | 504) => {
                Self::Provider(problem)
            }
            (_, 400..=499) => Self::Caller(problem),
            _ => Self::Vault(problem),
        }
    }
}

impl From<Transport> for Error {
    fn from(transport: Transport) -> Self {
        Self::Transport(transport)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (fault, problem) = match self {
            Self::Busy { problem, .. } => ("busy", problem),
            Self::Caller(problem) => ("refused", problem),
            Self::Owner { problem, .. } => ("the owner must connect again", problem),
            Self::Provider(problem) => ("the provider failed", problem),
            Self::Vault(problem) => ("the vault failed", problem),
            Self::Transport(transport) => return transport.fmt(f),
        };
        write!(f, "{fault}: {} ({}, request {})", problem.detail, problem.code, problem.request_id)
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(kind) => write!(f, "no daemon takes connections there: {kind}"),
            Self::Deadline => f.write_str("the deadline passed before the request could be sent"),
            Self::Handshake(Handshake::Failed) => f.write_str("no TLS 1.3 with whatever answers there"),
            Self::Handshake(Handshake::Refused) => {
                f.write_str("the daemon does not take the client certificate: unknown, expired or revoked")
            }
            Self::Handshake(Handshake::Unproven) => {
                f.write_str("what answers has no valid certificate of the configured CA for this name")
            }
            Self::Lost => f.write_str(
                "the connection ended before the answer: if this was a write, it may have been carried out",
            ),
            Self::Protocol(what) => write!(f, "the answer is not what the contract says: {what}"),
            Self::Silent => f.write_str(
                "no answer came within the deadline: if this was a write, it may have been carried out",
            ),
            Self::TooLarge(limit) => write!(f, "the answer is larger than {limit} bytes"),
        }
    }
}

impl std::error::Error for Error {}
impl std::error::Error for Transport {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Code;

    fn problem(code: &str, status: u16) -> Problem {
        Problem {
            kind: format!("urn:tokenkeep:problem:{code}"),
            title: String::new(),
            status,
            code: code.into(),
            detail: String::new(),
            request_id: String::new(),
            retry_after: Some(3),
            reason: Some("revoked".into()),
            since: None,
        }
    }

    #[test]
    fn every_code_has_one_whose_fault_it_is() {
        for &code in Code::ALL {
            let error = Error::from(problem(code.as_str(), code.status()));
            let fault = match code {
                Code::NeedsReauth => matches!(&error, Error::Owner { reason: Some(r), .. } if r == "revoked"),
                Code::OutcomeUnknown | Code::ProviderError | Code::ProviderTimeout => {
                    matches!(error, Error::Provider(_))
                }
                Code::RateLimited | Code::RefreshInProgress => {
                    matches!(error, Error::Busy { retry_after: Some(wait), .. } if wait.as_secs() == 3)
                }
                _ if code.status() < 500 => matches!(error, Error::Caller(_)),
                _ => matches!(error, Error::Vault(_)),
            };
            assert!(fault, "{code:?} became {error:?}");
        }
        assert!(matches!(Error::from(problem("of_tomorrow", 418)), Error::Caller(_)));
        assert!(matches!(Error::from(problem("of_tomorrow", 599)), Error::Vault(_)));
    }
}
