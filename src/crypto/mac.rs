//! HMAC-SHA256 (RFC 2104, FIPS 198-1) for blind store keys, the journal chain and the audit chain.
//!
//! One key, one purpose: each `MacKey` is random, sealed in the vault header and used for one thing only. Kept is the key with
//! its pads hashed, which saves two blocks of every tag.
//!
//! Never compared with `==`.

use std::sync::Arc;

use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::room::{Inside, Kept, RoomError, within};

/// Length of a key and of a tag, in bytes.
pub const MAC_LENGTH: usize = 32;

/// A key for HMAC-SHA256, its pads hashed once. What is cloned is the way to it.
#[derive(Clone)]
pub struct MacKey(Arc<Kept<Hmac<Sha256>>>);

impl MacKey {
    /// Makes a key ready for use. Whoever has its bytes outside the room wipes them.
    #[must_use]
    pub fn new(key: &[u8; MAC_LENGTH]) -> Self {
        let mut kept = None;
        within(|inside| kept = Self::within(key, inside).ok());
        kept.unwrap_or_else(no_room)
    }

    /// The tag over the parts, one after the other. Parts of varying length need their lengths among them.
    #[must_use]
    pub fn tag(&self, parts: &[&[u8]]) -> [u8; MAC_LENGTH] {
        let mut tag = [0; MAC_LENGTH];
        within(|inside| tag = self.tag_within(parts, inside));
        tag
    }

    /// Whether `tag` is the tag over the parts; compared in constant time.
    #[must_use]
    pub fn verifies(&self, parts: &[&[u8]], tag: &[u8; MAC_LENGTH]) -> bool {
        within(|inside| self.tag_within(parts, inside).ct_eq(tag).into())
    }

    /// A key for a narrower purpose, named by `label`.
    ///
    /// # Errors
    /// There is no room for another key.
    pub fn derive(&self, label: &[u8]) -> Result<Self, RoomError> {
        let mut kept = Err(RoomError::Full);
        within(|inside| kept = Self::within(&self.tag_within(&[label], inside), inside));
        kept
    }

    /// As [`MacKey::new`], for a key that never leaves the section.
    pub(super) fn within(key: &[u8; MAC_LENGTH], inside: &Inside) -> Result<Self, RoomError> {
        let mut padded = [0_u8; 64];
        padded[..MAC_LENGTH].copy_from_slice(key);
        // A key of one block is used as it is, zero-padded: the same as a 32-byte key (RFC 2104, section 2).
        let mac = <Hmac<Sha256> as hmac::digest::KeyInit>::new((&padded).into());
        Kept::put(mac, inside).map(|kept| Self(Arc::new(kept)))
    }

    fn tag_within(&self, parts: &[&[u8]], inside: &Inside) -> [u8; MAC_LENGTH] {
        let mut mac = self.0.get(inside).clone();
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

/// The keys of the process are a handful, and their pages are there from the start; beside them are those of segments of the
/// audit log that are being read.
#[expect(clippy::panic, reason = "as where the heap is at its end: nothing can be chained or blinded")]
fn no_room() -> MacKey {
    panic!("there is no room for another key")
}

/// Whether two secrets are the same; takes the same time wherever they differ. Their lengths are not secret.
#[must_use]
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_hmac_over_the_short_key() {
        let key = [7_u8; 32];
        let mut reference = <Hmac<Sha256> as Mac>::new_from_slice(&key).expect("any length");
        reference.update(b"one");
        reference.update(b"two");
        let expected: [u8; 32] = reference.finalize().into_bytes().into();
        let key = MacKey::new(&key);
        assert_eq!(key.tag(&[b"one", b"two"]), expected);
        assert!(key.verifies(&[b"onetwo"], &expected));
        assert!(!key.verifies(&[b"onetwp"], &expected));
        assert_eq!(key.clone().derive(b"one").unwrap().tag(&[]), MacKey::new(&key.tag(&[b"one"])).tag(&[]));
    }
}
