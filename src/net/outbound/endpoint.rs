//! An endpoint: `https://host[:port][/path]`, and where plain `http` is let through at all.
//!
//! Never with user, password, query or fragment: what would have to be kept secret has no place in an address.

use std::fmt;
use std::net::IpAddr;

use crate::net::destination::{Destination, split};

/// A host to ask, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    tls: bool,
    destination: Destination,
    base: String,
}

impl Endpoint {
    /// Parses an address. The path, if any, is put before that of each request.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (tls, rest) = match text.strip_prefix("https://") {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix("http://")?),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = split(authority)?;
        let port = port.map_or(Some(if tls { 443 } else { 80 }), |port| port.parse().ok())?;
        let destination = Destination::new(host, port)?;
        let base = path.trim_end_matches('/').to_owned();
        path.bytes().all(is_path).then_some(Self { tls, destination, base })
    }

    /// Whether what is sent there is encrypted.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Whether nothing sent there leaves this host, whatever a resolver says: an address of it, or its own name.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.destination.address().is_some_and(|address| address.is_loopback())
    }

    /// The host, if it is an address, or this host, and no name that is resolved.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.destination.address()
    }

    /// The host; an IPv6 address without its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.destination.host()
    }

    /// Where to connect.
    #[must_use]
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.destination.port()
    }

    /// What stands before the path of a request.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The `Host` header: the port stands there only where it is not the usual one.
    #[must_use]
    pub fn authority(&self) -> String {
        match (self.tls, self.destination.port(), self.host()) {
            (true, 443, host) | (false, 80, host) if host.contains(':') => format!("[{host}]"),
            (true, 443, host) | (false, 80, host) => host.to_owned(),
            _ => self.destination.to_string(),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.base)
    }
}

/// RFC 3986, section 3.3: `pchar` and `/`.
fn is_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/%".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_whole_or_not_at_all() {
        let shown = |text: &str| Endpoint::parse(text).map(|endpoint| endpoint.to_string());
        for (text, meant) in [
            ("https://Bao.example", "https://bao.example"),
            ("https://bao.example:8200/", "https://bao.example:8200"),
            ("https://bao.example:443/v", "https://bao.example/v"),
            ("http://[::1]:80/x/", "http://[::1]/x"),
            ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ] {
            assert_eq!(shown(text).as_deref(), Some(meant));
        }
        for text in [
            "",
            "bao.example",
            "ftp://a",
            "https://",
            "https://:1",
            "https://a:0",
            "https://a:x",
            "https://a:70000",
            "https://user:word@a",
            "https://a?x=1",
            "https://a#b",
            "https://a/?x",
            "https://a b",
            "https://[1]/",
            "https://a..b",
            "https://0x7f.1",
            "https://2130706433",
            "https://a\r\nHost: b",
            "https://[::1]x",
        ] {
            assert_eq!(shown(text), None, "{text:?}");
        }
    }

    #[test]
    fn loopback_is_what_cannot_leave_the_host() {
        let is = |text: &str| Endpoint::parse(text).unwrap().is_loopback();
        assert!(is("http://localhost:1") && is("http://127.3.2.1") && is("http://[::1]:9"));
        assert!(!is("http://localhost.example") && !is("http://169.254.169.254") && !is("http://[::2]"));
    }
}
