//! A snapshot, byte by byte (docs/snapshot-format.md).
//!
//! ```text
//! head                                          block
//!   0   8  magic, "tkeepsnp"                      0   4  length of the whole block, L
//!   8   4  format, 1                              4   4  number of records; 0 in the last block
//!  12   4  zeros                                  8      each record: 33 key, 8 revision, 4 length of the value, value
//!  16  16  vault id                            L-36  32  MAC over the MAC before and bytes 0..L-36
//!  32   8  sequence of the last journal record  L-4   4  CRC32C over bytes 0..L-4
//!  40  32  its chain value
//!  72   8  audit mark: sequence
//!  80  32  audit mark: chain value
//! 112   8  when that record was written
//! 120   8  number of records in the store
//! 128  16  digest of them
//! 144  32  MAC over bytes 0..144
//! 176   4  CRC32C over bytes 0..176
//! ```
//!
//! Integers are little-endian. The MAC before the first block is that of the head, so no block stands in another file,
//! in another place, or is missed at the end.
//!
//! Magic, format and checksum of the head stay where they are in every later format.

use crate::chain::Mark;
use crate::crypto::mac::MAC_LENGTH;
use crate::store::index::tally::Tally;
use crate::store::journal::segment::{Identity, Refusal};
use crate::store::{KEY_LENGTH, Key};

/// The format that this program writes, and the newest it reads.
pub const FORMAT: u32 = 1;

/// Length of the head.
pub const HEAD: usize = CHECKSUM_AT + 4;

/// A block is closed at this length: whoever wants one record of it reads it whole, and beside it its MAC costs little.
pub const BLOCK: usize = 16 << 10;

/// No block is longer: one record of the largest size fits in.
pub const MOST: usize = 2 << 20;

/// The shortest block: no record.
pub const LEAST: usize = 8 + TRAILER;

const MAGIC: &[u8; 8] = b"tkeepsnp";
const MAC_AT: usize = 144;
const CHECKSUM_AT: usize = MAC_AT + MAC_LENGTH;
const TRAILER: usize = MAC_LENGTH + 4;

/// What a snapshot says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The last journal record in it.
    pub at: Mark,
    /// The newest audit mark of the records up to that one.
    pub witness: Mark,
    /// When that record was written, in microseconds since 1970.
    pub written_at: u64,
    /// What it holds.
    pub tally: Tally,
}

/// The head, and the MAC in it.
#[must_use]
pub fn encode_head(identity: &Identity, head: &Head) -> (Vec<u8>, [u8; MAC_LENGTH]) {
    let mut bytes = Vec::with_capacity(HEAD);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&FORMAT.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&identity.vault());
    bytes.extend_from_slice(&head.at.sequence.to_le_bytes());
    bytes.extend_from_slice(&head.at.chain);
    bytes.extend_from_slice(&head.witness.sequence.to_le_bytes());
    bytes.extend_from_slice(&head.witness.chain);
    bytes.extend_from_slice(&head.written_at.to_le_bytes());
    bytes.extend_from_slice(&head.tally.records.to_le_bytes());
    bytes.extend_from_slice(&head.tally.digest.to_le_bytes());
    let mac = identity.snapshots().tag(&[&bytes]);
    bytes.extend_from_slice(&mac);
    let checksum = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    (bytes, mac)
}

/// What the head says, and the MAC in it.
///
/// # Errors
/// It is not the head of a snapshot of this vault.
pub fn decode_head(identity: &Identity, bytes: &[u8]) -> Result<(Head, [u8; MAC_LENGTH]), Refusal> {
    let head = bytes.get(..HEAD).ok_or(Refusal::Damaged("the snapshot is too short for its head"))?;
    if &head[..8] != MAGIC {
        return Err(Refusal::Damaged("the snapshot does not start as one"));
    }
    let (summed, checksum) = head.split_at(CHECKSUM_AT);
    if checksum != crc32c::crc32c(summed).to_le_bytes() {
        return Err(Refusal::Damaged("the checksum of the snapshot's head does not hold"));
    }
    let format = u32::from_le_bytes(part(head, 8));
    if format > FORMAT {
        return Err(Refusal::NewerFormat(format));
    }
    if head[16..32] != identity.vault() {
        return Err(Refusal::Damaged("the snapshot belongs to another vault"));
    }
    let (covered, mac) = summed.split_at(MAC_AT);
    let mac = part(mac, 0);
    if format != FORMAT || !identity.snapshots().verifies(&[covered], &mac) {
        return Err(Refusal::Damaged("the snapshot's head was not written with this vault's key"));
    }
    let mark = |at| Mark { sequence: u64::from_le_bytes(part(head, at)), chain: part(head, at + 8) };
    let (records, digest) = (u64::from_le_bytes(part(head, 120)), u128::from_le_bytes(part(head, 128)));
    let written_at = u64::from_le_bytes(part(head, 112));
    Ok((Head { at: mark(32), witness: mark(72), written_at, tally: Tally { records, digest } }, mac))
}

