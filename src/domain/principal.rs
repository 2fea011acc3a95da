//! Who asks, and how it was proved.
//!
//! A principal is made where the proof is at hand (the socket, a task of the daemon) and nowhere else.

use std::fmt;

use crate::os::peer::Peer;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The configured client, `admin`, `task:NAME`, or `unknown`.
    pub name: String,
    /// How it was proved.
    pub proof: Proof,
}

/// How a principal was proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// The admin socket, by the kernel's word.
    Admin(Peer),
    /// A task of the daemon itself.
    Internal,
    /// The application socket, by the kernel's word.
    Unix(Peer),
}

impl Proof {
    /// The word for it in status and audit.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Admin(_) => "admin",
            Self::Internal => "internal",
            Self::Unix(_) => "unix",
        }
    }

    /// The peer, where there is one.
    #[must_use]
    pub fn peer(&self) -> Option<&Peer> {
        match self {
            Self::Admin(peer) | Self::Unix(peer) => Some(peer),
            Self::Internal => None,
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.proof.as_str())
    }
}
