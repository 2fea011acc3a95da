//! What an index is made from where the journal does not reach back to its beginning: a snapshot.
//!
//! The hard problem: whether a snapshot is whole is known only when all of it was read, and by then it is in the index. The
//! answer: until its last record was counted, the index says that it holds nothing; one that was half filled is thrown away.
//!
//! Never gives out an index that holds a part of a snapshot.

use std::sync::Arc;

use crate::chain::Mark;
use crate::store::index::tally::{Digester, Tally};
use crate::store::index::{Applied, Broken, Index, Pointer, Update};
use crate::store::journal::segment::Identity;
use crate::store::journal::walk::{Segment, Trouble};
use crate::store::snapshot::{Base, Reader, Snapshot};

/// Pointers put into an index at once.
const PART: usize = 4096;

/// Why an index could not be made from a snapshot.
pub(crate) enum Unfit {
    Index(Broken),
    Snapshot(Trouble),
}

impl From<Broken> for Unfit {
    fn from(broken: Broken) -> Self {
        Self::Index(broken)
    }
}

impl From<Trouble> for Unfit {
    fn from(trouble: Trouble) -> Self {
        Self::Snapshot(trouble)
    }
}

/// Those that the journal goes on after, newest first.
pub(crate) fn candidates<'a>(
    snapshots: &'a [Snapshot],
    segments: &[Segment],
) -> impl Iterator<Item = &'a Snapshot> {
    let first = segments.first().map_or(Mark::START, |first| first.before).sequence;
    snapshots.iter().rev().filter(move |snapshot| snapshot.at.sequence >= first)
}

/// Whether the journal alone is a whole truth.
pub(crate) fn reaches_back(segments: &[Segment]) -> bool {
    segments.first().is_none_or(|first| first.before == Mark::START)
}

/// A snapshot to read values from; none where it is damaged, which is said.
pub(crate) fn open(snapshot: &Snapshot, identity: &Identity) -> Option<Arc<Base>> {
    match Base::open(snapshot, identity) {
        Ok(base) => Some(Arc::new(base)),
        Err(trouble) => {
            tracing::error!(%trouble, "a snapshot is damaged");
            None
        }
    }
}

/// Fills an empty index. `read` is told how many bytes of the snapshot were read.
pub(crate) fn lay(
    index: &dyn Index,
    snapshot: &Snapshot,
    identity: &Identity,
    digester: &Digester,
    read: &mut dyn FnMut(u64),
) -> Result<Applied, Unfit> {
    let mut reader = Reader::open(&snapshot.path, identity)?;
    let mut tally = Tally::default();
    let mut part: Vec<Update> = Vec::with_capacity(PART);
    while let Some((key, record)) = reader.next()? {
        let pointer = Pointer::to(digester, &key, record.revision, 0, &record.value);
        tally.add(pointer.digest);
        part.push((key, Some(pointer)));
        if part.len() >= PART {
            index.apply(&part, &Applied::NOTHING)?;
            part.clear();
            read(reader.bytes_read());
        }
    }
    let applied = Applied { mark: reader.snapshot().at, tally };
    if tally != reader.snapshot().tally {
        return Err(reader.damaged("its records do not add up to what its head says").into());
    }
    index.apply(&part, &applied)?;
    Ok(applied)
}
