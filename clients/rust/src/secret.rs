//! A type per secret, one exit each: `expose`.
//!
//! Wiped on drop; no text in `Debug`; not `Clone`, not `Serialize`; compared in constant time.
//!
//! Never printed, never copied by accident.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use std::fmt;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

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

            /// Another one, wiped by itself. Said, so that none is made by accident.
            #[must_use]
            pub fn copy(&self) -> Self {
                Self::new(self.expose().to_owned())
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
    /// A code that a person's consent gave (RFC 6749, section 1.3.1).
    AuthorizationCode
);
secret!(
    /// An OpenID Connect ID token (OpenID Connect Core 1.0, section 2).
    IdToken
);
secret!(
    /// Any other sealed value of an org: an API key, a webhook secret, a signing key.
    SecretValue
);

secret!(
    /// A short-lived right, bound to one org and one principal.
    Pass
);

/// Bytes that an application has encrypted, or wants encrypted. On the wire they are base64 (RFC 4648,
/// section 4, padded).
pub struct Plaintext(WipedBytes);

impl Plaintext {
    /// Takes the bytes over; they are wiped when this value goes.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(WipedBytes::from(bytes))
    }

    /// The one way out. Whoever calls this owns the leak.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Reads base64 into one buffer of the right size.
    fn from_base64(text: &str) -> Option<Self> {
        // The encoder's own estimate: never too little.
        let mut bytes = WipedBytes::from(vec![0; base64::decoded_len_estimate(text.len())]);
        let length = STANDARD.decode_slice(text, &mut bytes).ok()?;
        bytes.truncate(length);
        Some(Self(bytes))
    }

    /// As base64, in a buffer of the right size that is wiped.
    pub(crate) fn to_base64(&self) -> Zeroizing<String> {
        let length = base64::encoded_len(self.0.len(), true).unwrap_or_default();
        // Not `encode_string`: it goes through a buffer on the stack that nobody wipes.
        let mut text = vec![0; length];
        let written = STANDARD.encode_slice(self.expose(), &mut text);
        debug_assert_eq!(written.ok(), Some(length), "the length was asked for");
        // Base64 is ASCII: the buffer becomes the text, not a copy of it.
        Zeroizing::new(String::from_utf8(text).unwrap_or_default())
    }
}

impl From<WipedBytes> for Plaintext {
    fn from(bytes: WipedBytes) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plaintext(..)")
    }
}

impl PartialEq for Plaintext {
    fn eq(&self, other: &Self) -> bool {
        self.expose().ct_eq(other.expose()).into()
    }
}

impl Eq for Plaintext {}

impl<'de> serde::Deserialize<'de> for Plaintext {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Plaintext;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("base64")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Plaintext, E> {
                Plaintext::from_base64(text).ok_or_else(|| E::custom("a plaintext is base64, padded"))
            }
        }
        d.deserialize_str(Visitor)
    }
}

/// Bytes that are wiped when they go: all that they had room for, in one sweep (`Zeroizing<Vec<u8>>` writes byte
/// by byte, which shows on the path of every read). Whoever lets it grow leaves a copy behind: give it its room first.
#[derive(Default)]
pub struct WipedBytes(Vec<u8>);

impl WipedBytes {
    /// Empty, with room for so many.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }
}

impl From<Vec<u8>> for WipedBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl WipedBytes {
    /// Writes zeros over all the room there is, and leaves them there.
    fn wipe(&mut self) {
        let room = self.0.capacity();
        self.0.clear();
        self.0.resize(room, 0);
        zeroize::optimization_barrier(&self.0[..]);
    }
}

impl Drop for WipedBytes {
    fn drop(&mut self) {
        self.wipe();
    }
}

impl std::ops::Deref for WipedBytes {
    type Target = Vec<u8>;
    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl std::ops::DerefMut for WipedBytes {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl AsRef<[u8]> for WipedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for WipedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WipedBytes(..)")
    }
}

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

    #[test]
    fn a_plaintext_reads_base64_as_the_rfc_has_it_and_nothing_else() {
        // RFC 4648, section 10.
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            let plaintext = Plaintext::from_base64(text).expect("base64");
            assert_eq!(plaintext.expose(), bytes.as_bytes());
            assert_eq!(&*plaintext.to_base64(), text);
        }
        for wrong in ["Zg", "Zh==", "Zg==\n", "Z-__", "=", "Zg==Zg=="] {
            assert!(Plaintext::from_base64(wrong).is_none(), "{wrong}");
        }
        assert_eq!(format!("{:?}", Plaintext::new(b"canary".to_vec())), "Plaintext(..)");
    }

    #[test]
    fn wiping_writes_over_all_the_room_there_was() {
        let mut bytes = WipedBytes::with_capacity(64);
        bytes.extend_from_slice(b"canary canary canary");
        bytes.truncate(3);
        let (room, place) = (bytes.capacity(), bytes.as_ptr());
        bytes.wipe();
        assert!(bytes.iter().all(|byte| *byte == 0));
        assert_eq!((bytes.len(), bytes.as_ptr()), (room, place), "the same buffer, to its end");
    }
}
