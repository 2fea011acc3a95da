//! SHA-256 of what is larger than memory: objects of a backup, by which they are compared.
//!
//! Proves that bytes are the same, never who wrote them.

use std::io::{self, Read, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::hex;

/// The SHA-256 of this, in base64.
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(Sha256::digest(bytes))
}

/// Passes on what is read or written, and keeps count and digest of it.
pub struct Measured<T> {
    inner: T,
    bytes: u64,
    sum: Sha256,
}

impl<T> Measured<T> {
    /// Nothing yet.
    #[must_use]
    pub fn new(inner: T) -> Self {
        Self { inner, bytes: 0, sum: Sha256::new() }
    }

    /// How much has passed.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What it passed to, how much it was, and its SHA-256 in hex.
    #[must_use]
    pub fn finish(self) -> (T, u64, String) {
        (self.inner, self.bytes, hex::encode(&self.sum.finalize()))
    }

    fn note(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.sum.update(bytes);
    }
}

impl<T: Write> Write for Measured<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.inner.write(bytes)?;
        self.note(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<T: Read> Read for Measured<T> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let taken = self.inner.read(into)?;
        self.note(&into[..taken]);
        Ok(taken)
    }
}
