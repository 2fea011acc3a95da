//! What was sealed: a bare token, or a whole token set as OAuth libraries keep it.
//!
//! The hard problem: a JSON object taken for a token would be handed out as one. The answer: which of the two it is
//! is said by the admin, and a token that looks like an object is refused.
//!
//! Never keeps a plaintext in memory that is not wiped.

use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokenkeep_client::secret::{AccessToken, IdToken, RefreshToken};

use super::field::Field;
use super::wrong::Wrong;

/// The members of a token set that come in; each stands in [`TokenMembers`] too.
const MEMBERS: [&str; 8] = [
    "access_token",
    "refresh_token",
    "id_token",
    "token_type",
    "expires_in",
    "expires_at",
    "scope",
    "scopes",
];

/// A token set as it was sealed.
#[derive(Debug, Deserialize)]
pub struct TokenMembers {
    /// RFC 6749, section 5.1.
    pub access_token: AccessToken,
    /// Likewise.
    #[serde(default)]
    pub refresh_token: Option<RefreshToken>,
    /// OpenID Connect Core 1.0, section 3.1.3.3.
    #[serde(default)]
    pub id_token: Option<IdToken>,
    /// RFC 6749, section 7.1.
    #[serde(default)]
    pub token_type: Option<String>,
    /// Seconds from its issue.
    #[serde(default)]
    pub expires_in: Value,
    /// As Authlib adds it: Unix seconds.
    #[serde(default)]
    pub expires_at: Value,
    /// A text, or a list.
    #[serde(default)]
    pub scope: Value,
    /// Likewise.
    #[serde(default)]
    pub scopes: Value,
}

/// What becomes of members that nobody asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Others {
    /// They are left behind.
    Ignored,
    /// They are refused.
    Refused,
}

/// Reads a plaintext as one token.
///
/// # Errors
/// It is not text, or a JSON object.
pub fn token(plaintext: &[u8], field: Field) -> Result<String, Wrong> {
    let text = std::str::from_utf8(plaintext)
        .map_err(|_| Wrong::new("plaintext", format!("what is sealed in {} is not a text", field.word())))?;
    if text.starts_with('{') {
        return Err(Wrong::new(
            "plaintext",
            format!("what is sealed in {} is a JSON object: use --token-set-field", field.word()),
        ));
    }
    // Of its exact size, so that nothing is left behind where it becomes a secret.
    Ok(text.to_owned())
}

/// Reads a plaintext as a whole token set.
///
/// # Errors
/// It is not one, or has a member that nobody asked for.
pub fn token_set(plaintext: &[u8], others: Others) -> Result<TokenMembers, Wrong> {
    let unreadable = |_| {
        Wrong::new(
            "plaintext",
            "what is sealed in token_set is not a JSON object with an access_token and the like, each once",
        )
    };
    // Without this a list would be taken for the members in their order.
    if plaintext.trim_ascii_start().first() != Some(&b'{') {
        return Err(unreadable(()));
    }
    let set = serde_json::from_slice(plaintext).map_err(|_| unreadable(()))?;
    let Known(only) = serde_json::from_slice(plaintext).map_err(|_| unreadable(()))?;
    if !only && others == Others::Refused {
        return Err(Wrong::new(
            "unknown_field",
            "the token set has a member beside access_token, refresh_token, id_token, token_type, expires_in, \
             expires_at, scope and scopes; --ignore-other-fields leaves such behind",
        ));
    }
    Ok(set)
}

/// Whether there is anything in it; an empty text is nothing.
#[must_use]
pub fn is_given(value: &Value) -> bool {
    !value.is_null() && value.as_str() != Some("")
}

/// Whether an object has members of a token set only. Reads no value.
struct Known(bool);

impl<'de> Deserialize<'de> for Known {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Known;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Known, A::Error> {
                let mut only = true;
                while let Some(name) = map.next_key::<String>()? {
                    only &= MEMBERS.contains(&name.as_str());
                    map.next_value::<IgnoredAny>()?;
                }
                Ok(Known(only))
            }
        }
        deserializer.deserialize_map(Names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_set_of_authlib_is_read() {
        let text = br#"{"access_token":"at","refresh_token":"rt","token_type":"bearer","expires_in":3600,"expires_at":1795284000,"scope":"repo user"}"#;
        let set = token_set(text, Others::Refused).unwrap();
        assert_eq!(set.refresh_token, Some(RefreshToken::new("rt".into())));
        assert_eq!(set.expires_at, Value::from(1_795_284_000));
    }

    #[test]
    fn a_member_that_nobody_asked_for_is_not_lost_unseen() {
        let text = br#"{"access_token":"at","refreshToken":"rt"}"#;
        assert_eq!(token_set(text, Others::Refused).unwrap_err().code, "unknown_field");
        assert!(token_set(text, Others::Ignored).unwrap().refresh_token.is_none());
    }

    #[test]
    fn what_is_neither_a_token_nor_a_set_is_refused() {
        for bad in [
            &br#"["at"]"#[..],
            b"at",
            b"{}",
            br#"{"access_token":1}"#,
            br#"{"access_token":"a","access_token":"b"}"#,
        ] {
            assert_eq!(token_set(bad, Others::Ignored).unwrap_err().code, "plaintext");
        }
        for bad in [&b"{\"access_token\":\"at\"}"[..], b"\x80\x04"] {
            assert_eq!(token(bad, Field::AccessToken).unwrap_err().code, "plaintext");
        }
    }
}
