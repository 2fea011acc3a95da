//! An endpoint: `https://host[:port][/path]`, and where plain `http` is let through at all.
//!
//! Never with user, password, query or fragment: what would have to be kept secret has no place in an address.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A host to ask, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    tls: bool,
    host: String,
    port: u16,
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
        let (host, port) = split_authority(authority)?;
        let port =
            port.map_or(Some(if tls { 443 } else { 80 }), |port| port.parse().ok().filter(|&p| p > 0))?;
        (is_host(host) && path.bytes().all(is_path)).then(|| Self {
            tls,
            host: host.to_ascii_lowercase(),
            port,
            base: path.trim_end_matches('/').to_owned(),
        })
    }

    /// Whether what is sent there is encrypted.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Whether nothing sent there leaves this host, whatever a resolver says: an address of it, or its own name.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.address().is_some_and(|address| address.is_loopback())
    }

    /// The host, if it is an address and no name.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// The host; an IPv6 address without its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Where to connect. The name of this host is not asked of a resolver (RFC 6761, section 6.3).
    pub(super) fn place(&self) -> (&str, u16) {
        (if self.host == "localhost" { "127.0.0.1" } else { &self.host }, self.port)
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What stands before the path of a request.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The `Host` header: the port stands there only where it is not the usual one.
    #[must_use]
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match (self.tls, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.base)
    }
}

fn split_authority(authority: &str) -> Option<(&str, Option<&str>)> {
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
