//! The log as it is found at a start: its last segment, checked line by line, and how the one before it ends.
//!
//! The hard problem: what a crash leaves and what damage leaves look alike. The answer: a crash leaves only an
//! end without its newline, or blocks that were never written; these are cut off, and the journal's witness
//! tells whether too much was. A whole line that does not verify is damage.
//!
//! Never cuts a whole line.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::line;
use super::log::{OpenError, Torn};
use super::segment::{self, Lines, Name, Piece};
use super::walk::{Break, BreakKind, Fault, ReadError, Walk};
use crate::chain::Mark;
use crate::crypto::mac::MacKey;
use crate::os::durable;

/// The last segment, whole, and on disk.
pub(super) struct Recovered {
    pub(super) name: Name,
    pub(super) file: File,
    pub(super) size: u64,
    pub(super) head: Mark,
    pub(super) journal: Mark,
    pub(super) overtaken: Vec<u64>,
    pub(super) torn: Option<Torn>,
}

/// Checks the directory and the last segment; none where there is no segment yet.
pub(super) fn recover(
    directory: &Path,
    key: &MacKey,
    vault: [u8; 16],
) -> Result<Option<Recovered>, OpenError> {
    let unreadable = |error| OpenError::Io(directory.to_path_buf(), error);
    segment::make_directory(directory).map_err(unreadable)?;
    let found = fs::symlink_metadata(directory).map_err(unreadable)?;
    if !found.is_dir() || found.mode() & 0o077 != 0 {
        return Err(OpenError::Insecure(directory.to_path_buf()));
    }
    segment::clear_unborn(directory).map_err(unreadable)?;
    let listing = segment::list(directory).map_err(unreadable)?;
    let Some(&name) = listing.segments.last() else {
        return Ok(None);
    };
    let path = segment::path(directory, name);
    let io = |error| OpenError::Io(path.clone(), error);
    let found = fs::symlink_metadata(&path).map_err(io)?;
    if !found.is_file() || found.mode() & 0o077 != 0 {
        return Err(OpenError::Insecure(path));
    }
    let end = read(directory, name, key, vault)?;
    let file = OpenOptions::new().append(true).open(&path).map_err(io)?;
    if end.torn.is_some() {
        file.set_len(end.size).map_err(io)?;
    }
    // What a killed process wrote is whole in the page cache, but perhaps not on disk yet.
    durable::sync_data(&file).map_err(io)?;
    durable::sync_name(&file, &path).map_err(unreadable)?;
    let End { size, head, journal, seen, torn } = end;
    let overtaken = seen.overtaken();
    Ok(Some(Recovered { name, file, size, head, journal, overtaken, torn }))
}

struct End {
    size: u64,
    head: Mark,
    journal: Mark,
    seen: Seen,
    torn: Option<Torn>,
}

/// Which journal records the entries speak of. Changes that were made together may be written down in any
/// order, so the newest one says nothing of those before it.
struct Seen {
    /// All up to this one.
    upto: u64,
    /// Those beyond it; few, for whoever is overtaken is about to be written down.
    beyond: BTreeSet<u64>,
}

impl Seen {
    fn all_upto(newest: Mark) -> Self {
        Self { upto: newest.sequence, beyond: BTreeSet::new() }
    }

    /// Notes what an entry speaks of; the mark that it carries, if any.
    fn note_line(&mut self, bytes: &[u8]) -> Option<Mark> {
        let mark = journal_of(bytes)?;
        self.note(mark.sequence);
        Some(mark)
    }

    fn note(&mut self, sequence: u64) {
        if sequence > self.upto {
            self.beyond.insert(sequence);
        }
        while self.beyond.remove(&(self.upto + 1)) {
            self.upto += 1;
        }
    }

    /// Records before the newest one of which no entry speaks: a crash came between the two.
    fn overtaken(&self) -> Vec<u64> {
        let newest = self.beyond.last().copied().unwrap_or(self.upto);
        (self.upto + 1..newest).filter(|sequence| !self.beyond.contains(sequence)).collect()
    }
}

