//! The head of a segment: which journal it belongs to and where in it (docs/journal-format.md).
//!
//! ```text
//!   0   8  magic, "tkeepjrn"
//!   8   4  format, 1
//!  12   4  zeros
//!  16  16  vault id
//!  32   8  sequence of its first record
//!  40  32  chain value before its first record
//!  72  32  MAC over bytes 0..72
//! 104   4  CRC32C over bytes 0..104
//! 108      zeros up to 4096, where the first record starts
//! ```
//!
//! The head has a block of its own, so that no write of a record ever touches it again.
//!
//! Magic, format and checksum stay where they are in every later format: that is how an older program tells a
//! newer segment from a damaged one.

use std::path::{Path, PathBuf};

use crate::chain::Mark;
use crate::crypto::mac::{MAC_LENGTH, MacKey};
use crate::room::RoomError;

/// Where the records start.
pub const RECORDS_AT: usize = 4096;

/// The format that this program writes, and the newest it reads.
pub const FORMAT: u32 = 1;

const MAGIC: &[u8; 8] = b"tkeepjrn";
const MAC_AT: usize = 72;
const CHECKSUM_AT: usize = MAC_AT + MAC_LENGTH;

/// What makes a journal this vault's.
#[derive(Clone)]
pub struct Identity {
    vault: [u8; 16],
    chain: MacKey,
    heads: MacKey,
    snapshots: MacKey,
}

impl Identity {
    /// Derives what the journal needs from its key.
    ///
    /// # Errors
    /// There is no room for its keys.
    pub fn new(vault: [u8; 16], key: &MacKey) -> Result<Self, RoomError> {
        let (chain, heads) = (key.derive(b"journal record")?, key.derive(b"journal segment")?);
        Ok(Self { vault, chain, heads, snapshots: key.derive(b"snapshot")? })
    }

    /// Whose journal it is.
    #[must_use]
    pub fn vault(&self) -> [u8; 16] {
        self.vault
    }

    /// The key of the MACs in snapshots.
    #[must_use]
    pub fn snapshots(&self) -> &MacKey {
        &self.snapshots
    }

    /// The chain value of a record: the MAC over its bytes and the value before.
    #[must_use]
    pub fn chain(&self, before: &[u8; MAC_LENGTH], covered: &[u8]) -> [u8; MAC_LENGTH] {
        self.chain.tag(&[before, covered])
    }

    /// Whether `mac` is the chain value of the record.
    #[must_use]
    pub fn chains(&self, before: &[u8; MAC_LENGTH], covered: &[u8], mac: &[u8; MAC_LENGTH]) -> bool {
        self.chain.verifies(&[before, covered], mac)
    }
}

/// Why a segment is not one of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Not what was written, and why one thinks so.
    Damaged(&'static str),
    /// Of a later format.
    NewerFormat(u32),
}

/// The head of a segment that goes on after `before`.
#[must_use]
pub fn encode(identity: &Identity, before: &Mark) -> Vec<u8> {
    let mut head = Vec::with_capacity(RECORDS_AT);
    head.extend_from_slice(MAGIC);
    head.extend_from_slice(&FORMAT.to_le_bytes());
    head.extend_from_slice(&[0; 4]);
    head.extend_from_slice(&identity.vault);
    head.extend_from_slice(&before.sequence.saturating_add(1).to_le_bytes());
    head.extend_from_slice(&before.chain);
    let mac = identity.heads.tag(&[&head]);
    head.extend_from_slice(&mac);
    let checksum = crc32c::crc32c(&head);
    head.extend_from_slice(&checksum.to_le_bytes());
    head.resize(RECORDS_AT, 0);
    head
}

/// The mark after which the segment goes on.
///
/// # Errors
/// It is not a segment of this journal.
pub fn decode(identity: &Identity, bytes: &[u8]) -> Result<Mark, Refusal> {
    let short = Refusal::Damaged("the segment is too short for its head");
    let head = bytes.get(..RECORDS_AT).ok_or(short)?;
    if &head[..8] != MAGIC {
        return Err(Refusal::Damaged("the segment does not start as one"));
    }
    let (summed, checksum) = head[..CHECKSUM_AT + 4].split_at(CHECKSUM_AT);
    if checksum != crc32c::crc32c(summed).to_le_bytes() {
        return Err(Refusal::Damaged("the checksum of the segment's head does not hold"));
    }
    let format = head[8..12].first_chunk().map_or(0, |chunk| u32::from_le_bytes(*chunk));
    if format > FORMAT {
        return Err(Refusal::NewerFormat(format));
    }
    if head[16..32] != identity.vault {
        return Err(Refusal::Damaged("the segment belongs to another vault"));
    }
    let (covered, mac) = summed.split_at(MAC_AT);
    if format != FORMAT || !mac.first_chunk().is_some_and(|mac| identity.heads.verifies(&[covered], mac)) {
        return Err(Refusal::Damaged("the segment's head was not written with this vault's key"));
    }
    let first = head[32..40].first_chunk().map_or(0, |chunk| u64::from_le_bytes(*chunk));
    let chain = head[40..72].first_chunk().copied().unwrap_or_default();
    first
        .checked_sub(1)
        .map(|sequence| Mark { sequence, chain })
        .ok_or(Refusal::Damaged("the segment starts before the first record"))
}

/// The file of the segment whose first record is `first`.
#[must_use]
pub fn path(directory: &Path, first: u64) -> PathBuf {
    directory.join(format!("{first:020}.journal"))
}

/// The first sequence that a file name speaks of, if it names a segment.
#[must_use]
pub fn first_in_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".journal")?;
    let whole = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    whole.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(vault: u8) -> Identity {
        Identity::new([vault; 16], &MacKey::new(&[1; 32])).unwrap()
    }

    #[test]
    fn a_head_says_where_it_goes_on_and_only_to_its_own_vault() {
        let before = Mark { sequence: 41, chain: [5; 32] };
        let head = encode(&identity(7), &before);
        assert_eq!(decode(&identity(7), &head), Ok(before));
        assert_eq!(
            decode(&identity(8), &head),
            Err(Refusal::Damaged("the segment belongs to another vault"))
        );
        let stranger = Identity::new([7; 16], &MacKey::new(&[2; 32])).unwrap();
        assert!(matches!(decode(&stranger, &head), Err(Refusal::Damaged(_))));
        for at in 0..CHECKSUM_AT + 4 {
            let mut flipped = head.clone();
            flipped[at] ^= 1;
            assert!(matches!(decode(&identity(7), &flipped), Err(Refusal::Damaged(_))), "byte {at}");
        }
    }

    #[test]
    fn a_newer_format_is_told_from_damage() {
        let mut head = encode(&identity(7), &Mark::START);
        head[8..12].copy_from_slice(&2_u32.to_le_bytes());
        let checksum = crc32c::crc32c(&head[..CHECKSUM_AT]).to_le_bytes();
        head[CHECKSUM_AT..CHECKSUM_AT + 4].copy_from_slice(&checksum);
        assert_eq!(decode(&identity(7), &head), Err(Refusal::NewerFormat(2)));
    }

    #[test]
    fn only_segments_have_the_name_of_one() {
        assert_eq!(first_in_name("00000000000000000041.journal"), Some(41));
        assert_eq!(first_in_name("41.journal"), None);
        assert_eq!(first_in_name("next.tmp"), None);
        assert_eq!(path(Path::new("j"), 41), Path::new("j/00000000000000000041.journal"));
    }
}
