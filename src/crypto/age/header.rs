//! The header of a file of age: for each recipient, the file key under a key that only it can make.
//!
//! ```text
//! age-encryption.org/v1
//! -> X25519 EPHEMERAL SHARE
//! FILE KEY, SEALED
//! --- MAC OVER ALL OF THE ABOVE
//! ```
//!
//! The parts in capitals are base64 without padding. Other kinds of recipients may stand beside ours; they are passed over.
//!
//! Never reads a line without a cap.

use std::io::Read;

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use aws_lc_rs::{hkdf, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use zeroize::Zeroizing;

use super::{AgeError, Identity, Recipient};
use crate::crypto::random;

const VERSION: &str = "age-encryption.org/v1\n";
const OURS: &str = "X25519";
const LABEL: &[u8] = b"age-encryption.org/v1/X25519";
/// Lines of a stanza's body, but for the last.
const COLUMNS: usize = 64;
/// Of a header: far beyond what a hundred recipients take.
const LONGEST: usize = 64 * 1024;
/// Under each key one thing is sealed.
const ONCE: [u8; 12] = [0; 12];

/// The header of a file with this key.
pub(super) fn encode(recipients: &[Recipient], file_key: &[u8; 16]) -> Result<Vec<u8>, AgeError> {
    let mut text = String::from(VERSION);
    for recipient in recipients {
        let ephemeral = Identity::of(Zeroizing::new(random::bytes()))?;
        let wrapping =
            wrapping_key(&ephemeral.private()?, &ephemeral.recipient.0, &recipient.0, &recipient.0)?;
        let mut sealed = file_key.to_vec();
        let nonce = Nonce::assume_unique_for_key(ONCE);
        wrapping.seal_in_place_append_tag(nonce, Aad::empty(), &mut sealed).map_err(|_| AgeError::NoKey)?;
        let (share, sealed) =
            (STANDARD_NO_PAD.encode(ephemeral.recipient.0), STANDARD_NO_PAD.encode(&sealed));
        text.push_str(&format!("-> {OURS} {share}\n{sealed}\n"));
    }
    text.push_str("---");
    let mac = hmac::sign(&mac_key(file_key)?, text.as_bytes());
    text.push_str(&format!(" {}\n", STANDARD_NO_PAD.encode(mac.as_ref())));
    Ok(text.into_bytes())
}

/// Reads a header, up to its end and no further, and finds the file key.
pub(super) fn open(input: &mut impl Read, identities: &[&Identity]) -> Result<Zeroizing<[u8; 16]>, AgeError> {
    let mut text = Vec::new();
    let version = line(input, &mut text)?;
    if text.get(version..) != Some(VERSION.as_bytes()) {
        return Err(AgeError::Damaged(
            "it does not begin as a file of age (an armour is to be taken off first)",
        ));
    }
    let mut found = None;
    let mut at = line(input, &mut text)?;
    while let Some(arguments) = text[at..].strip_prefix(b"-> ") {
        let share = share(arguments)?;
        let (body, next) = body(input, &mut text)?;
        if let (Some(share), None) = (share, &found) {
            found = unwrap(&share, &body, identities)?;
        }
        at = next;
    }
    let end = text[at..].strip_prefix(b"--- ").and_then(|mac| mac.strip_suffix(b"\n"));
    let mac = end.and_then(|mac| STANDARD_NO_PAD.decode(mac).ok());
    let mac = mac.ok_or(AgeError::Damaged("its header has no end"))?;
    let file_key = found.ok_or(AgeError::NotForUs)?;
    hmac::verify(&mac_key(&file_key)?, &text[..at + 3], &mac)
        .map_err(|_| AgeError::Damaged("its header was changed"))?;
    Ok(file_key)
}

/// Our share of a stanza; none where it is of another kind.
fn share(arguments: &[u8]) -> Result<Option<[u8; 32]>, AgeError> {
    let damaged = AgeError::Damaged("a recipient in its header makes no sense");
    let text = std::str::from_utf8(arguments).ok().and_then(|text| text.strip_suffix('\n'));
    let Some(text) = text else { return Err(damaged) };
    let parts: Vec<&str> = text.split(' ').collect();
    let is_plain = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_graphic());
    match parts.as_slice() {
        parts if !parts.iter().all(is_plain) => Err(damaged),
        [OURS, share] => {
            let share = STANDARD_NO_PAD.decode(share).ok().and_then(|share| share.try_into().ok());
            share.map(Some).ok_or(damaged)
        }
        [OURS, ..] => Err(damaged),
        _ => Ok(None),
    }
}

