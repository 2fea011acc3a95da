//! A token set as a provider issued it, on its way into the vault.
//!
//! Never written anywhere but by [`TokenSet::body`], into a buffer that is wiped.

use super::{Labels, to_body};
use crate::moment::Moment;
use crate::secret::{AccessToken, IdToken, RefreshToken};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// PUT of a connection: the token set that the provider issued.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", schemars(transform = crate::schema::one_form_each))]
pub struct TokenSet {
    /// RFC 6749, section 5.1.
    pub access_token: AccessToken,
    /// Left out: the one that is stored stays.
    #[serde(default)]
    pub refresh_token: Option<RefreshToken>,
    /// RFC 6749, section 7.1; `Bearer` where left out.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(regex(pattern = crate::schema::PRINTABLE), length(min = 1, max = crate::limits::TOKEN_TYPE)))]
    pub token_type: Option<String>,
    /// Seconds from now; a number, or a string of digits as some providers write it.
    #[serde(default, deserialize_with = "seconds")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::seconds"))]
    pub expires_in: Option<u64>,
    /// The end of the access token; not together with `expires_in`.
    #[serde(default)]
    pub expires_at: Option<Moment>,
    /// The scopes as the provider writes them; not together with `scopes`.
    #[serde(default)]
    pub scope: Option<Scope>,
    /// The scopes, one by one.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(max = crate::limits::SCOPES), inner(regex(pattern = crate::schema::UNSPACED), length(min = 1, max = crate::limits::SCOPE))))]
    pub scopes: Option<Vec<String>>,
    /// Kept sealed beside the tokens.
    #[serde(default)]
    pub id_token: Option<IdToken>,
    /// What the provider calls the account, so that two connections of one account are noticed. Kept as a keyed
    /// fingerprint. Left out: `iss` and `sub` of the ID token, where there is one.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = crate::limits::ACCOUNT), regex(pattern = crate::schema::PLAIN)))]
    pub account: Option<String>,
    /// Left out: the ones that are stored stay.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Labels>"))]
    pub labels: Option<Labels>,
    /// Records that the org consents to this connection, and what attests it: a document, a ticket, the version of a
    /// form. For providers that require it, nothing is served without.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = crate::limits::CONSENT), regex(pattern = crate::schema::PLAIN)))]
    pub consent: Option<String>,
}

/// Scopes as a provider writes them, at most 256 of 512 characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(inline))]
#[serde(untagged)]
pub enum Scope {
    /// With spaces between them (RFC 6749, section 3.3), or the `scope_separator` of the provider.
    Text(#[cfg_attr(feature = "schema", schemars(regex(pattern = crate::schema::SPACED)))] String),
    /// One by one, as some providers do.
    List(
        #[cfg_attr(feature = "schema", schemars(length(max = crate::limits::SCOPES), inner(regex(pattern = crate::schema::UNSPACED), length(min = 1, max = crate::limits::SCOPE))))]
         Vec<String>,
    ),
}

impl TokenSet {
    /// A token set of an access token alone; the other fields are public.
    #[must_use]
    pub fn new(access_token: AccessToken) -> Self {
        Self {
            access_token,
            refresh_token: None,
            token_type: None,
            expires_in: None,
            expires_at: None,
            scope: None,
            scopes: None,
            id_token: None,
            account: None,
            labels: None,
            consent: None,
        }
    }

    /// The JSON body of the PUT, in a buffer that is wiped when it goes.
    #[must_use]
    pub fn body(&self) -> Zeroizing<Vec<u8>> {
        #[derive(Serialize)]
        struct Exposed<'a> {
            access_token: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            refresh_token: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            token_type: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            expires_in: Option<u64>,
            #[serde(skip_serializing_if = "Option::is_none")]
            expires_at: Option<Moment>,
            #[serde(skip_serializing_if = "Option::is_none")]
            scope: Option<&'a Scope>,
            #[serde(skip_serializing_if = "Option::is_none")]
            scopes: Option<&'a [String]>,
            #[serde(skip_serializing_if = "Option::is_none")]
            id_token: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            account: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            labels: Option<&'a Labels>,
            #[serde(skip_serializing_if = "Option::is_none")]
            consent: Option<&'a str>,
        }
        // Field by field, so that none can be forgotten.
        let Self {
            access_token,
            refresh_token,
            token_type,
            expires_in,
            expires_at,
            scope,
            scopes,
            id_token,
            account,
            labels,
            consent,
        } = self;
        to_body(&Exposed {
            access_token: access_token.expose(),
            refresh_token: refresh_token.as_ref().map(RefreshToken::expose),
            token_type: token_type.as_deref(),
            expires_in: *expires_in,
            expires_at: *expires_at,
            scope: scope.as_ref(),
            scopes: scopes.as_deref(),
            id_token: id_token.as_ref().map(IdToken::expose),
            account: account.as_deref(),
            labels: labels.as_ref(),
            consent: consent.as_deref(),
        })
    }
}

fn seconds<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<u64>, D::Error> {
    struct Visitor;
    impl<'de> serde::de::Visitor<'de> for Visitor {
        type Value = Option<u64>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("seconds")
        }
        fn visit_u64<E>(self, n: u64) -> Result<Self::Value, E> {
            Ok(Some(n))
        }
        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
            if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
                return Err(E::custom("seconds are digits"));
            }
            text.parse().map(Some).map_err(|_| E::custom("too many seconds"))
        }
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
        fn visit_none<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
        fn visit_some<D: serde::Deserializer<'de>>(self, d: D) -> Result<Self::Value, D::Error> {
            d.deserialize_any(self)
        }
    }
    d.deserialize_option(Visitor)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two of the fields go together with no other, which is the daemon's to say.
    #[test]
    fn every_field_is_in_the_body() {
        let all = r#"{"access_token":"at \"1\"","refresh_token":"rt","token_type":"Bearer","expires_in":3600,"expires_at":"2026-11-23T18:00:00Z","scope":"a b","scopes":["a","b"],"id_token":"it","account":"u1","labels":{"of":"us"},"consent":"form 3"}"#;
        let set: TokenSet = serde_json::from_str(all).expect("reads");
        assert_eq!(std::str::from_utf8(&set.body()).expect("JSON"), all);
        assert_eq!(&TokenSet::new(AccessToken::new("at".into())).body()[..], br#"{"access_token":"at"}"#);
    }

    #[test]
    fn scope_may_be_a_list() {
        let listed = r#"{"access_token":"at","scope":["a","b"]}"#;
        let set: TokenSet = serde_json::from_str(listed).expect("reads");
        assert_eq!(set.scope, Some(Scope::List(vec!["a".into(), "b".into()])));
        assert_eq!(std::str::from_utf8(&set.body()).expect("JSON"), listed);
        assert!(serde_json::from_str::<TokenSet>(r#"{"access_token":"at","scope":{"a":1}}"#).is_err());
    }

    #[test]
    fn expires_in_may_be_a_string_of_digits_and_a_misspelt_field_is_refused() {
        let read = |text: &str| serde_json::from_str::<TokenSet>(text);
        assert_eq!(read(r#"{"access_token":"a","expires_in":"60"}"#).expect("reads").expires_in, Some(60));
        assert!(read(r#"{"access_token":"a","expires_in":"-1"}"#).is_err());
        assert!(read(r#"{"access_token":"a","refreshToken":"b"}"#).is_err());
    }
}
