//! Fernet keys: their text, their id, and the key made ready for use.
//!
//! The hard problem: the crate `fernet` takes any number of `=` and stray bits for the same key. The answer:
//! canonical form is demanded before the crate sees the text, so that one key has one text and one id.
//!
//! A key that is in use stands in the key room, and what uses it runs there. Its text is read there and thrown away.
//!
//! The only module, beside `seal`, `wrap` and `multi_fernet`, that touches the crate `fernet`.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use fernet::Fernet;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use tokenkeep_client::secret::WipedBytes;

use super::random;
use crate::room::{Inside, Kept, within};

/// Length of the text of a key: 32 bytes in URL-safe base64 with padding (Fernet spec, "Key Format").
pub const KEY_TEXT_LENGTH: usize = 44;

/// Labels the ids, so that an id is no use for anything else. 32 bytes.
const ID_LABEL: &[u8; 32] = b"tokenkeep key id, version 1\0\0\0\0\0";

/// What there is to do where no page for keys is to be had.
pub(super) const NO_ROOM: &str = "there is no room for another key; raise the limit of locked memory \
     (LimitMEMLOCK in the systemd unit) or lower org_keys in [limits]";

/// Why a text is not made a key. Leaves a section: no variant has a byte that another has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyError {
    /// There is no room for another one.
    NoRoom,
    /// It is no Fernet key in canonical form.
    NotAKey,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoom => f.write_str(NO_ROOM),
            Self::NotAKey => f.write_str("it is not a Fernet key"),
        }
    }
}

impl std::error::Error for KeyError {}

/// The text of a new key, on its way to where somebody keeps it. Wiped on drop. No key that is in use has one.
pub struct KeyText(WipedBytes);

impl KeyText {
    /// A new random key.
    #[must_use]
    pub fn generate() -> Self {
        let mut text = WipedBytes::from(vec![0; KEY_TEXT_LENGTH]);
        within(|_| text.copy_from_slice(&new_text()));
        Self(text)
    }

    /// The one way out. Whoever calls this owns the leak.
    #[must_use]
    pub fn expose(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyText(..)")
    }
}

/// The text of a new random key. For a section.
pub(super) fn new_text() -> [u8; KEY_TEXT_LENGTH] {
    let mut text = [0; KEY_TEXT_LENGTH];
    // 32 bytes are 44 digits with their padding, always.
    let written = URL_SAFE.encode_slice(random::bytes::<32>(), &mut text);
    debug_assert_eq!(written.ok(), Some(KEY_TEXT_LENGTH), "the text has its length");
    text
}

/// Whether it is 43 characters of URL-safe base64 without stray bits, and one `=`.
fn is_canonical(text: &[u8]) -> bool {
    let Some((b'=', digits)) = text.split_last() else { return false };
    digits.len() == KEY_TEXT_LENGTH - 1
        && digits.iter().all(|&digit| sextet(digit).is_some())
        && digits.last().and_then(|&digit| sextet(digit)).is_some_and(|last| last & 0b11 == 0)
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

    /// For a section. Says which key it is without saying anything of it.
    fn of(text: &[u8]) -> Self {
        let mut id = [0; Self::LENGTH];
        // HMAC takes a key of any length.
        if let Ok(mut mac) = <Hmac<Sha256> as Mac>::new_from_slice(ID_LABEL) {
            mac.update(text);
            id.copy_from_slice(&mac.finalize().into_bytes()[..Self::LENGTH]);
        }
        Self(id)
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
    fernet: Kept<Fernet>,
}

impl SealingKey {
    /// Makes a key of its text. Whoever has the text outside the room wipes it.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn parse(text: &[u8]) -> Result<Self, KeyError> {
        let (mut key, mut why) = (None, KeyError::NotAKey);
        within(|inside| match Self::within(text, inside) {
            Ok(made) => key = Some(made),
            Err(fault) => why = fault,
        });
        key.ok_or(why)
    }

    /// As [`SealingKey::parse`], for a text that never leaves the section.
    pub(super) fn within(text: &[u8], inside: &Inside) -> Result<Self, KeyError> {
        let canonical = Some(text).filter(|text| is_canonical(text));
        let text = canonical.and_then(|text| std::str::from_utf8(text).ok()).ok_or(KeyError::NotAKey)?;
        let fernet = Fernet::new(text).ok_or(KeyError::NotAKey)?;
        let fernet = Kept::put(fernet, inside).map_err(|_| KeyError::NoRoom)?;
        Ok(Self { id: KeyId::of(text.as_bytes()), fernet })
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The key, for a section.
    pub(super) fn fernet<'a>(&'a self, inside: &'a Inside) -> &'a Fernet {
        self.fernet.get(inside)
    }
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
        let id = |text: &KeyText| SealingKey::parse(text.expose().as_bytes()).unwrap().id();
        assert_eq!(id(&text), id(&text));
        assert_ne!(id(&text), id(&KeyText::generate()));
        let canonical = b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        assert!(SealingKey::parse(canonical).is_ok());
        for bad in [
            &b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB="[..], // stray bits
            b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",
            b"AAAAAAAAAAAAAAAAAAAAA+AAAAAAAAAAAAAAAAAAAAA=", // the other alphabet
            b"",
        ] {
            assert_eq!(SealingKey::parse(bad).unwrap_err(), KeyError::NotAKey);
        }
    }

    /// As it was from the first version on: records name their key by it.
    #[test]
    fn the_id_of_a_key_stays_what_it_was() {
        let key = SealingKey::parse(b"cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=").unwrap();
        assert_eq!(key.id().to_string(), "72aafd1eccb994dc");
    }

    #[test]
    fn debug_shows_no_key() {
        let text = KeyText::generate();
        assert_eq!(format!("{text:?}"), "KeyText(..)");
        let key = SealingKey::parse(text.expose().as_bytes()).unwrap();
        assert_eq!(format!("{key:?}"), format!("SealingKey({})", key.id()));
    }
}
