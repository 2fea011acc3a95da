//! One journal record: a batch and what ties it to its place (docs/journal-format.md).
//!
//! ```text
//!   0   4  length of the whole record, this field and the checksum among it
//!   4   8  sequence
//!  12   8  written at, microseconds since 1970
//!  20   8  audit mark: sequence
//!  28  32  audit mark: chain value
//!  60   8  records in the store after this one
//!  68  16  digest of the store after this one
//!  84   4  length of the note, N
//!  88   N  note
//!       4  number of changes; then for each
//!       1    0 delete, 1 put
//!      33    key
//!     4+V    put only: length of the value, V, and the value
//!      32  MAC over the chain value before and all of the above
//!       4  CRC32C over all of the above
//! ```
//!
//! Integers are little-endian. The checksum comes last and tells a torn write; the MAC tells a forged or a
//! misplaced one. Both are needed: a crash may tear a record and nobody is to blame, a wrong MAC under a right
//! checksum is never an accident.
//!
//! Never reads beyond the length it was told, and never trusts that length beyond [`MOST`].

use std::fmt;

use crate::chain::Mark;
use crate::crypto::mac::MAC_LENGTH;
use crate::store::index::tally::Tally;
use crate::store::{Batch, Change, KEY_LENGTH, Key};

/// The largest record: one mebibyte, so that a wrong length is told from a large batch, and a group of records
/// is written in one go.
pub const MOST: usize = 1 << 20;

/// Everything before the note's bytes.
const HEAD: usize = 88;

/// The MAC and the checksum.
const TRAILER: usize = MAC_LENGTH + 4;

/// The smallest record: an empty note, no change.
const LEAST: usize = HEAD + 4 + TRAILER;

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its place, from 1.
    pub sequence: u64,
    /// Microseconds since 1970, by the wall clock.
    pub written_at: u64,
    /// What of the audit log was durable when this was written.
    pub witness: Mark,
    /// The state of the store after it.
    pub tally: Tally,
    /// Opaque.
    pub note: Vec<u8>,
    /// In order.
    pub changes: Vec<Change>,
}

/// A whole record; its MAC has not been looked at.
#[derive(Debug, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// What it says.
    pub entry: Entry,
    /// The bytes under the MAC.
    pub covered: &'a [u8],
    /// The MAC it carries: its chain value.
    pub mac: [u8; MAC_LENGTH],
    /// Bytes it takes in the segment.
    pub length: usize,
}

/// Why there is no record here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// Nothing was written here: the length is zero, or there is no room for one.
    End,
    /// The checksum holds and yet the body makes no sense.
    Malformed,
    /// Not whole, and why one thinks so.
    Torn(&'static str),
    /// Whole, and not written here with this key. Only a walk along the chain can tell.
    Unchained,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::End => f.write_str("the journal ends here"),
            Self::Malformed => f.write_str("the record makes no sense although its checksum holds"),
            Self::Torn(why) => f.write_str(why),
            Self::Unchained => f.write_str("the MAC of the record does not hold although its checksum does"),
        }
    }
}

/// Bytes that the record of a batch takes.
#[must_use]
pub fn length(batch: &Batch) -> usize {
    LEAST + batch.note.len() + batch.changes.iter().map(change_length).sum::<usize>()
}

fn change_length(change: &Change) -> usize {
    match change {
        Change::Delete(_) => 1 + KEY_LENGTH,
        Change::Put(_, value) => 1 + KEY_LENGTH + 4 + value.len(),
    }
}

/// Where in its record the value of each change of `entry` stands; of a deletion, where one would.
pub fn values_at(entry: &Entry) -> impl Iterator<Item = usize> + '_ {
    values_behind(entry.note.len(), &entry.changes)
}

/// The same for changes that are going to be a record with a note of so many bytes.
pub fn values_behind(note: usize, changes: &[Change]) -> impl Iterator<Item = usize> + '_ {
    let mut at = HEAD + note + 4;
    changes.iter().map(move |change| {
        let begins = at;
        at += change_length(change);
        begins + 1 + KEY_LENGTH + 4
    })
}

/// Appends the record to `out`. `seal` gives the MAC over the bytes it is shown. The entry is no longer than
/// [`MOST`] as a record; the caller has seen to it.
pub fn encode(
    entry: &Entry,
    seal: impl FnOnce(&[u8]) -> [u8; MAC_LENGTH],
    out: &mut Vec<u8>,
) -> [u8; MAC_LENGTH] {
    let start = out.len();
    let length = LEAST + entry.note.len() + entry.changes.iter().map(change_length).sum::<usize>();
    out.reserve(length);
    put_length(out, length);
    out.extend_from_slice(&entry.sequence.to_le_bytes());
    out.extend_from_slice(&entry.written_at.to_le_bytes());
    out.extend_from_slice(&entry.witness.sequence.to_le_bytes());
    out.extend_from_slice(&entry.witness.chain);
    out.extend_from_slice(&entry.tally.records.to_le_bytes());
    out.extend_from_slice(&entry.tally.digest.to_le_bytes());
    put_length(out, entry.note.len());
    out.extend_from_slice(&entry.note);
    put_length(out, entry.changes.len());
    for change in &entry.changes {
        match change {
            Change::Delete(key) => {
                out.push(0);
                out.extend_from_slice(&key.0);
            }
            Change::Put(key, value) => {
                out.push(1);
                out.extend_from_slice(&key.0);
                put_length(out, value.len());
                out.extend_from_slice(value);
            }
        }
    }
    let mac = seal(&out[start..]);
    out.extend_from_slice(&mac);
    let checksum = crc32c::crc32c(&out[start..]);
    out.extend_from_slice(&checksum.to_le_bytes());
    mac
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    // Lengths are below MOST; saturating would only make a record that its own checksum guards and no reader takes.
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
}

