//! Orgs that were deleted after the moment that is restored: they stay deleted.
//!
//! The hard problem: who was promised to be forgotten comes back with an older state. The answer: the journal says of each
//! org when it was deleted, and every later set has that part of it; what was deleted later than the last change that is
//! kept is deleted again, in the restored store, before anybody opens it.
//!
//! Never guesses: an org that is merely absent later (a vault that was set back) is not deleted, only one that was.

use std::collections::BTreeSet;
use std::io::{self, Read};

use super::choosing::{self, Set};
use super::fetching;
use super::{Source, Wanted, authenticate};
use crate::service::backup::BackupError;
use crate::service::backup::manifest::Holds;
use crate::store::journal::record;
use crate::store::journal::segment::RECORDS_AT;
use crate::store::{Batch, Change, Store};
use crate::vault::place::{OrgBlind, Table};
use crate::vault::proof;

/// Records of the store that go in one change.
const BATCH: usize = 128;

/// Those that were deleted after this, in microseconds since 1970.
pub(super) fn deleted_after(
    wanted: &Wanted<'_>,
    source: &Source,
    written_at: u64,
) -> Result<BTreeSet<OrgBlind>, BackupError> {
    let mut deleted = BTreeSet::new();
    let mut look_at = |set: &Set| {
        let parts = set.parts.iter().map(|part| &part.manifest);
        for part in parts.filter(|part| part.journal.written_at > written_at) {
            for object in part.objects.iter().filter(|object| object.holds == Holds::Journal) {
                let name = format!("{}/{}", set.folder(), object.name);
                fetching::copy(wanted.repository, &name, object, wanted.identities, &mut |opened| {
                    collect(opened, object.from, written_at, &mut deleted)
                })?;
            }
        }
        Ok::<(), BackupError>(())
    };
    look_at(&source.set)?;
    for name in wanted.repository.folders(&source.set.vault)? {
        if name <= source.set.name {
            continue;
        }
        let Some(later) = choosing::read(wanted.repository, &source.set.vault, &name)? else { continue };
        authenticate(&later, &source.backup, &source.environment)?;
        look_at(&later)?;
    }
    Ok(deleted)
}

/// Reads a part of a segment to its end; how long it was.
fn collect(
    opened: &mut dyn Read,
    from: u64,
    written_at: u64,
    deleted: &mut BTreeSet<OrgBlind>,
) -> io::Result<usize> {
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "a record of the journal makes no sense");
    let mut whole = 0;
    if from == 0 {
        whole += opened.read_exact(&mut vec![0; RECORDS_AT]).map(|()| RECORDS_AT)?;
    }
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        if (&mut *opened).take(4).read_to_end(&mut bytes)? == 0 {
            return Ok(whole);
        }
        let length = bytes.first_chunk().map_or(0, |length| u32::from_le_bytes(*length) as usize);
        if !(5..=record::MOST).contains(&length) {
            return Err(damaged());
        }
        (&mut *opened).take(length as u64 - 4).read_to_end(&mut bytes)?;
        let entry = record::decode(&bytes).map_err(|_| damaged())?.entry;
        whole += length;
        if entry.written_at > written_at {
            let orgs = entry.changes.iter().filter_map(|change| match change {
                Change::Delete(key) if key.0[0] == Table::Org as u8 => Some(OrgBlind::of_record(key)),
                _ => None,
            });
            deleted.extend(orgs);
        }
    }
}

/// Deletes what there is of these orgs; how many of them there were.
pub(super) fn delete(
    store: &dyn Store,
    keys: &proof::Keys<'_>,
    deleted: &BTreeSet<OrgBlind>,
) -> Result<u64, BackupError> {
    let unread = |why: &dyn std::fmt::Display| BackupError::Damaged(why.to_string());
    let (mut gone, mut orgs, mut after) = (Vec::new(), 0, None);
    loop {
        let records = store.scan(&[], after.as_ref(), BATCH).map_err(|why| unread(&why))?;
        let Some((last, _)) = records.last() else { break };
        after = Some(*last);
        for (key, record) in &records {
            // Of a grant, the org stands in the key that it leads to.
            let is_grant = key.0[0] == Table::Grant as u8;
            let led_to = if is_grant { <[u8; 33]>::try_from(&*record.value).ok() } else { None };
            let owner = led_to
                .map_or_else(|| OrgBlind::of_record(key), |to| OrgBlind::of_record(&crate::store::Key(to)));
            if deleted.contains(&owner) {
                orgs += u64::from(key.0[0] == Table::Org as u8);
                gone.push(*key);
            }
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.map_err(|why| BackupError::Io(format!("no event loop: {why}")))?;
    for part in gone.chunks(BATCH) {
        let batch = Batch {
            preconditions: Vec::new(),
            changes: part.iter().map(|key| Change::Delete(*key)).collect(),
            note: keys.note_of_erasure(),
        };
        runtime.block_on(store.commit(batch)).map_err(|why| BackupError::Io(why.to_string()))?;
    }
    Ok(orgs)
}
