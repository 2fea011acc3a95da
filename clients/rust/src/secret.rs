//! A type per secret, one exit each: `expose`.
//!
//! Wiped on drop; no text in `Debug`; not `Clone`, not `Serialize`; compared in constant time.
//!
//! Never printed, never copied by accident.

use secrecy::{ExposeSecret, SecretString};
use std::fmt;
use subtle::ConstantTimeEq;

macro_rules! secret {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        pub struct $name(SecretString);

        impl $name {
            /// Takes the text over; it is wiped when this value goes.
            #[must_use]
            pub fn new(text: String) -> Self {
                Self(SecretString::from(text))
            }

            /// The one way out. Whoever calls this owns the leak.
            #[must_use]
            pub fn expose(&self) -> &str {
                self.0.expose_secret()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.expose().as_bytes().ct_eq(other.expose().as_bytes()).into()
            }
        }

        impl Eq for $name {}

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                String::deserialize(d).map(Self::new)
            }
        }
    };
}

secret!(
    /// An OAuth access token (RFC 6749, section 1.4).
    AccessToken
);
secret!(
    /// An OAuth refresh token (RFC 6749, section 1.5).
    RefreshToken
);
secret!(
    /// An OpenID Connect ID token (OpenID Connect Core 1.0, section 2).
    IdToken
);
secret!(
    /// Any other sealed value of an org: an API key, a webhook secret, a signing key.
    SecretValue
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_text_and_equality_compares_it() {
        let token = AccessToken::new("ya29.canary".into());
        assert_eq!(format!("{token:?}"), "AccessToken(..)");
        assert_eq!(token, AccessToken::new("ya29.canary".into()));
        assert_ne!(token, AccessToken::new("ya29.canarz".into()));
    }
}
