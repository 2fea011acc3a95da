//! A destination: the host and the port that a connection goes to.
//!
//! Knows no scheme, no path and no user. What stands in it is plain enough for a line of text.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Destination {
    host: String,
    port: u16,
}

impl Destination {
    /// Longest text of one: a name of 253 characters, a colon and five digits.
    pub const LONGEST: usize = 259;

    /// Parses `host:port`; an IPv6 address stands in brackets.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = split(text)?;
        Self::new(host, port?.parse().ok()?)
    }

    /// The host, without brackets, and the port.
    #[must_use]
    pub fn new(host: &str, port: u16) -> Option<Self> {
        (port > 0 && is_host(host)).then(|| Self { host: host.to_ascii_lowercase(), port })
    }

    /// The host; an IPv6 address without its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The host, if it is an address and no name. The name of this host is one that is asked of nobody (RFC 6761,
    /// section 6.3).
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        if self.host == "localhost" { Some(Ipv4Addr::LOCALHOST.into()) } else { self.host.parse().ok() }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// Host and port of `host`, `host:port`, `[address]` or `[address]:port`.
pub(super) fn split(authority: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        host.parse::<Ipv6Addr>().ok()?;
        return match port {
            "" => Some((host, None)),
            port => Some((host, Some(port.strip_prefix(':')?))),
        };
    }
    match authority.split_once(':') {
        None => Some((authority, None)),
        Some((host, port)) => Some((host, Some(port))),
    }
}

/// A name, an IPv4 address or an IPv6 address.
fn is_host(host: &str) -> bool {
    if host.parse::<Ipv6Addr>().is_ok() || host.parse::<Ipv4Addr>().is_ok() {
        return true;
    }
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    // What ends in a number is an address to some resolvers (0x7f.1, 2130706433), and none to others.
    let ends_in_number =
        host.rsplit('.').next().is_some_and(|last| last.as_bytes().first().is_some_and(u8::is_ascii_digit));
    host.len() <= 253 && !ends_in_number && host.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_read_as_it_is_written_or_not_at_all() {
        for (text, shown) in [
            ("Bao.Example:8200", "bao.example:8200"),
            ("10.0.0.5:443", "10.0.0.5:443"),
            ("[FD00::1]:443", "[fd00::1]:443"),
        ] {
            let parsed = Destination::parse(text).unwrap();
            assert_eq!(parsed.to_string(), shown);
            assert_eq!(Destination::parse(shown), Some(parsed));
            assert!(shown.len() <= Destination::LONGEST);
        }
        for text in [
            "", "a", "a:", "a:0", "a:65536", "a:-1", ":1", "a b:1", "a/b:1", "u@a:1", "::1:1", "[a]:1",
            "0x7f.1:1",
        ] {
            assert_eq!(Destination::parse(text), None, "{text:?}");
        }
    }
}
