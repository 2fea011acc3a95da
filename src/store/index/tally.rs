//! How many records there are and a digest of them all, kept up change by change.
//!
//! The hard problem: to know that an index holds exactly what the journal says without reading the journal
//! whole. The answer: each record adds a keyed hash of itself to a sum modulo 2^128 and takes it away when it
//! goes; each journal record carries the sum after it. Order does not matter, so a scan of the index gives the
//! same sum (AdHash, Bellare and Micciancio 1997).
//!
//! Tells accident, never forgery: whoever can write the index without the key cannot aim at a sum, but the
//! proof of a record is the seal on its value. The index holds each digest, so that the sum is kept up, and a value checked where it
//! is read, without the one before.

use crate::crypto::mac::MacKey;
use crate::room::RoomError;
use crate::store::Key;

/// Number and digest of records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many.
    pub records: u64,
    /// Sum of their digests modulo 2^128.
    pub digest: u128,
}

impl Tally {
    /// Counts a record of this digest in.
    pub(crate) fn add(&mut self, digest: u128) {
        self.records = self.records.wrapping_add(1);
        self.digest = self.digest.wrapping_add(digest);
    }

    /// Counts a record of this digest out.
    pub(crate) fn remove(&mut self, digest: u128) {
        self.records = self.records.wrapping_sub(1);
        self.digest = self.digest.wrapping_sub(digest);
    }
}

/// Makes digests of records.
#[derive(Clone)]
pub struct Digester(MacKey);

impl Digester {
    /// Derives what it needs from the journal key.
    ///
    /// # Errors
    /// There is no room for its key.
    pub fn new(key: &MacKey) -> Result<Self, RoomError> {
        key.derive(b"index digest").map(Self)
    }

    /// What the record adds to the sum.
    #[must_use]
    pub fn digest(&self, key: &Key, revision: u64, value: &[u8]) -> u128 {
        let tag = self.0.tag(&[&key.0, &revision.to_le_bytes(), value]);
        tag.first_chunk().map_or(0, |half| u128::from_le_bytes(*half))
    }

    /// Counts the record in.
    pub fn add(&self, tally: &mut Tally, key: &Key, revision: u64, value: &[u8]) {
        tally.add(self.digest(key, revision, value));
    }
}
