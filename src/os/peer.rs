//! Who is at the other end of a Unix socket, by the kernel's word.

/// The process that connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Effective user when it connected (unix(7), `SO_PEERCRED`).
    pub uid: u32,
    /// Effective group when it connected.
    pub gid: u32,
    /// Process when it connected.
    pub pid: u32,
    /// The systemd unit of that process, where it runs in one (systemd.unit(5)).
    pub unit: Option<String>,
}
