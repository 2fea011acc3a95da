//! What stands in the index, byte by byte.
//!
//! ```text
//! key   33 bytes                     value  8 revision, 4 offset, 4 length, 16 digest, 4 CRC32C over the key and those
//! key   empty (how far it has come)  value  8 sequence, 32 chain value, 8 records, 16 digest, 1 format (2)
//! ```
//!
//! Integers are little-endian. Before format 2 it held the values, and the last entry had no format: such a one is made anew.
//!
//! Never says more of a value than where it is and what digest it must have.

use super::tally::Tally;
use super::{Applied, Pointer};
use crate::chain::Mark;
use crate::store::{KEY_LENGTH, Key};

/// Under which key it says how far it has come: no record has a key of this length.
pub(crate) const APPLIED_KEY: &[u8] = b"";

/// What it is written in.
const FORMAT: u8 = 2;

/// Length of a pointer as it is stored.
const POINTER: usize = 36;

/// Length of [`Applied`] as it was stored before there was a format.
pub(crate) const WITHOUT_FORMAT: usize = 64;

pub(crate) fn misshapen() -> sled::Error {
    sled::Error::Unsupported("an entry has not the shape that was written".into())
}

pub(crate) fn encode(key: &Key, pointer: &Pointer) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(POINTER);
    encoded.extend_from_slice(&pointer.revision.to_le_bytes());
    encoded.extend_from_slice(&pointer.offset.to_le_bytes());
    encoded.extend_from_slice(&pointer.length.to_le_bytes());
    encoded.extend_from_slice(&pointer.digest.to_le_bytes());
    let checksum = checksum(key, &encoded);
    encoded.extend_from_slice(&checksum.to_le_bytes());
    encoded
}

/// The sum of the digests says nothing of the other fields, and nothing of the key: the checksum does.
fn checksum(key: &Key, encoded: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&key.0), encoded)
}

pub(crate) fn decode(key: &Key, stored: &[u8]) -> sled::Result<Pointer> {
    let decoded = || {
        let (covered, sum) = stored.split_last_chunk()?;
        if stored.len() != POINTER || u32::from_le_bytes(*sum) != checksum(key, covered) {
            return None;
        }
        let (revision, rest) = covered.split_first_chunk()?;
        let (offset, rest) = rest.split_first_chunk()?;
        let (length, digest) = rest.split_first_chunk()?;
        Some(Pointer {
            revision: u64::from_le_bytes(*revision),
            offset: u32::from_le_bytes(*offset),
            length: u32::from_le_bytes(*length),
            digest: u128::from_le_bytes(digest.try_into().ok()?),
        })
    };
    decoded().ok_or_else(misshapen)
}

pub(crate) fn encode_applied(applied: &Applied) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(WITHOUT_FORMAT + 1);
    encoded.extend_from_slice(&applied.mark.sequence.to_le_bytes());
    encoded.extend_from_slice(&applied.mark.chain);
    encoded.extend_from_slice(&applied.tally.records.to_le_bytes());
    encoded.extend_from_slice(&applied.tally.digest.to_le_bytes());
    encoded.push(FORMAT);
    encoded
}

pub(crate) fn decode_applied(encoded: &[u8]) -> Option<Applied> {
    let (sequence, rest) = encoded.split_first_chunk()?;
    let (chain, rest) = rest.split_first_chunk()?;
    let (records, rest) = rest.split_first_chunk()?;
    let (digest, format) = rest.split_first_chunk()?;
    if format != [FORMAT] {
        return None;
    }
    Some(Applied {
        mark: Mark { sequence: u64::from_le_bytes(*sequence), chain: *chain },
        tally: Tally { records: u64::from_le_bytes(*records), digest: u128::from_le_bytes(*digest) },
    })
}

// A record's key is as long as the trait says; what sled holds under any other length is not ours.
const _: () = assert!(APPLIED_KEY.len() != KEY_LENGTH);
