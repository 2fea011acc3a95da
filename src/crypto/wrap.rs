//! Keys under keys: an org's under a root key, the system key under a root key, the vault's own under the system key.
//!
//! The hard problem: a key that is opened, used or sealed anew passes through a plaintext. The answer: from its sealed form to
//! the form in which it is used, and back, it goes within one section: drawn, framed, sealed, opened and parsed on the secret
//! stack. The layers above hold sealed keys and keys in use, and never the bytes of one.
//!
//! A Fernet key is sealed as its text and what it is bound to behind it (docs/recovery.md); a key of HMAC as its 32 bytes.
//!
//! Never tells more of a key than its id.

use std::fmt;

use tokenkeep_client::secret::WipedBytes;

use super::key::{KEY_TEXT_LENGTH, KeyError, NO_ROOM, SealingKey, new_text};
use super::mac::{MAC_LENGTH, MacKey};
use super::random;
use super::seal::{END_OF_TIME, FRAME_HEADER, Place, SealError, canonical, frame_header, now, value_at};
use crate::room::{Inside, within};

/// Longest that a key is bound to: the name of an environment.
pub const LONGEST_BOUND: usize = 63;

/// Keys are sealed with this generation: a new one replaces the old one in its place.
const GENERATION: u64 = 1;

/// Why a sealed key was not opened. Leaves a section: no variant has a byte that another has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WrapError {
    /// It opens, and is bound to something else.
    Bound,
    /// There is no room for another key.
    NoRoom,
    /// It opens, and is not a key.
    NotAKey,
    /// It does not open.
    Seal(SealError),
}

impl fmt::Display for WrapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bound => f.write_str("a sealed key is bound to something else"),
            Self::NoRoom => f.write_str(NO_ROOM),
            Self::NotAKey => f.write_str("a sealed value opens and is not a key"),
            Self::Seal(why) => why.fmt(f),
        }
    }
}

impl std::error::Error for WrapError {}

impl From<SealError> for WrapError {
    fn from(why: SealError) -> Self {
        Self::Seal(why)
    }
}

impl From<KeyError> for WrapError {
    fn from(why: KeyError) -> Self {
        match why {
            KeyError::NoRoom => Self::NoRoom,
            KeyError::NotAKey => Self::NotAKey,
        }
    }
}

/// A new random Fernet key, and its sealed form.
///
/// # Errors
/// There is no room for it.
pub fn make_key(under: &SealingKey, place: &Place, bound: &[u8]) -> Result<(SealingKey, String), WrapError> {
    let mut sealed = String::new();
    let key = made(|inside| {
        let text = new_text();
        let key = SealingKey::within(&text, inside)?;
        sealed = seal_key(under, place, &text, bound, inside)?;
        Ok(key)
    })?;
    Ok((key, sealed))
}

/// A sealed Fernet key, ready for use. It must be bound to `bound`.
///
/// # Errors
/// See [`WrapError`].
pub fn open_key(
    under: &SealingKey,
    place: &Place,
    token: &[u8],
    bound: &[u8],
) -> Result<SealingKey, WrapError> {
    made(|inside| {
        let frame = open_frame(under, token, inside)?;
        Ok(SealingKey::within(text_in(&frame, place, bound)?, inside)?)
    })
}

/// A sealed Fernet key, sealed anew under another key, or for another place. The old form stays good for as long as its key
/// is there.
///
/// # Errors
/// See [`WrapError`].
pub fn rewrap(
    old: &SealingKey,
    new: &SealingKey,
    (from, to): (&Place, &Place),
    token: &[u8],
    bound: &[u8],
) -> Result<String, WrapError> {
    let (mut sealed, mut why) = (String::new(), WrapError::NotAKey);
    let mut reseal = |inside: &Inside| {
        let frame = open_frame(old, token, inside)?;
        let text = text_in(&frame, from, bound)?;
        // What is no key is not carried on.
        SealingKey::within(text, inside)?;
        sealed = seal_key(new, to, text, bound, inside)?;
        Ok(())
    };
    let done = within(|inside| reseal(inside).map_err(|fault| why = fault).is_ok());
    if done { Ok(sealed) } else { Err(why) }
}

/// A new random key of HMAC, and its sealed form.
///
/// # Errors
/// There is no room for it.
pub fn make_mac_key(under: &SealingKey, place: &Place) -> Result<(MacKey, String), WrapError> {
    let mut sealed = String::new();
    let key = made(|inside| {
        let bytes = random::bytes::<MAC_LENGTH>();
        let key = MacKey::within(&bytes, inside).map_err(|_| WrapError::NoRoom)?;
        sealed = seal_key(under, place, &bytes, b"", inside)?;
        Ok(key)
    })?;
    Ok((key, sealed))
}

/// A sealed key of HMAC, ready for use.
///
/// # Errors
/// See [`WrapError`].
pub fn open_mac_key(under: &SealingKey, place: &Place, token: &[u8]) -> Result<MacKey, WrapError> {
    made(|inside| {
        let frame = open_frame(under, token, inside)?;
        let bytes = value_at(place, &frame)?.try_into().map_err(|_| WrapError::NotAKey)?;
        MacKey::within(bytes, inside).map_err(|_| WrapError::NoRoom)
    })
}

/// Runs `make` in a section. A key that was made is whole; nothing is written where there is none.
fn made<K>(make: impl FnOnce(&Inside) -> Result<K, WrapError>) -> Result<K, WrapError> {
    let (mut key, mut why) = (None, WrapError::NotAKey);
    within(|inside| match make(inside) {
        Ok(made) => key = Some(made),
        Err(fault) => why = fault,
    });
    key.ok_or(why)
}

fn open_frame(under: &SealingKey, token: &[u8], inside: &Inside) -> Result<WipedBytes, SealError> {
    let token = canonical(token).ok_or(SealError::Shut)?;
    let frame = under.fernet(inside).decrypt_at_time(token, None, END_OF_TIME);
    frame.map(WipedBytes::from).map_err(|_| SealError::Shut)
}

fn text_in<'a>(frame: &'a [u8], place: &Place, bound: &[u8]) -> Result<&'a [u8], WrapError> {
    let value = value_at(place, frame)?;
    let (text, found) = value.split_at_checked(KEY_TEXT_LENGTH).ok_or(WrapError::NotAKey)?;
    if found == bound { Ok(text) } else { Err(WrapError::Bound) }
}

/// The frame is put together on the secret stack, and not in the heap as that of a value is.
fn seal_key(
    under: &SealingKey,
    place: &Place,
    key: &[u8],
    bound: &[u8],
    inside: &Inside,
) -> Result<String, WrapError> {
    let mut frame = [0; FRAME_HEADER + KEY_TEXT_LENGTH + LONGEST_BOUND];
    let (header, value) = frame.split_at_mut(FRAME_HEADER);
    header.copy_from_slice(&frame_header(place, GENERATION));
    let (head, tail) = value.split_at_mut_checked(key.len()).ok_or(WrapError::NotAKey)?;
    head.copy_from_slice(key);
    tail.get_mut(..bound.len()).ok_or(WrapError::Bound)?.copy_from_slice(bound);
    let end = FRAME_HEADER + key.len() + bound.len();
    Ok(under.fernet(inside).encrypt_at_time(&frame[..end], now()))
}

#[cfg(test)]
mod tests;
