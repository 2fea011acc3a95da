//! An index in memory, made while the store runs: for the tree that has broken.
//!
//! Never stands on less than all that is durable.

use std::io;
use std::sync::Arc;

use super::base::{self, Unfit};
use super::replay::{Failure, Replay};
use super::{OpenError, Shared};
use crate::chain::Mark;
use crate::store::index::Applied;
use crate::store::index::memory::Memory;
use crate::store::journal::walk::{self, Segment, Walk, containing};
use crate::store::snapshot::{self, Base};

/// One that holds all there is up to `head`.
pub(crate) fn make(shared: &Shared, head: &Mark) -> Result<Memory, OpenError> {
    let _nothing_is_removed = shared.files();
    let segments = walk::segments(&shared.journal, &shared.identity)?;
    let (memory, from, bases) = memory_of_snapshot(shared, &segments)?;
    let start = containing(&segments, from.mark.sequence.saturating_add(1));
    let mut walk = Walk::new(&shared.identity, segments.get(start..).unwrap_or_default(), None)?;
    let mut replay = Replay::new(&shared.digester, &memory, from, from.tally);
    let unusable = |failure| match failure {
        Failure::Journal(trouble) => trouble.into(),
        Failure::Index(why) => OpenError::Io { file: shared.journal.clone(), error: io::Error::other(why) },
    };
    while let Some(found) = walk.next()? {
        replay.take(&found).map_err(unusable)?;
    }
    let end = walk.end().mark;
    if end != *head {
        let what = format!("{}: it should reach record {}", walk.end().why, head.sequence);
        return Err(walk.damaged(what).into());
    }
    replay.finish(&end).map_err(unusable)?;
    shared.front.values().stand_on(bases);
    Ok(memory)
}

/// What is read from where it stands, beside an index made of it.
type Made = (Memory, Applied, Vec<Arc<Base>>);

/// What the newest whole snapshot holds that the journal goes on after; nothing where the journal needs none.
fn memory_of_snapshot(shared: &Shared, segments: &[Segment]) -> Result<Made, OpenError> {
    let (snapshots, _) = snapshot::list(&shared.snapshots, &shared.identity)?;
    for snapshot in base::candidates(&snapshots, segments) {
        let memory = Memory::default();
        match base::lay(&memory, snapshot, &shared.identity, &shared.digester, &mut |_| {}) {
            Ok(applied) => {
                let bases = base::open(snapshot, &shared.identity).into_iter().collect();
                return Ok((memory, applied, bases));
            }
            Err(Unfit::Snapshot(trouble)) => tracing::error!(%trouble, "a snapshot is damaged"),
            Err(Unfit::Index(broken)) => tracing::error!(%broken, "an index in memory broke"),
        }
    }
    if base::reaches_back(segments) {
        return Ok((Memory::default(), Applied::NOTHING, Vec::new()));
    }
    let what = "there is no whole snapshot that the journal goes on after".to_owned();
    Err(OpenError::Damaged { file: shared.snapshots.clone(), offset: 0, what })
}