/// The record at the start of `bytes`, which may hold more behind it.
///
/// # Errors
/// There is none, or none whole.
pub fn decode(bytes: &[u8]) -> Result<Decoded<'_>, Unreadable> {
    let Some(length) = bytes.first_chunk().map(|chunk| u32::from_le_bytes(*chunk) as usize) else {
        return Err(Unreadable::End);
    };
    match length {
        0 => return Err(Unreadable::End),
        LEAST..=MOST => {}
        _ => return Err(Unreadable::Torn("the record has an impossible length")),
    }
    let Some(whole) = bytes.get(..length) else {
        return Err(Unreadable::Torn("the record is longer than the segment"));
    };
    let (summed, checksum) = whole.split_at(length - 4);
    if checksum != crc32c::crc32c(summed).to_le_bytes() {
        return Err(Unreadable::Torn("the checksum of the record does not hold"));
    }
    let (covered, mac) = summed.split_at(length - TRAILER);
    let parsed = mac.first_chunk().zip(parse(covered));
    let (mac, entry) = parsed.ok_or(Unreadable::Malformed)?;
    Ok(Decoded { entry, covered, mac: *mac, length })
}

fn parse(covered: &[u8]) -> Option<Entry> {
    let mut rest = covered.get(4..)?;
    let sequence = u64::from_le_bytes(*take(&mut rest)?);
    let written_at = u64::from_le_bytes(*take(&mut rest)?);
    let witness = Mark { sequence: u64::from_le_bytes(*take(&mut rest)?), chain: *take(&mut rest)? };
    let records = u64::from_le_bytes(*take(&mut rest)?);
    let digest = u128::from_le_bytes(*take(&mut rest)?);
    let note = take_counted(&mut rest)?.to_vec();
    let count = u32::from_le_bytes(*take(&mut rest)?) as usize;
    // Each takes its kind and key at least: a count beyond that must not size an allocation.
    if count > rest.len() / (1 + KEY_LENGTH) {
        return None;
    }
    let mut changes = Vec::with_capacity(count);
    for _ in 0..count {
        let [kind] = *take(&mut rest)?;
        let key = Key(*take(&mut rest)?);
        changes.push(match kind {
            0 => Change::Delete(key),
            1 => Change::Put(key, take_counted(&mut rest)?.to_vec()),
            _ => return None,
        });
    }
    rest.is_empty().then_some(Entry {
        sequence,
        written_at,
        witness,
        tally: Tally { records, digest },
        note,
        changes,
    })
}

fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (head, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(head)
}

fn take_counted<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = u32::from_le_bytes(*take(rest)?) as usize;
    let (head, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(head)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn changes() -> impl Strategy<Value = Change> {
        let key = any::<[u8; 32]>().prop_map(|blind| {
            let mut key = [3; KEY_LENGTH];
            key[1..].copy_from_slice(&blind);
            Key(key)
        });
        prop_oneof![
            key.clone().prop_map(Change::Delete),
            (key, vec(any::<u8>(), 0..600)).prop_map(|(key, value)| Change::Put(key, value)),
        ]
    }

    fn entries() -> impl Strategy<Value = Entry> {
        let head = (any::<u64>(), any::<u64>(), any::<u64>(), any::<[u8; 32]>(), any::<u64>(), any::<u128>());
        (head, vec(any::<u8>(), 0..300), vec(changes(), 0..6)).prop_map(|(head, note, changes)| Entry {
            sequence: head.0,
            written_at: head.1,
            witness: Mark { sequence: head.2, chain: head.3 },
            tally: Tally { records: head.4, digest: head.5 },
            note,
            changes,
        })
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(entry in entries(), mac in any::<[u8; 32]>(), behind in vec(any::<u8>(), 0..9)) {
            let mut bytes = Vec::new();
            encode(&entry, |_| mac, &mut bytes);
            let batch = Batch { preconditions: Vec::new(), changes: entry.changes.clone(), note: entry.note.clone() };
            prop_assert_eq!(bytes.len(), length(&batch));
            let covered = bytes.len() - TRAILER;
            let length = bytes.len();
            bytes.extend_from_slice(&behind);
            prop_assert_eq!(decode(&bytes), Ok(Decoded { entry, covered: &bytes[..covered], mac, length }));
        }

        #[test]
        fn no_flipped_bit_goes_unseen(entry in entries(), at in any::<prop::sample::Index>(), bit in 0..8_u8) {
            let mut bytes = Vec::new();
            encode(&entry, |_| [9; 32], &mut bytes);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(decode(&bytes).is_err());
        }

        #[test]
        fn any_bytes_are_refused_or_mean_what_they_say(bytes in vec(any::<u8>(), 0..400)) {
            if let Ok(decoded) = decode(&bytes) {
                let mut again = Vec::new();
                encode(&decoded.entry, |_| decoded.mac, &mut again);
                prop_assert_eq!(&again[..], &bytes[..decoded.length]);
            }
        }
    }

    #[test]
    fn a_count_of_changes_beyond_the_bytes_is_malformed() {
        let entry = Entry {
            sequence: 1,
            written_at: 0,
            witness: Mark::START,
            tally: Tally::default(),
            note: Vec::new(),
            changes: Vec::new(),
        };
        let mut bytes = Vec::new();
        encode(&entry, |_| [0; 32], &mut bytes);
        bytes[HEAD..HEAD + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        let end = bytes.len() - 4;
        let checksum = crc32c::crc32c(&bytes[..end]).to_le_bytes();
        bytes[end..].copy_from_slice(&checksum);
        assert_eq!(decode(&bytes), Err(Unreadable::Malformed));
    }
}
