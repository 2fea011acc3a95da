//! How many records there are and a digest of them all, kept up change by change.
//!
//! The hard problem: to know that an index holds exactly what the journal says without reading the journal
//! whole. The answer: each record adds a keyed hash of itself to a sum modulo 2^128 and takes it away when it
//! goes; each journal record carries the sum after it. Order does not matter, so a scan of the index gives the
//! same sum (AdHash, Bellare and Micciancio 1997).
//!
//! Tells accident, never forgery: whoever can write the index without the key cannot aim at a sum, but the
//! proof of a record is the seal on its value.

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

    fn digest(&self, key: &Key, revision: u64, value: &[u8]) -> u128 {
        let tag = self.0.tag(&[&key.0, &revision.to_le_bytes(), value]);
        tag.first_chunk().map_or(0, |half| u128::from_le_bytes(*half))
    }

    /// Counts the record in.
    pub fn add(&self, tally: &mut Tally, key: &Key, revision: u64, value: &[u8]) {
        tally.records = tally.records.wrapping_add(1);
        tally.digest = tally.digest.wrapping_add(self.digest(key, revision, value));
    }

    /// Counts the record out.
    pub fn remove(&self, tally: &mut Tally, key: &Key, revision: u64, value: &[u8]) {
        tally.records = tally.records.wrapping_sub(1);
        tally.digest = tally.digest.wrapping_sub(self.digest(key, revision, value));
    }
}
