//! The `Authorization` field: taken out of the request before anything else sees it.
//!
//! One field, one scheme, one token (RFC 9110, section 11.6.2; RFC 6750, section 2.1). Two fields are refused and not
//! joined: what one reader takes for the first, another takes for the last.
//!
//! Never says what stood there.

use hyper::header::{AUTHORIZATION, Entry, HeaderMap};
use tokenkeep_client::secret::WipedBytes;

use crate::vault::passes::Shown;

const SCHEME: &[u8] = b"Bearer ";

/// What a request brought along.
#[derive(Debug)]
pub(super) enum Brought {
    /// Something else than one `Bearer` with one token.
    Malformed,
    /// Perhaps a pass.
    Token(WipedBytes),
}

impl Brought {
    /// Takes it out of the request; none where there is nothing.
    pub(super) fn take(headers: &mut HeaderMap) -> Option<Self> {
        let Entry::Occupied(field) = headers.entry(AUTHORIZATION) else { return None };
        let (_, mut values) = field.remove_entry_mult();
        Some(match (values.next(), values.next()) {
            (Some(value), None) => Self::parse(value.as_bytes()),
            _ => Self::Malformed,
        })
    }

    fn parse(value: &[u8]) -> Self {
        match value.split_at_checked(SCHEME.len()) {
            // A scheme's name knows no case (RFC 9110, section 11.1).
            Some((scheme, token)) if scheme.eq_ignore_ascii_case(SCHEME) && is_token(token) => {
                Self::Token(WipedBytes::from(token.to_vec()))
            }
            _ => Self::Malformed,
        }
    }

    pub(super) fn shown(&self) -> Shown<'_> {
        match self {
            Self::Malformed => Shown::Malformed,
            Self::Token(token) => Shown::Token(token),
        }
    }
}

/// RFC 6750, section 2.1: `b64token`.
fn is_token(bytes: &[u8]) -> bool {
    let padding = bytes.iter().rev().take_while(|byte| **byte == b'=').count();
    let digits = &bytes[..bytes.len() - padding];
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(byte);
    !digits.is_empty() && digits.iter().all(is_digit)
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn taken(values: &[&'static str]) -> Option<Vec<u8>> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_static(value));
        }
        let brought = Brought::take(&mut headers);
        assert!(!headers.contains_key(AUTHORIZATION));
        brought.map(|brought| match brought {
            Brought::Malformed => b"malformed".to_vec(),
            Brought::Token(token) => token.to_vec(),
        })
    }

    #[test]
    fn one_bearer_with_one_token_is_taken_and_nothing_else() {
        assert_eq!(taken(&[]), None);
        for good in ["Bearer gAAA-_==", "bearer gAAA-_==", "BEARER gAAA-_=="] {
            assert_eq!(taken(&[good]), Some(b"gAAA-_==".to_vec()), "{good}");
        }
        for bad in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer  a",
            "Bearer a b",
            "Bearer a,b",
            "Bearer =",
            "Bearer a=b",
            "Basic YTpi",
            "gAAA",
            "Bearer a, Bearer b",
            "Bearergaaa",
        ] {
            assert_eq!(taken(&[bad]), Some(b"malformed".to_vec()), "{bad}");
        }
        assert_eq!(taken(&["Bearer a", "Bearer a"]), Some(b"malformed".to_vec()));
        assert_eq!(taken(&["Bearer a", "Basic b", "x"]), Some(b"malformed".to_vec()));
    }
}
