//! The point in time: both logs end at the last change of the second that is asked for.
//!
//! The hard problem: what was copied of the journal may be longer than what was copied of the audit log, and a change
//! without its entry was never acknowledged. The answer: the last change that is kept is one whose witness is there too.
//!
//! Never keeps a change that is later than was asked for.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use super::fetching::sync;
use crate::chain::Mark;
use crate::crypto::mac::MacKey;
use crate::service::backup::BackupError;
use crate::store::embedded;
use crate::store::journal::segment::Identity;
use crate::store::journal::walk::{self, Trouble, Walk};
use crate::store::snapshot;

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kept {
    /// The last change.
    pub(super) change: Mark,
    /// When it was written, in microseconds since 1970.
    pub(super) written_at: u64,
}

/// How long both logs may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// In microseconds since 1970; changes from then on are not kept.
    pub(super) until: u64,
    /// The last change that was shipped.
    pub(super) change: u64,
    /// The last entry of the audit log that was shipped.
    pub(super) entry: u64,
}

/// Where the journal ends.
struct End {
    kept: Option<Kept>,
    /// In which file, and before which byte; none: at its end.
    file: usize,
    offset: Option<u64>,
}

/// Cuts the journal; the last record that is kept, if there is one.
pub(super) fn journal(
    directory: &Path,
    identity: &Identity,
    bounds: Bounds,
) -> Result<Option<Kept>, BackupError> {
    let of = |why: Trouble| BackupError::Damaged(embedded::OpenError::from(why).to_string());
    let segments = walk::segments(directory, identity).map_err(of)?;
    if segments.is_empty() {
        return Ok(None);
    }
    let files: Vec<PathBuf> = segments.iter().map(|segment| segment.path.clone()).collect();
    let mut walk = Walk::new(identity, &segments, None).map_err(of)?;
    // Before the first record, until one is found that is kept.
    let mut end = End { kept: None, file: 0, offset: None };
    while let Some(found) = walk.next().map_err(of)? {
        let file = walk.segment();
        let is_kept = found.entry.written_at < bounds.until
            && found.mark.sequence <= bounds.change
            && found.entry.witness.sequence <= bounds.entry;
        if is_kept {
            let kept = Kept { change: found.mark, written_at: found.entry.written_at };
            end = End { kept: Some(kept), file, offset: None };
        } else if end.file == file && end.offset.is_none() {
            end.offset = Some(found.offset as u64);
        }
    }
    shorten(directory, &files, &end)?;
    Ok(end.kept)
}

fn shorten(directory: &Path, files: &[PathBuf], end: &End) -> Result<(), BackupError> {
    for file in &files[end.file + 1..] {
        fs::remove_file(file).map_err(|why| BackupError::io(file, &why))?;
    }
    if let Some(offset) = end.offset {
        let file = &files[end.file];
        let opened = OpenOptions::new().write(true).open(file);
        let cut = opened.and_then(|opened| opened.set_len(offset).and_then(|()| opened.sync_all()));
        cut.map_err(|why| BackupError::io(file, &why))?;
    }
    sync(directory)
}

/// What the newest snapshot ends with, where there is one.
pub(super) fn snapshot(directory: &Path, identity: &Identity) -> Result<Option<Kept>, BackupError> {
    if !directory.exists() {
        return Ok(None);
    }
    let of = |why: Trouble| BackupError::Damaged(embedded::OpenError::from(why).to_string());
    let (found, _) = snapshot::list(directory, identity).map_err(of)?;
    Ok(found.last().map(|newest| Kept { change: newest.at, written_at: newest.written_at }))
}

/// Cuts the audit log where it first speaks of a change that is not kept.
pub(super) fn audit(directory: &Path, key: &MacKey, vault: [u8; 16], change: u64) -> Result<(), BackupError> {
    crate::audit::cut(directory, key, vault, change).map_err(|why| BackupError::Damaged(why.to_string()))
}
