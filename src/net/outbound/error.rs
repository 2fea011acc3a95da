//! Why there is no answer: one line each, and whether waiting may help.
//!
//! Never a byte of what was sent or received.

use std::fmt;

use crate::net::connection::ConnectionError;
/// What is done once the request is on its way.
pub(super) const TO_ANSWER: &str = "to answer";

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutboundError {
    /// It took too long; what was being done.
    Deadline(&'static str),
    /// This host could not do its part.
    Host(String),
    /// What came is not HTTP, or ended in the middle.
    NotHttp,
    /// The file of certificate authorities is of no use.
    Roots(String),
    /// The handshake failed otherwise than by distrust.
    Tls(String),
    /// The answer is larger than so many bytes.
    TooLarge(usize),
    /// There is no connection.
    Unconnected(ConnectionError),
    /// The certificate does not hold now: why, in words. At boot the clock may still be wrong.
    Untimely(&'static str),
    /// The certificate is not one to trust: why, in words.
    Untrusted(&'static str),
}

impl OutboundError {
    /// Whether the request may have reached the other side, and may have been done there.
    #[must_use]
    pub fn may_have_been_sent(&self) -> bool {
        match self {
            Self::Deadline(step) => *step == TO_ANSWER,
            Self::NotHttp | Self::TooLarge(_) => true,
            Self::Host(_)
            | Self::Roots(_)
            | Self::Tls(_)
            | Self::Unconnected(_)
            | Self::Untimely(_)
            | Self::Untrusted(_) => false,
        }
    }

    /// Whether waiting may help.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Deadline(_) | Self::Host(_) | Self::NotHttp | Self::Tls(_) | Self::Untimely(_) => true,
            Self::Unconnected(ConnectionError::Forbidden | ConnectionError::Impostor(_))
            | Self::Roots(_)
            | Self::TooLarge(_)
            | Self::Untrusted(_) => false,
            Self::Unconnected(_) => true,
        }
    }

    /// Whether whoever answered, or would have, is not who was meant.
    #[must_use]
    pub fn is_unsafe(&self) -> bool {
        match self {
            Self::Unconnected(why) => {
                matches!(why, ConnectionError::Forbidden | ConnectionError::Impostor(_))
            }
            why => matches!(why, Self::Untrusted(_)),
        }
    }

    /// In one word, for the audit log.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Deadline(_)
            | Self::Unconnected(ConnectionError::ConnectDeadline | ConnectionError::ResolveDeadline) => {
                "outbound_deadline"
            }
            Self::Host(_) | Self::Roots(_) => "outbound_not_possible",
            Self::NotHttp | Self::TooLarge(_) => "outbound_no_answer",
            Self::Tls(_) => "outbound_tls",
            Self::Unconnected(ConnectionError::Busy | ConnectionError::Egress(_)) => "outbound_egress",
            Self::Unconnected(ConnectionError::Forbidden) => "outbound_forbidden_address",
            Self::Unconnected(ConnectionError::Impostor(_)) => "outbound_impostor",
            Self::Unconnected(ConnectionError::NotNamed) => "outbound_not_named",
            Self::Unconnected(ConnectionError::Refused | ConnectionError::Unreachable) => {
                "outbound_unreachable"
            }
            Self::Unconnected(ConnectionError::Unresolved) => "outbound_unresolved",
            Self::Untimely(_) | Self::Untrusted(_) => "outbound_untrusted",
        }
    }
}

impl fmt::Display for OutboundError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deadline(step) => write!(f, "took too long {step}"),
            Self::Host(why) => write!(f, "could not be asked: {why}"),
            Self::NotHttp => f.write_str("did not answer in HTTP, or broke off"),
            Self::Roots(why) => write!(f, "cannot be verified: {why}"),
            Self::Tls(why) => write!(f, "ended the TLS handshake: {why}"),
            Self::TooLarge(most) => write!(f, "answered more than {most} bytes"),
            Self::Unconnected(why) => write!(f, "cannot be reached: {why}"),
            Self::Untimely(why) | Self::Untrusted(why) => write!(f, "is not trusted: {why}"),
        }
    }
}

impl std::error::Error for OutboundError {}