/// The body of a stanza, and where the line after it stands. It ends with a line that is shorter than others.
fn body(input: &mut impl Read, text: &mut Vec<u8>) -> Result<(Vec<u8>, usize), AgeError> {
    let mut encoded = Vec::new();
    loop {
        let at = line(input, text)?;
        let part = text[at..].strip_suffix(b"\n").unwrap_or_default();
        if part.len() > COLUMNS {
            return Err(AgeError::Damaged("a line in its header is too long"));
        }
        encoded.extend_from_slice(part);
        if part.len() < COLUMNS {
            break;
        }
    }
    let body = STANDARD_NO_PAD.decode(&encoded);
    let body = body.map_err(|_| AgeError::Damaged("a recipient in its header makes no sense"))?;
    Ok((body, line(input, text)?))
}

fn unwrap(
    share: &[u8; 32],
    body: &[u8],
    identities: &[&Identity],
) -> Result<Option<Zeroizing<[u8; 16]>>, AgeError> {
    if body.len() != 32 {
        return Err(AgeError::Damaged("a recipient in its header has a file key of another length"));
    }
    for identity in identities {
        let wrapping = wrapping_key(&identity.private()?, share, &identity.recipient.0, share)
            .map_err(|_| AgeError::Damaged("a recipient in its header is of low order"))?;
        let mut sealed = Zeroizing::new(body.to_vec());
        let nonce = Nonce::assume_unique_for_key(ONCE);
        if let Ok(opened) = wrapping.open_in_place(nonce, Aad::empty(), &mut sealed) {
            let file_key = (&*opened).try_into().map_err(|_| AgeError::Damaged("its file key is none"))?;
            return Ok(Some(Zeroizing::new(file_key)));
        }
    }
    Ok(None)
}

/// Both sides make the same key: of the one's private half and the other's public one.
fn wrapping_key(
    private: &PrivateKey,
    share: &[u8; 32],
    recipient: &[u8; 32],
    other: &[u8; 32],
) -> Result<LessSafeKey, AgeError> {
    let mut salt = [0; 64];
    salt[..32].copy_from_slice(share);
    salt[32..].copy_from_slice(recipient);
    // An all-zero secret, of a point of low order, is refused by the library (RFC 7748, section 6.1).
    let other = UnparsedPublicKey::new(&X25519, other);
    agree(private, other, AgeError::NoKey, |shared| sealing_key(&salt, shared, LABEL))
}

/// A key of ChaCha20-Poly1305, derived (RFC 5869).
pub(super) fn sealing_key(salt: &[u8], secret: &[u8], label: &[u8]) -> Result<LessSafeKey, AgeError> {
    let derived = derived(salt, secret, label)?;
    let key = UnboundKey::new(&CHACHA20_POLY1305, &*derived).map_err(|_| AgeError::NoKey)?;
    Ok(LessSafeKey::new(key))
}

fn derived(salt: &[u8], secret: &[u8], label: &[u8]) -> Result<Zeroizing<[u8; 32]>, AgeError> {
    let mut derived = Zeroizing::new([0; 32]);
    let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(secret);
    let labels = [label];
    let expanded = extracted.expand(&labels, hkdf::HKDF_SHA256).map_err(|_| AgeError::NoKey)?;
    expanded.fill(&mut *derived).map_err(|_| AgeError::NoKey)?;
    Ok(derived)
}

fn mac_key(file_key: &[u8; 16]) -> Result<hmac::Key, AgeError> {
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &*derived(&[], file_key, b"header")?))
}

/// Appends a line; where it begins.
fn line(input: &mut impl Read, text: &mut Vec<u8>) -> Result<usize, AgeError> {
    let at = text.len();
    let mut byte = [0];
    loop {
        if text.len() >= LONGEST {
            return Err(AgeError::Damaged("its header is too long"));
        }
        match input.read_exact(&mut byte) {
            Ok(()) => text.push(byte[0]),
            Err(why) if why.kind() == std::io::ErrorKind::UnexpectedEof => {
                return Err(AgeError::Damaged("it ends within its header"));
            }
            Err(why) => return Err(why.into()),
        }
        if byte == *b"\n" {
            return Ok(at);
        }
    }
}
