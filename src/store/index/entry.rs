//! What stands in the index, byte by byte.
//!
//! ```text
//! key   33 bytes                     value  a leaf ([`super::leaf`]): pointers to records whose keys are not below it
//! key   empty (how far it has come)  value  8 sequence, 32 chain value, 8 records, 16 digest, 1 format (3)
//! ```
//!
//! Integers are little-endian. Before format 3 it had an entry for each record, before format 2 with the value in it, and before that the
//! last entry had no format: such ones are made anew.
//!
//! Never says more of a value than where it is and what digest it must have.

use super::tally::Tally;
use super::{Applied, Pointer};
use crate::chain::Mark;
use crate::store::KEY_LENGTH;

/// Under which key it says how far it has come: no record has a key of this length.
pub(crate) const APPLIED_KEY: &[u8] = b"";

/// What it is written in.
const FORMAT: u8 = 3;

/// Length of a pointer as it is stored.
pub(crate) const POINTER: usize = 32;

/// Length of [`Applied`] as it is stored, and was before there was a format.
const APPLIED: usize = 65;
const WITHOUT_FORMAT: usize = 64;

pub(crate) fn misshapen() -> sled::Error {
    sled::Error::Unsupported("an entry has not the shape that was written".into())
}

pub(crate) fn encode(pointer: &Pointer) -> [u8; POINTER] {
    let mut encoded = [0; POINTER];
    encoded[..8].copy_from_slice(&pointer.revision.to_le_bytes());
    encoded[8..12].copy_from_slice(&pointer.offset.to_le_bytes());
    encoded[12..16].copy_from_slice(&pointer.length.to_le_bytes());
    encoded[16..].copy_from_slice(&pointer.digest.to_le_bytes());
    encoded
}

pub(crate) fn decode(stored: &[u8; POINTER]) -> Pointer {
    let part =
        |from: usize| stored[from..from + 4].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
    Pointer {
        revision: stored.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)),
        offset: part(8),
        length: part(12),
        digest: stored.last_chunk().map_or(0, |bytes| u128::from_le_bytes(*bytes)),
    }
}

pub(crate) fn encode_applied(applied: &Applied) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(APPLIED);
    encoded.extend_from_slice(&applied.mark.sequence.to_le_bytes());
    encoded.extend_from_slice(&applied.mark.chain);
    encoded.extend_from_slice(&applied.tally.records.to_le_bytes());
    encoded.extend_from_slice(&applied.tally.digest.to_le_bytes());
    encoded.push(FORMAT);
    encoded
}

/// Whether a program from before this format wrote it.
pub(crate) fn is_of_earlier(applied: &[u8]) -> bool {
    applied.len() == WITHOUT_FORMAT
        || (applied.len() == APPLIED && applied.last().is_some_and(|format| *format < FORMAT))
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
