//! Fingerprints: which ciphertext it was, for the audit log.
//!
//! A ciphertext is random to its last block, so its digest says nothing of what is in it; whoever has the ciphertext finds
//! its entries, with `sha256sum` and nothing else.
//!
//! Never taken of a plaintext or a key: those could be guessed and compared.

use sha2::{Digest, Sha256};

use super::hex;

/// The first 32 digits of the SHA-256 of a ciphertext.
#[must_use]
pub fn of_ciphertext(ciphertext: &[u8]) -> String {
    hex::encode(&Sha256::digest(ciphertext)[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_what_sha256sum_begins_with() {
        // FIPS 180-2, appendix B.1.
        assert_eq!(of_ciphertext(b"abc"), "ba7816bf8f01cfea414140de5dae2223");
    }
}
