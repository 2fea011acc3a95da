//! The one way out: every connection that the daemon makes to another host is made here.
//!
//! Either way the same rules hold for addresses, and the same deadlines.
//!
//! Never a proxy, and never one way where the other was configured.

use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Instant;

use crate::net::connection::{self, ConnectionError};
use crate::net::destination::Destination;
use crate::net::egress;

/// How connections leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Door {
    /// From this process.
    Direct,
    /// By `tokenkeep-egress`, which listens there.
    Egress(PathBuf),
}

impl Door {
    /// A connection, before this moment. Blocks.
    ///
    /// # Errors
    /// See [`ConnectionError`].
    pub fn connect(&self, destination: &Destination, ends: Instant) -> Result<TcpStream, ConnectionError> {
        match self {
            Self::Direct => connection::connect(destination, ends),
            Self::Egress(socket) => egress::ask(socket, destination, ends),
        }
    }
}
