//! Who is told of events: one address, and the secret that what it is told is signed with.
//!
//! Never holds the secret: only the place where it is kept.

use crate::domain::provider::Address;
use crate::net::outbound::Roots;
use crate::os::held::Held;

/// Where events are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Where.
    pub address: Address,
    /// What it is signed with.
    pub secret: Held,
    /// Whose certificates are trusted there.
    pub roots: Roots,
}
