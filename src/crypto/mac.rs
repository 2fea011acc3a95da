//! HMAC-SHA256 (RFC 2104, FIPS 198-1) for blind store keys, the journal chain and the audit chain.
//!
//! One key, one purpose: each `MacKey` is random, sealed in the vault header and used for one thing only.
//!
//! Never compared with `==`.

use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Length of a key and of a tag, in bytes.
pub const MAC_LENGTH: usize = 32;

/// A key for HMAC-SHA256, its pads hashed once.
#[derive(Clone)]
pub struct MacKey(Hmac<Sha256>);

impl MacKey {
    /// Makes the key ready for use.
    #[must_use]
    pub fn new(key: &[u8; MAC_LENGTH]) -> Self {
        let mut padded = Zeroizing::new([0_u8; 64]);
        padded[..MAC_LENGTH].copy_from_slice(key);
        // A key of one block is used as it is, zero-padded: the same as a 32-byte key (RFC 2104, section 2).
        Self(<Hmac<Sha256> as hmac::digest::KeyInit>::new((&*padded).into()))
    }

    /// The tag over the parts, one after the other. Parts of varying length need their lengths among them.
    #[must_use]
    pub fn tag(&self, parts: &[&[u8]]) -> [u8; MAC_LENGTH] {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    /// Whether `tag` is the tag over the parts; compared in constant time.
    #[must_use]
    pub fn verifies(&self, parts: &[&[u8]], tag: &[u8; MAC_LENGTH]) -> bool {
        self.tag(parts).ct_eq(tag).into()
    }

    /// A key for a narrower purpose, named by `label`.
    #[must_use]
    pub fn derive(&self, label: &[u8]) -> Self {
        Self::new(&Zeroizing::new(self.tag(&[label])))
    }
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
    }
}
