//! Fernet keys: their text, their id, and the key made ready for use.
//!
//! The hard problem: the crate `fernet` takes any number of `=` and stray bits for the same key. The answer:
//! canonical form is demanded before the crate sees the text, so that one key has one text and one id.
//!
//! The only module, beside `seal`, that touches the crate `fernet`.

use std::fmt;

use fernet::Fernet;
use zeroize::Zeroizing;

use super::mac::MacKey;

/// Length of the text of a key: 32 bytes in URL-safe base64 with padding (Fernet spec, "Key Format").
pub const KEY_TEXT_LENGTH: usize = 44;

/// Labels the ids, so that an id is no use for anything else. 32 bytes.
const ID_LABEL: &[u8; 32] = b"tokenkeep key id, version 1\0\0\0\0\0";

/// The text of a Fernet key, in canonical form. Wiped on drop.
pub struct KeyText(Zeroizing<[u8; KEY_TEXT_LENGTH]>);

impl KeyText {
    /// A new random key.
    #[must_use]
    pub fn generate() -> Self {
        let text = Zeroizing::new(Fernet::generate_key());
        Self::parse(text.as_bytes()).unwrap_or_else(unreachable_key)
    }

    /// Takes a text in canonical form: 43 characters of URL-safe base64 without stray bits, one `=`.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text: &[u8; KEY_TEXT_LENGTH] = text.try_into().ok()?;
        let (digits, padding) = text.split_at(KEY_TEXT_LENGTH - 1);
        let canonical = padding == b"="
            && digits.iter().all(|&digit| sextet(digit).is_some())
            && digits.last().and_then(|&digit| sextet(digit)).is_some_and(|last| last & 0b11 == 0);
        canonical.then(|| Self(Zeroizing::new(*text)))
    }

    /// The one way out. Whoever calls this owns the leak.
    #[must_use]
    pub fn expose(&self) -> &str {
        std::str::from_utf8(&*self.0).unwrap_or_default()
    }

    /// The id: says which key without saying anything of it.
    #[must_use]
    pub fn id(&self) -> KeyId {
        let tag = MacKey::new(ID_LABEL).tag(&[&*self.0]);
        let mut id = [0; KeyId::LENGTH];
        id.copy_from_slice(&tag[..KeyId::LENGTH]);
        KeyId(id)
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyText(..)")
    }
}

#[expect(clippy::panic, reason = "`fernet` encodes 32 random bytes with padding: always canonical")]
fn unreachable_key() -> KeyText {
    panic!("a generated key is canonical")
}

/// The value of a URL-safe base64 digit (RFC 4648, section 5).
pub(super) fn sextet(digit: u8) -> Option<u8> {
    match digit {
        b'A'..=b'Z' => Some(digit - b'A'),
        b'a'..=b'z' => Some(digit - b'a' + 26),
        b'0'..=b'9' => Some(digit - b'0' + 52),
        b'-' => Some(62),
        b'_' => Some(63),
        _ => None,
    }
}

/// The id of a key: the first 8 bytes of an HMAC-SHA256 over its text; written as 16 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; KeyId::LENGTH]);

impl KeyId {
    /// In bytes.
    pub const LENGTH: usize = 8;

    /// Reads 16 lower-case hex digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        super::hex::decode(text.as_bytes()).map(Self)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&super::hex::encode(&self.0))
    }
}

/// A Fernet key ready for use, with its id.
pub struct SealingKey {
    id: KeyId,
    pub(super) fernet: Fernet,
}

impl SealingKey {
    /// Makes the key ready for use.
    #[must_use]
    pub fn new(text: &KeyText) -> Self {
        let fernet = Fernet::new(text.expose());
        Self { id: text.id(), fernet: fernet.unwrap_or_else(unreachable_fernet) }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }
}

#[expect(clippy::panic, reason = "a `KeyText` is 32 bytes of base64 by construction")]
fn unreachable_fernet() -> Fernet {
    panic!("a canonical text is a Fernet key")
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKey({})", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_has_one_text() {
        let text = KeyText::generate();
        let same = KeyText::parse(text.expose().as_bytes()).unwrap();
        assert_eq!(text.id(), same.id());
        let canonical = b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        assert!(KeyText::parse(canonical).is_some());
        for bad in [
            &b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB="[..], // stray bits
            b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",
            b"AAAAAAAAAAAAAAAAAAAAA+AAAAAAAAAAAAAAAAAAAAA=", // the other alphabet
            b"",
        ] {
            assert!(KeyText::parse(bad).is_none());
        }
    }

    #[test]
    fn debug_shows_no_key() {
        let text = KeyText::generate();
        assert_eq!(format!("{text:?}"), "KeyText(..)");
        assert!(!format!("{:?}", SealingKey::new(&text)).contains(text.expose()));
    }
}
