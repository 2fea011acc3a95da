//! Who asks, and how it was proved.
//!
//! A principal is made where the proof is at hand (the socket, a task of the daemon) and nowhere else.

use std::fmt;

use super::san::San;
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
    /// The mTLS listener, by a client certificate.
    Mtls(Remote),
    /// The application socket, by the kernel's word.
    Unix(Peer),
}

/// A caller on another host, or on this one by way of its network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// Address and port that it called from; proves nothing.
    pub address: String,
    /// The name in its certificate: the one that is configured; else the first there is. None where no trusted CA
    /// has signed one.
    pub san: Option<San>,
    /// The serial number of that certificate, lower-case hex.
    pub serial: Option<String>,
}

impl Proof {
    /// The word for it in status and audit.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Admin(_) => "admin",
            Self::Internal => "internal",
            Self::Mtls(_) => "mtls",
            Self::Unix(_) => "unix",
        }
    }

    /// The peer, where there is one.
    #[must_use]
    pub fn peer(&self) -> Option<&Peer> {
        match self {
            Self::Admin(peer) | Self::Unix(peer) => Some(peer),
            Self::Internal | Self::Mtls(_) => None,
        }
    }

    /// The remote caller, where it is one.
    #[must_use]
    pub fn remote(&self) -> Option<&Remote> {
        match self {
            Self::Mtls(remote) => Some(remote),
            Self::Admin(_) | Self::Internal | Self::Unix(_) => None,
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.proof.as_str())
    }
}
