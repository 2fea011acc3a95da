//! Sealing: a standard Fernet token whose plaintext is a frame that says where the value belongs.
//!
//! The hard problem: Fernet has no associated data, so a token moved to another row still opens. The
//! answer: the place stands inside the seal and is compared after opening.
//!
//! ```text
//! frame, version 1
//!   0   1   version = 1
//!   1  16   vault id
//!  17   1   table
//!  18  32   record: the blind key of the record in its table
//!  50   1   field
//!  51   8   generation, big-endian
//!  59   ..  value
//! ```
//!
//! Never opens with a key that was not named: the id stands outside, and no key is tried in turn.

use std::fmt;
use std::time::SystemTime;

use tokenkeep_client::secret::WipedBytes;

use super::key::{SealingKey, sextet};
use crate::room::{Inside, within};

/// Bytes of a frame before its value.
pub const FRAME_HEADER: usize = 59;
const VERSION: u8 = 1;
/// The version of Fernet and the first bytes of a time before the year 2242, in base64.
const TOKEN_BEGINS: &[u8] = b"gAAAA";
/// `fernet` refuses a token from more than 60 s ahead of the clock, so a clock that was set back would shut
/// the whole vault. A sealed value has no age: it is opened at the end of time (less the 60 s it adds).
pub(super) const END_OF_TIME: u64 = u64::MAX - 60;
/// `fernet` holds four to six times its input at peak; a secret of 64 KiB is the largest value there is.
pub const VALUE_LIMIT: usize = 256 * 1024;

/// Longest text of a token that is looked at: the largest value with its frame, and room.
pub const TOKEN_LIMIT: usize = 2 * (VALUE_LIMIT + 256);

/// Where a sealed value belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The vault.
    pub vault: [u8; 16],
    /// The table in the vault.
    pub table: u8,
    /// The record in the table.
    pub record: [u8; 32],
    /// The field in the record.
    pub field: u8,
}

/// Why a sealed value was not given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealError {
    /// It opens, but its frame is not one of ours.
    Frame,
    /// It opens, but belongs elsewhere.
    Misplaced,
    /// It is not a canonical Fernet token under this key: damaged, or of another key.
    Shut,
    /// It opens, and what it holds is sealed for the same place once more.
    Twice,
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Frame => "a sealed value opens but its frame is unknown",
            Self::Misplaced => "a sealed value stands where it does not belong",
            Self::Shut => "a sealed value does not open",
            Self::Twice => "a sealed value holds itself, sealed once more",
        })
    }
}

impl std::error::Error for SealError {}

/// An opened value. Wiped on drop.
pub struct Opened {
    frame: WipedBytes,
}

impl Opened {
    /// The generation it was sealed with.
    #[must_use]
    pub fn generation(&self) -> u64 {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.frame[51..FRAME_HEADER]);
        u64::from_be_bytes(bytes)
    }

    /// The one way out. Whoever calls this owns the leak.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.frame[FRAME_HEADER..]
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opened(..)")
    }
}

/// Seals `value` for `place`. The caller has capped it: a value over 256 KiB is a fault of ours.
#[must_use]
pub fn seal(key: &SealingKey, place: &Place, generation: u64, value: &[u8]) -> String {
    debug_assert!(value.len() <= VALUE_LIMIT, "values are capped at the edge");
    let mut frame = WipedBytes::with_capacity(FRAME_HEADER + value.len());
    frame.extend_from_slice(&frame_header(place, generation));
    frame.extend_from_slice(value);
    let (mut token, now) = (String::new(), now());
    within(|inside| token = key.fernet(inside).encrypt_at_time(&frame, now));
    token
}

/// What stands before the value.
pub(super) fn frame_header(place: &Place, generation: u64) -> [u8; FRAME_HEADER] {
    let mut header = [0; FRAME_HEADER];
    header[0] = VERSION;
    header[1..17].copy_from_slice(&place.vault);
    header[17] = place.table;
    header[18..50].copy_from_slice(&place.record);
    header[50] = place.field;
    header[51..].copy_from_slice(&generation.to_be_bytes());
    header
}

/// `fernet` stamps a token with the time, and panics where the clock stands before 1970: nothing may panic in a section.
pub(super) fn now() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs())
}

/// Opens a token that must belong to `place`.
///
/// # Errors
/// See [`SealError`]; none says more of the value.
pub fn open(key: &SealingKey, place: &Place, token: &[u8]) -> Result<Opened, SealError> {
    let frame = dangerous_open_without_place(key, token)?;
    value_at(place, &frame)?;
    Ok(Opened { frame })
}