/// The bytes at `at`, of which there are enough: the length was looked at before.
fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
}

/// Begins a block in `block`, whatever was there.
pub fn begin(block: &mut Vec<u8>) {
    block.clear();
    block.extend_from_slice(&[0; 8]);
}

/// Adds a record.
pub fn put(block: &mut Vec<u8>, key: &Key, revision: u64, value: &[u8]) {
    block.extend_from_slice(&key.0);
    block.extend_from_slice(&revision.to_le_bytes());
    block.extend_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes());
    block.extend_from_slice(value);
}

/// Closes the block of so many records behind the block or head with this MAC; its own MAC.
#[must_use]
pub fn seal(
    identity: &Identity,
    before: &[u8; MAC_LENGTH],
    records: u32,
    block: &mut Vec<u8>,
) -> [u8; MAC_LENGTH] {
    let length = u32::try_from(block.len() + TRAILER).unwrap_or(u32::MAX);
    block[..4].copy_from_slice(&length.to_le_bytes());
    block[4..8].copy_from_slice(&records.to_le_bytes());
    let mac = identity.snapshots().tag(&[before, block]);
    block.extend_from_slice(&mac);
    let checksum = crc32c::crc32c(block);
    block.extend_from_slice(&checksum.to_le_bytes());
    mac
}

/// Checks a whole block: how many records it says that it has, and its MAC. They begin at byte 8.
///
/// # Errors
/// It is not what was written behind `before`.
pub fn check(
    identity: &Identity,
    before: &[u8; MAC_LENGTH],
    block: &[u8],
) -> Result<(u32, [u8; MAC_LENGTH]), &'static str> {
    let (records, mac) = check_sum(block)?;
    let covered = block.get(..block.len().saturating_sub(TRAILER)).unwrap_or_default();
    if !identity.snapshots().verifies(&[before, covered], &mac) {
        return Err("the MAC of the block does not hold although its checksum does");
    }
    Ok((records, mac))
}

/// As [`check`], by the checksum alone: enough for damage, not for forgery.
///
/// # Errors
/// It is not what was written.
pub fn check_sum(block: &[u8]) -> Result<(u32, [u8; MAC_LENGTH]), &'static str> {
    let Some((summed, checksum)) = block.split_at_checked(block.len().saturating_sub(4)) else {
        return Err("the block is too short");
    };
    if checksum != crc32c::crc32c(summed).to_le_bytes() {
        return Err("the checksum of the block does not hold");
    }
    let Some((covered, mac)) = summed.split_at_checked(summed.len().saturating_sub(MAC_LENGTH)) else {
        return Err("the block is too short");
    };
    Ok((u32::from_le_bytes(part(covered, 4)), part(mac, 0)))
}

/// Takes the next record off `rest`: its key, revision and value.
pub fn take<'a>(rest: &mut &'a [u8]) -> Option<(Key, u64, &'a [u8])> {
    let (key, behind) = rest.split_first_chunk::<KEY_LENGTH>()?;
    let (revision, behind) = behind.split_first_chunk()?;
    let (length, behind) = behind.split_first_chunk()?;
    let (value, behind) = behind.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *rest = behind;
    Some((Key(*key), u64::from_le_bytes(*revision), value))
}

/// Bytes at the end of a block that are no record.
#[must_use]
pub const fn trailer() -> usize {
    TRAILER
}