fn read(directory: &Path, name: Name, key: &MacKey, vault: [u8; 16]) -> Result<End, OpenError> {
    let refuse = |fault: Fault| OpenError::from_read(directory, fault.error);
    let mut walk = Walk::open(directory, name, key, vault).map_err(refuse)?;
    let journal = walk.opening().journal;
    // A change may be made in one segment and written down in the next one: what the one before speaks of counts too.
    let seen = match &walk.opening().previous {
        Some(previous) => {
            let before = Mark { sequence: walk.mark().sequence - 1, chain: previous.mac };
            read_before(directory, &previous.file, before)?
        }
        None => Seen::all_upto(journal),
    };
    let mut end = End { size: walk.end(), head: walk.mark(), journal, seen, torn: None };
    loop {
        match walk.advance() {
            Ok(true) => {}
            Ok(false) => return Ok(end),
            Err(Fault { torn_at: Some(offset), .. }) => {
                let size = fs::metadata(segment::path(directory, name)).map(|found| found.len());
                let bytes = size.map_or(0, |size| size.saturating_sub(offset));
                end.torn = Some(Torn { file: name.to_string(), line: walk.line(), bytes });
                return Ok(end);
            }
            Err(fault) => return Err(refuse(fault)),
        }
        (end.size, end.head) = (walk.end(), walk.mark());
        end.journal = end
            .seen
            .note_line(walk.bytes())
            .filter(|mark| mark.sequence > end.journal.sequence)
            .unwrap_or(end.journal);
    }
}

/// The journal mark that a line carries, if any.
fn journal_of(bytes: &[u8]) -> Option<Mark> {
    let carries = line::frame(bytes).is_ok_and(|frame| frame.carries_journal());
    carries.then(|| line::decode(bytes).ok()).flatten().and_then(|line| line.journal())
}

/// Checks that the segment before ends where this one says; what it speaks of. It was synced before this one was
/// begun, so a crash cannot have shortened it.
fn read_before(directory: &Path, file: &str, expected: Mark) -> Result<Seen, OpenError> {
    let broken = |line, kind, detail: &str| {
        OpenError::Damaged(Break { file: file.to_owned(), line, kind, detail: detail.into() })
    };
    let Some(name) = Name::parse(file) else {
        return Err(broken(1, BreakKind::Changed, "not the name of a segment"));
    };
    let io = |error| OpenError::Io(directory.join(file), error);
    let mut lines = match Lines::open(directory, name) {
        Ok(lines) => lines,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(broken(1, BreakKind::Missing, "the segment before the last one is missing"));
        }
        Err(error) => return Err(io(error)),
    };
    let (mut count, mut last, mut seen) = (0, None, Seen::all_upto(Mark::START));
    loop {
        match lines.advance().map_err(io)? {
            Piece::End => break,
            Piece::Whole => {
                last = line::frame(lines.bytes()).ok().map(|f| Mark { sequence: f.sequence, chain: f.mac });
                if count == 0 {
                    seen = Seen::all_upto(journal_of(lines.bytes()).unwrap_or(Mark::START));
                } else {
                    seen.note_line(lines.bytes());
                }
            }
            Piece::Unfinished => last = None,
        }
        count += 1;
    }
    match last {
        Some(mark) if mark == expected => Ok(seen),
        Some(mark) if mark.sequence < expected.sequence => {
            Err(broken(count + 1, BreakKind::CutOff, "the file ends before the next one begins"))
        }
        _ => {
            Err(broken(count, BreakKind::Changed, "the last line is not the one that the next file follows"))
        }
    }
}

impl OpenError {
    pub(super) fn from_read(directory: &Path, error: ReadError) -> Self {
        match error {
            ReadError::Damaged(found) => Self::Damaged(found),
            ReadError::Unreadable(file, error) => Self::Io(directory.join(file), error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_was_overtaken_is_named_and_nobody_else() {
        let overtaken = |upto, order: &[u64]| {
            let mut seen = Seen::all_upto(Mark { sequence: upto, chain: [0; 32] });
            order.iter().for_each(|sequence| seen.note(*sequence));
            seen.overtaken()
        };
        assert!(overtaken(4, &[]).is_empty());
        assert!(overtaken(4, &[5, 7, 6, 3, 8]).is_empty());
        assert_eq!(overtaken(4, &[6, 9, 5]), [7, 8]);
        assert_eq!(overtaken(4, &[6]), [5]);
    }
}