/// The value in a frame that must belong to `place`.
pub(super) fn value_at<'a>(place: &Place, frame: &'a [u8]) -> Result<&'a [u8], SealError> {
    let (header, value) = frame.split_first_chunk::<FRAME_HEADER>().ok_or(SealError::Frame)?;
    if header[0] != VERSION {
        return Err(SealError::Frame);
    }
    let placed = header[1..17] == place.vault
        && header[17] == place.table
        && header[18..50] == place.record
        && header[50] == place.field;
    if placed { Ok(value) } else { Err(SealError::Misplaced) }
}

/// A sealed value that is to be sealed under another key.
#[derive(Debug)]
pub struct Turned<'a> {
    /// What it is sealed under.
    pub from: &'a SealingKey,
    /// Where it belongs, before and after.
    pub place: Place,
    /// The generation it was sealed with.
    pub generation: u64,
    /// The generation it says from now on.
    pub becomes: u64,
    /// The Fernet token.
    pub token: &'a [u8],
}

/// Seals values anew under another key: each is opened, its place and its generation are compared, and its frame is
/// sealed as it is, all in one section. Nobody sees a value, so nobody can seal a sealed one by mistake.
///
/// # Errors
/// See [`SealError`]; `Twice` where a value is itself a token of the same place, under either key.
pub fn reseal(values: &[Turned<'_>], under: &SealingKey) -> Result<Vec<String>, SealError> {
    let (mut tokens, mut why) = (Vec::with_capacity(values.len()), SealError::Shut);
    let now = now();
    let done = within(|inside| {
        let anew = |value: &Turned<'_>| {
            let mut frame = opened_at(value.from, &value.place, value.token, inside)?;
            if frame[51..FRAME_HEADER] != value.generation.to_be_bytes() {
                return Err(SealError::Frame);
            }
            // What begins as a token does is looked at once more: no text of a provider is one of ours.
            let inner = &frame[FRAME_HEADER..];
            let is_twice = |key| opened_at(key, &value.place, inner, inside).is_ok();
            if inner.starts_with(TOKEN_BEGINS) && (is_twice(value.from) || is_twice(under)) {
                return Err(SealError::Twice);
            }
            frame[51..FRAME_HEADER].copy_from_slice(&value.becomes.to_be_bytes());
            Ok(under.fernet(inside).encrypt_at_time(&frame, now))
        };
        for value in values {
            match anew(value) {
                Ok(token) => tokens.push(token),
                Err(fault) => {
                    why = fault;
                    return false;
                }
            }
        }
        true
    });
    if done { Ok(tokens) } else { Err(why) }
}

/// A frame in its place. For a section.
fn opened_at(
    key: &SealingKey,
    place: &Place,
    token: &[u8],
    inside: &Inside,
) -> Result<WipedBytes, SealError> {
    let token = canonical(token).ok_or(SealError::Shut)?;
    let frame = key.fernet(inside).decrypt_at_time(token, None, END_OF_TIME);
    let frame = WipedBytes::from(frame.map_err(|_| SealError::Shut)?);
    value_at(place, &frame)?;
    Ok(frame)
}

/// Opens a token that somebody else made, and that says nothing of where it belongs: whoever hands it in is believed.
/// Only for keys that seal nothing of the vault.
///
/// # Errors
/// `Shut`.
pub fn dangerous_open_without_place(key: &SealingKey, token: &[u8]) -> Result<WipedBytes, SealError> {
    let token = canonical(token).ok_or(SealError::Shut)?;
    let mut value = WipedBytes::default();
    let opens = within(|inside| {
        // The buffer itself leaves, not a copy: its address, its room and its length.
        let opened = key.fernet(inside).decrypt_at_time(token, None, END_OF_TIME);
        opened.map(|bytes| value = WipedBytes::from(bytes)).is_ok()
    });
    if opens { Ok(value) } else { Err(SealError::Shut) }
}

/// Whether an opened value begins as a frame of this vault does: then it is the vault's own.
#[must_use]
pub fn is_frame_of(vault: &[u8; 16], value: &[u8]) -> bool {
    value.len() >= FRAME_HEADER && value[0] == VERSION && value[1..17] == *vault
}

/// `fernet` takes any number of `=` and stray bits; one value has one text here. Digits inside are its matter.
pub(super) fn canonical(token: &[u8]) -> Option<&str> {
    // base64 of a version byte, time, IV, one block, tag: 73 bytes at least; and four digits to each three bytes.
    if token.len() < 100 || !token.len().is_multiple_of(4) || token.len() > TOKEN_LIMIT {
        return None;
    }
    let padding = token.iter().rev().take_while(|&&b| b == b'=').count();
    let stray = match padding {
        0 => 0,
        1 => 0b11,
        2 => 0b1111,
        _ => return None,
    };
    let last = sextet(token[token.len() - padding - 1])?;
    if last & stray != 0 {
        return None;
    }
    std::str::from_utf8(token).ok()
}

#[cfg(test)]
mod tests;
