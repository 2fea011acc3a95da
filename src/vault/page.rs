//! Pages of lists: where to go on and how many.
//!
//! A cursor is a blind name in hex: it says nothing of an org, and a made-up one finds nothing that a
//! whole list would not show.

use std::fmt;

use crate::crypto::hex;
use crate::store::Key;

/// Where a page ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(pub [u8; 16]);

impl Cursor {
    /// Reads what [`fmt::Display`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        hex::decode(text.as_bytes()).map(Self)
    }

    /// After this org.
    #[must_use]
    pub(super) fn org(key: &Key) -> Self {
        Self::at(key, 1)
    }

    /// After this record of an org.
    #[must_use]
    pub(super) fn inside(key: &Key) -> Self {
        Self::at(key, 17)
    }

    fn at(key: &Key, from: usize) -> Self {
        let mut name = [0; 16];
        name.copy_from_slice(&key.0[from..from + 16]);
        Self(name)
    }

    /// The store key that this cursor names, after `prefix`.
    #[must_use]
    pub(super) fn key(self, prefix: &[u8; 17]) -> Key {
        let mut key = [0; 33];
        key[..17].copy_from_slice(prefix);
        key[17..].copy_from_slice(&self.0);
        Key(key)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

/// Which page of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    /// Where the last one ended.
    pub after: Option<Cursor>,
    /// At most so many, at least one.
    pub most: usize,
}
