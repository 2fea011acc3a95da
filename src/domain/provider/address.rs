//! An address of a provider: a host, and what is asked there, a query included (RFC 6749, sections 3.1 and 3.2).
//!
//! Never with user, password or fragment.

use std::fmt;

use crate::net::outbound::Endpoint;

/// `https://host[:port]/path[?query]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    host: Endpoint,
    target: String,
}

impl Address {
    /// Parses an address.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let authority = text.find("://")? + 3;
        let path = text[authority..].find(['/', '?']).map_or(text.len(), |at| authority + at);
        let (host, target) = text.split_at(path);
        let visible =
            |b: u8| b.is_ascii_graphic() && !matches!(b, b'#' | b'"' | b'<' | b'>' | b'\\' | b'{' | b'}');
        if !target.bytes().all(visible) {
            return None;
        }
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        Some(Self { host: Endpoint::parse(host)?, target })
    }

    /// Whom to ask.
    #[must_use]
    pub fn host(&self) -> &Endpoint {
        &self.host
    }

    /// The path, with the query if there is one; begins with `/`.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.host, self.target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_what_is_asked_there() {
        let read = |text: &str| Address::parse(text).map(|address| address.to_string());
        for text in [
            "https://github.com/login/oauth/access_token",
            "https://a.example/token/",
            "https://a.example:8443/token?p=b2c_1",
            "http://127.0.0.1:4000/token",
        ] {
            assert_eq!(read(text).as_deref(), Some(text));
        }
        assert_eq!(read("https://A.example").as_deref(), Some("https://a.example/"));
        assert_eq!(read("https://a.example?x=1").as_deref(), Some("https://a.example/?x=1"));
        for text in [
            "",
            "a.example/token",
            "https://u:p@a.example/",
            "https://a/#f",
            "https://a/b c",
            "https://a/{t}",
        ] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }
}
