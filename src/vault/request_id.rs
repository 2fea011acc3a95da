//! The id of a request: in its response, its audit entry and the log.
//!
//! Unique, not secret: eight random digits for the process, eight that count.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::crypto::random;
use crate::digits::hex_digits;

/// 16 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestId([u8; 16]);

impl RequestId {
    /// As it stands in a header.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Gives out request ids.
#[derive(Debug)]
pub struct RequestIds {
    /// Its digits.
    process: [u8; 8],
    next: AtomicU32,
}

impl RequestIds {
    /// Of this process.
    #[must_use]
    pub fn new() -> Self {
        Self { process: hex_digits(u32::from_be_bytes(random::bytes())), next: AtomicU32::new(1) }
    }

    /// The next one. After 2^32 requests the ids of a process come round; the audit log has its sequence.
    #[must_use]
    pub fn next(&self) -> RequestId {
        let count = self.next.fetch_add(1, Ordering::Relaxed);
        let mut digits = [0; 16];
        digits[..8].copy_from_slice(&self.process);
        digits[8..].copy_from_slice(&hex_digits(count));
        RequestId(digits)
    }
}

impl Default for RequestIds {
    fn default() -> Self {
        Self::new()
    }
}
