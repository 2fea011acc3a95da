//! The journal, as a backup takes it: the bytes of its segments, up to the last change that is durable.
//!
//! The hard problem: the last segment is being written to while it is read. The answer: it is read record by record, each
//! held against the one before, and no further than the store says that it is durable.
//!
//! Never ships a record that does not follow.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::BackupError;
use crate::chain::Mark;
use crate::store::index::tally::Tally;
use crate::store::journal::record::{self, Unreadable};
use crate::store::journal::segment::{self, Identity, RECORDS_AT};

/// Where the reading stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    /// The sequence of the first record of the segment.
    pub(super) segment: u64,
    /// The next byte of it.
    pub(super) offset: u64,
    /// The last record that was read.
    pub(super) reached: Reached,
}

/// A record, and the state of the store after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reached {
    pub(super) mark: Mark,
    pub(super) written_at: u64,
    pub(super) tally: Tally,
}

impl Reached {
    pub(super) const NOTHING: Self =
        Self { mark: Mark::START, written_at: 0, tally: Tally { records: 0, digest: 0 } };
}

impl Position {
    /// Whether there is anything to read up to there.
    pub(super) fn is_before(&self, head: &Mark) -> bool {
        self.reached.mark.sequence < head.sequence
    }

    /// Copies what is left of the segment, and stands at its end, or in the next one.
    pub(super) fn copy(
        &mut self,
        directory: &Path,
        identity: &Identity,
        head: &Mark,
        out: &mut dyn Write,
    ) -> Result<u64, BackupError> {
        let path = segment::path(directory, self.segment);
        let damaged = |what: String| BackupError::Damaged(format!("{}: {what}", path.display()));
        let mut file = File::open(&path).map_err(|why| BackupError::io(&path, &why))?;
        file.seek(SeekFrom::Start(self.offset)).map_err(|why| BackupError::io(&path, &why))?;
        let mut input = BufReader::with_capacity(256 * 1024, file);
        let began = self.offset;
        if self.offset == 0 {
            self.copy_head(&mut input, identity, out).map_err(|why| match why {
                BackupError::Damaged(what) => damaged(what),
                why => why,
            })?;
        }
        let mut bytes = Vec::new();
        while self.is_before(head)
            && next(&mut input, &mut bytes).map_err(|why| BackupError::io(&path, &why))?
        {
            let decoded = match record::decode(&bytes) {
                Ok(decoded) => decoded,
                Err(Unreadable::End) => break,
                Err(why) => return Err(damaged(why.to_string())),
            };
            let mark = Mark { sequence: decoded.entry.sequence, chain: decoded.mac };
            // A backup that begins in the middle has records before its beginning, which it takes as they are.
            let follows = self.reached.mark.sequence + 1 == mark.sequence
                && identity.chains(&self.reached.mark.chain, decoded.covered, &decoded.mac);
            if !follows {
                return Err(damaged(format!("record {} does not follow", mark.sequence)));
            }
            self.reached = Reached { mark, written_at: decoded.entry.written_at, tally: decoded.entry.tally };
            self.offset += decoded.length as u64;
            out.write_all(&bytes).map_err(BackupError::spool)?;
        }
        let copied = self.offset - began;
        if self.is_before(head) {
            let next = self.reached.mark.sequence + 1;
            if next == self.segment {
                return Err(damaged("it has no records, and the journal goes on".into()));
            }
            (self.segment, self.offset) = (next, 0);
        }
        Ok(copied)
    }

    fn copy_head(
        &mut self,
        input: &mut impl Read,
        identity: &Identity,
        out: &mut dyn Write,
    ) -> Result<(), BackupError> {
        let mut bytes = vec![0; RECORDS_AT];
        let short = |_| BackupError::Damaged("it is too short for a segment".into());
        input.read_exact(&mut bytes).map_err(short)?;
        let unfit = |_| BackupError::Damaged("its head is not that of a segment of this vault".into());
        let before = segment::decode(identity, &bytes).map_err(unfit)?;
        match self.reached.mark {
            Mark { sequence: 0, .. } => self.reached.mark = before,
            mark if mark != before => {
                return Err(BackupError::Damaged("it does not go on where the one before it ends".into()));
            }
            _ => {}
        }
        out.write_all(&bytes).map_err(BackupError::spool)?;
        self.offset = RECORDS_AT as u64;
        Ok(())
    }
}

/// Reads the bytes of a record; false where there is none.
fn next(input: &mut impl Read, bytes: &mut Vec<u8>) -> io::Result<bool> {
    bytes.clear();
    let mut length = [0; 4];
    let mut got = 0;
    while got < length.len() {
        match input.read(&mut length[got..])? {
            0 => return Ok(false),
            more => got += more,
        }
    }
    let whole = u32::from_le_bytes(length) as usize;
    if whole == 0 || whole > record::MOST {
        // What it is, decoding says.
        bytes.extend_from_slice(&length);
        return Ok(true);
    }
    bytes.extend_from_slice(&length);
    input.take(whole.saturating_sub(length.len()) as u64).read_to_end(bytes)?;
    Ok(true)
}

/// The first sequences of the segments there are, in order.
pub(super) fn segments(directory: &Path) -> Result<Vec<u64>, BackupError> {
    let list = || {
        let mut firsts = Vec::new();
        for entry in std::fs::read_dir(directory)? {
            firsts.extend(entry?.file_name().to_str().and_then(segment::first_in_name));
        }
        firsts.sort_unstable();
        Ok(firsts)
    };
    list().map_err(|why: io::Error| BackupError::io(directory, &why))
}

/// The record of this sequence; none where its segment is no longer there.
pub(super) fn find(
    directory: &Path,
    identity: &Identity,
    sequence: u64,
) -> Result<Option<Reached>, BackupError> {
    let Some(first) = segments(directory)?.into_iter().rfind(|first| *first <= sequence) else {
        return Ok(None);
    };
    let mut position = Position { segment: first, offset: 0, reached: Reached::NOTHING };
    let upto = Mark { sequence, chain: [0; 32] };
    position.copy(directory, identity, &upto, &mut io::sink())?;
    Ok((position.reached.mark.sequence == sequence).then_some(position.reached))
}
