//! Fernet tokens that an application sealed by itself, opened with the key list it kept (as `MultiFernet`).
//!
//! Such a token says nothing of its place and does not name its key, so the keys are tried in the order of the
//! list, as Python's `MultiFernet.decrypt` does; which one fitted is told by its id.
//!
//! Only opens. Nothing is ever sealed this way here.

use std::fmt;

use tokenkeep_client::secret::WipedBytes;

use super::key::{KeyId, SealingKey, sextet};
use super::key_list::RootKeys;
use super::seal::{END_OF_TIME, canonical};
use crate::room::within;

/// First byte of every token (Fernet spec, "Token Format").
const VERSION: u8 = 0x80;
/// Version, time and IV before the ciphertext, the tag behind it.
const AROUND: usize = 1 + 8 + 16 + 32;
/// AES works in blocks of so many bytes.
const BLOCK: usize = 16;

/// Why there is no plaintext.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenError {
    /// It has the form of a Fernet token, and no key of the list opens it: damaged, or sealed under another.
    NoKeyOpens,
    /// It has not the form of a Fernet token.
    NotFernet,
}

/// What stood in a token. Wiped on drop.
pub struct Plaintext {
    bytes: WipedBytes,
    /// The key that fitted.
    pub key: KeyId,
    /// When it was sealed, in Unix seconds, by the clock of who sealed it; `MultiFernet.rotate` leaves it.
    pub sealed_at: u64,
}

impl Plaintext {
    /// The one way out. Whoever calls this owns the leak.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plaintext(..)")
    }
}

/// Opens a token, in canonical URL-safe base64, with whichever key of the list fits. Its age does not matter.
///
/// # Errors
/// See [`OpenError`].
pub fn open(keys: &RootKeys, token: &[u8]) -> Result<Plaintext, OpenError> {
    let text = canonical(token).ok_or(OpenError::NotFernet)?;
    let sealed_at = sealed_at(token).ok_or(OpenError::NotFernet)?;
    let mut bytes = WipedBytes::default();
    // One section for all of the list.
    let which = within(|inside| {
        let opens = |key: &SealingKey| key.fernet(inside).decrypt_at_time(text, None, END_OF_TIME);
        keys.iter()
            .position(|key| opens(key).map(|opened| bytes = opened.into()).is_ok())
            .unwrap_or(usize::MAX)
    });
    let key = keys.iter().nth(which).map(SealingKey::id).ok_or(OpenError::NoKeyOpens)?;
    Ok(Plaintext { bytes, key, sealed_at })
}

/// The time in a token that has the form of one; the text is in canonical form as a whole.
fn sealed_at(token: &[u8]) -> Option<u64> {
    let padding = token.iter().rev().take_while(|&&byte| byte == b'=').count();
    let length = token.len() / 4 * 3 - padding;
    let blocks = length.checked_sub(AROUND)?;
    let digits = token[..token.len() - padding].iter().all(|&digit| sextet(digit).is_some());
    let start = first_nine(token)?;
    let formed = digits && blocks > 0 && blocks.is_multiple_of(BLOCK) && start[0] == VERSION;
    let time = start[1..].try_into().ok()?;
    formed.then(|| u64::from_be_bytes(time))
}

/// The first nine bytes of a base64 text: its first twelve digits.
fn first_nine(text: &[u8]) -> Option<[u8; 9]> {
    let mut bytes = [0; 9];
    for (four, three) in text.get(..12)?.chunks_exact(4).zip(bytes.chunks_exact_mut(3)) {
        let bits = four.iter().try_fold(0_u32, |bits, &digit| Some(bits << 6 | u32::from(sextet(digit)?)))?;
        three.copy_from_slice(&bits.to_be_bytes()[1..]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::key::KeyText;

    /// The vector of the spec, generate.json.
    const KEY: &str = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=";
    const TOKEN: &str = "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA==";

    fn keys(texts: &[&str]) -> RootKeys {
        RootKeys::parse(texts.join("\n").as_bytes()).unwrap()
    }

    #[test]
    fn the_vector_of_the_spec_opens_and_tells_its_key_and_time() {
        let (other, id) = (KeyText::generate(), SealingKey::parse(KEY.as_bytes()).unwrap().id());
        let opened = open(&keys(&[other.expose(), KEY]), TOKEN.as_bytes()).unwrap();
        assert_eq!((opened.expose(), opened.key, opened.sealed_at), (&b"hello"[..], id, 499_162_800));
        assert_eq!(format!("{opened:?}"), "Plaintext(..)");
    }

    #[test]
    fn a_token_of_another_key_and_no_token_are_told_apart() {
        let (list, other) = (keys(&[KEY]), KeyText::generate());
        let error = |keys: &RootKeys, token: &str| open(keys, token.as_bytes()).unwrap_err();
        assert_eq!(error(&keys(&[other.expose()]), TOKEN), OpenError::NoKeyOpens);
        assert_eq!(error(&list, &TOKEN.replace("021", "022")), OpenError::NoKeyOpens);
        for bad in [
            "",
            "=",
            "'=",
            "gho_abc",
            &TOKEN[..99],
            &TOKEN[..96],
            &TOKEN.replace("gA", "hA"),
            &TOKEN.replace('_', "/"),
        ] {
            assert_eq!(error(&list, bad), OpenError::NotFernet, "{bad}");
        }
    }
}
