//! Where a token may go: scheme, host and port (RFC 6454, section 4).
//!
//! Never plain HTTP, but to this host itself.

use hyper::http::Uri;
use std::fmt;
use std::net::IpAddr;

/// The one API that a token is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    is_https: bool,
    host: String,
    port: u16,
}

/// Why a text is no origin that a token may go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAnOrigin;

impl fmt::Display for NotAnOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "an origin is https://HOST, with :PORT where it is not 443, and http only to a loopback address",
        )
    }
}

impl std::error::Error for NotAnOrigin {}

impl Origin {
    /// Parses `https://api.example.com`. Plain HTTP shows a token to every hop, so it is for a loopback address
    /// alone: `http://127.0.0.1:8080`.
    ///
    /// # Errors
    /// It is something else, or has a path.
    pub fn parse(text: &str) -> Result<Self, NotAnOrigin> {
        let uri: Uri = text.parse().map_err(|_| NotAnOrigin)?;
        let origin = Self::of(&uri).ok_or(NotAnOrigin)?;
        let is_bare = uri.path() == "/" && uri.query().is_none() && !text.contains('@');
        let is_safe = origin.is_https || origin.is_loopback();
        (is_bare && is_safe).then_some(origin).ok_or(NotAnOrigin)
    }

    /// Whether a request to this URI goes there. One without a host goes nowhere that is known.
    pub(super) fn is_of(&self, uri: &Uri) -> bool {
        Self::of(uri).is_some_and(|origin| origin == *self)
    }

    fn of(uri: &Uri) -> Option<Self> {
        let is_https = match uri.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let host = uri.host()?.to_ascii_lowercase();
        let port = match uri.port() {
            Some(port) => port.as_u16(),
            None if is_https => 443,
            None => 80,
        };
        Some(Self { is_https, host, port })
    }

    fn is_loopback(&self) -> bool {
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_a_host_and_a_port() {
        let api = Origin::parse("https://API.example.com").expect("an origin");
        for same in
            ["https://api.example.com/a?b=c", "https://api.example.com:443/", "HTTPS://api.EXAMPLE.com/x"]
        {
            assert!(api.is_of(&same.parse().expect("a URI")), "{same}");
        }
        for other in [
            "http://api.example.com/",
            "https://api.example.com:8443/",
            "https://api.example.com.evil.test/",
            "https://example.com/",
            "https://evil.test/api.example.com",
            "https://api.example.com@evil.test/",
            "/a",
        ] {
            assert!(!api.is_of(&other.parse().expect("a URI")), "{other}");
        }
    }

    #[test]
    fn plain_http_is_for_this_host_alone() {
        for fine in ["http://127.0.0.1:8080", "http://[::1]:8080", "https://api.example.com:8443/"] {
            assert!(Origin::parse(fine).is_ok(), "{fine}");
        }
        for wrong in [
            "http://api.example.com",
            "http://localhost:8080",
            "http://127.0.0.1.evil.test",
            "https://api.example.com/v1",
            "https://api.example.com/?a",
            "https://me@api.example.com",
            "ftp://api.example.com",
            "api.example.com",
            "/",
            "",
        ] {
            assert_eq!(Origin::parse(wrong), Err(NotAnOrigin), "{wrong}");
        }
    }
}
