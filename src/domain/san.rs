//! The name in a client certificate that stands for a configured client.
//!
//! Two names are the same if their bytes are: a URI is not normalised, a DNS name is lower case here, and a wildcard
//! is nobody's name.

use std::fmt;

/// Longest URI: that of a SPIFFE id (SPIFFE-ID, section 2.3).
const LONGEST_URI: usize = 2048;
/// RFC 1035, section 2.3.4.
const LONGEST_DNS: usize = 253;

/// A subject alternative name (RFC 5280, section 4.2.1.6).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum San {
    /// A host.
    Dns(String),
    /// A URI; SPIFFE ids are ones.
    Uri(String),
}

impl San {
    /// The name as it is configured: a URI where it has a scheme, a DNS name otherwise.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.contains(':') { Self::uri(text) } else { Self::dns(text).filter(|_| !text.contains('*')) }
    }

    /// A URI, as it stands in a certificate.
    #[must_use]
    pub fn uri(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once(':')?;
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_lowercase())
            && scheme.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b));
        let is_printed =
            !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&b));
        let is_fine = is_scheme && is_printed && (scheme != "spiffe" || is_spiffe(rest));
        (is_fine && text.len() <= LONGEST_URI).then(|| Self::Uri(text.to_owned()))
    }

    /// A DNS name, as it stands in a certificate.
    #[must_use]
    pub fn dns(text: &str) -> Option<Self> {
        let is_label = |label: &str| {
            let valid = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
            (1..=63).contains(&label.len()) && (label == "*" || label.bytes().all(valid))
        };
        (text.len() <= LONGEST_DNS && text.split('.').all(is_label))
            .then(|| Self::Dns(text.to_ascii_lowercase()))
    }

    /// As it stands in the configuration and in the audit log.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Dns(text) | Self::Uri(text) => text,
        }
    }
}

impl fmt::Display for San {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `//trust-domain/path` (SPIFFE-ID, sections 2.1 and 2.2).
fn is_spiffe(rest: &str) -> bool {
    let Some((domain, path)) = rest.strip_prefix("//").map(|rest| rest.split_once('/').unwrap_or((rest, "")))
    else {
        return false;
    };
    let of_domain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-_".contains(&b);
    let of_path = |b: u8| b.is_ascii_alphanumeric() || b".-_".contains(&b);
    let is_segment = |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(of_path);
    !domain.is_empty()
        && domain.len() <= 255
        && domain.bytes().all(of_domain)
        && !rest.ends_with('/')
        && (path.is_empty() || path.split('/').all(is_segment))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_both_kinds_are_read() {
        for (text, is_uri) in [
            ("spiffe://example/web", true),
            ("spiffe://example.org/ns/prod/sa/web_1", true),
            ("spiffe://example", true),
            ("urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6", true),
            ("https://web.example/id?x=1", true),
            ("web.example", false),
            ("WEB-1.example", false),
        ] {
            let san = San::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(matches!(san, San::Uri(_)), is_uri, "{text}");
            assert_eq!(san.as_str(), if is_uri { text.to_owned() } else { text.to_lowercase() });
        }
    }

    #[test]
    fn others_are_none() {
        for text in [
            "",
            "*.example",
            "a..b",
            "web.example.",
            "with blank",
            "spiffe:example/web",
            "spiffe://",
            "spiffe:///web",
            "spiffe://Example/web",
            "spiffe://example/",
            "spiffe://example/a//b",
            "spiffe://example/../b",
            "spiffe://example/a%2fb",
            "spiffe://user@example/a",
            "spiffe://example:1/a",
            "SPIFFE://example/web",
            "urn:",
            ":x",
            "urn:with blank",
            "urn:\u{e9}",
            "urn:\"",
        ] {
            assert_eq!(San::parse(text), None, "{text}");
        }
        assert_eq!(San::parse(&format!("urn:{}", "x".repeat(LONGEST_URI))), None);
        assert_eq!(San::parse(&format!("{}example", "x.".repeat(130))), None);
    }

    /// A certificate may hold one; it is shown, and matches nobody.
    #[test]
    fn a_wildcard_is_read_from_a_certificate_alone() {
        assert_eq!(San::dns("*.example"), Some(San::Dns("*.example".into())));
    }
}
