//! From what lies on the disk to a store that may be believed.
//!
//! The hard problem: three witnesses may disagree (the journal, the audit log, the index), and only one kind of
//! disagreement is a crash. The answer: the journal must reach what the audit log has seen, or nothing starts;
//! what it has beyond that is a crash, and reported; the index must add up to what the journal says where the
//! index stands, or is made anew.
//!
//! Never serves what does not add up, and never throws away what it cannot make again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use super::base::{self, Unfit};
use super::front::Front;
use super::replay::{Failure, Replay};
use super::values::Values;
use super::{OpenError, Options, Rebuild};
use crate::chain::Mark;
use crate::os::durable;
use crate::store::Unwitnessed;
use crate::store::index::memory::Memory;
use crate::store::index::tally::{Digester, Tally};
use crate::store::index::tree::{self, Tree};
use crate::store::index::{Applied, Broken, Index};
use crate::store::journal::segment::{Identity, RECORDS_AT};
use crate::store::journal::tail;
use crate::store::journal::walk::{self, End, Found, Segment, Trouble, Walk, containing};
use crate::store::journal::writer::{RESERVE, Workshop};
use crate::store::snapshot::{self, Base, Snapshot};

/// Records put into a new tree at once.
const PART: usize = 4096;

/// A store that adds up.
pub(crate) struct Recovered {
    pub(crate) front: Front,
    pub(crate) applied: Applied,
    pub(crate) end: End,
    pub(crate) unwitnessed: Vec<Unwitnessed>,
    pub(crate) witnessed: Mark,
    pub(crate) rebuilt: Option<String>,
    /// Segments that were not read, and what must follow them.
    pub(crate) unread: Option<(Vec<Segment>, Mark)>,
}

/// What a recovery works with.
pub(crate) struct Recovery<'a> {
    pub(crate) options: &'a mut Options,
    pub(crate) identity: &'a Identity,
    pub(crate) digester: &'a Digester,
    pub(crate) workshop: &'a Workshop,
    /// By their heads, oldest first.
    pub(crate) snapshots: Vec<Snapshot>,
    /// Those of them that turned out to be damaged.
    pub(crate) unfit: Vec<Snapshot>,
    /// Bytes of the snapshot that an index is made from; none while there is no making.
    pub(crate) laid: Option<u64>,
}

/// One reading of the journal.
struct Pass {
    applied: Applied,
    end: End,
    unwitnessed: Vec<Unwitnessed>,
    /// Where in the last segment the records start that the audit log does not vouch for.
    unsure: usize,
    witnessed: Mark,
}

/// Why no index was made from a snapshot.
enum Unbuilt {
    Index(String),
    Journal(Trouble),
    Snapshot(Trouble),
}

impl Recovery<'_> {
    pub(crate) fn run(mut self) -> Result<Recovered, OpenError> {
        self.list_snapshots()?;
        let segments = self.segments()?;
        let fresh = segments.len() == 1 && self.snapshots.is_empty() && !self.index().exists();
        let (front, pass, rebuilt, start) = match self.try_index(&segments) {
            Ok((tree, pass, start)) => {
                let values = self.values(&segments);
                (Front::over_tree(Box::new(tree), values, self.options.cache_bytes), pass, None, start)
            }
            Err(Failure::Journal(trouble)) => return Err(trouble.into()),
            Err(Failure::Index(why)) => {
                let (front, pass, start) = self.rebuild(&segments, &why)?;
                let news = !fresh || pass.applied.mark != Mark::START;
                (front, pass, news.then_some(why), start)
            }
        };
        self.mend(&pass)?;
        let unread =
            segments.get(start).filter(|_| start > 0).map(|first| (segments[..start].to_vec(), first.before));
        let Pass { applied, end, unwitnessed, witnessed, .. } = pass;
        Ok(Recovered { front, applied, end, unwitnessed, witnessed, rebuilt, unread })
    }

    /// Finds the snapshots by their heads. One whose head is none is not believed, and not needed as long as another
    /// one, or the journal, holds what it held.
    fn list_snapshots(&mut self) -> Result<(), OpenError> {
        let directory = self.options.directory.join("snapshots");
        let (found, bad) = snapshot::list(&directory, self.identity)?;
        for trouble in bad {
            if matches!(trouble, Trouble::NewerFormat { .. }) {
                return Err(trouble.into());
            }
            tracing::error!(%trouble, "a snapshot is damaged");
        }
        self.snapshots = found;
        Ok(())
    }

    fn index(&self) -> PathBuf {
        super::index_in(&self.options.directory)
    }

    /// The segments there are; the first one is made where there is no journal and nobody has seen any.
    fn segments(&self) -> Result<Vec<Segment>, OpenError> {
        let directory = &self.workshop.directory;
        let io = |error| OpenError::Io { file: directory.clone(), error };
        self.workshop.tidy().map_err(io)?;
        let segments = walk::segments(directory, self.identity)?;
        if !segments.is_empty() {
            return Ok(segments);
        }
        let expected = self.options.expected.sequence;
        // A restored vault may have a snapshot and nothing after it.
        let after = self.snapshots.last().map_or(Mark::START, |newest| newest.at);
        if expected > after.sequence {
            let what = format!("the audit log has seen record {expected}, and there is no journal");
            return Err(OpenError::Damaged { file: directory.clone(), offset: 0, what });
        }
        self.workshop.found(self.identity, &after).map_err(io)?;
        Ok(walk::segments(directory, self.identity)?)
    }

    /// Where the values are.
    fn values(&self, segments: &[Segment]) -> Values {
        let firsts = segments.iter().map(|segment| segment.before.sequence.saturating_add(1)).collect();
        let values = Values::new(&self.workshop.directory, self.digester, firsts);
        values.stand_on(self.bases(segments));
        values
    }

    /// Snapshots to read from, newest first: those that the journal goes on after.
    fn bases(&self, segments: &[Segment]) -> Vec<Arc<Base>> {
        base::candidates(&self.snapshots, segments)
            .filter(|snapshot| !self.unfit.contains(snapshot))
            .filter_map(|snapshot| base::open(snapshot, self.identity))
            .collect()
    }

    /// The index as it lies there, brought up to the journal's end; and the segment that reading started with.
    fn try_index(&mut self, segments: &[Segment]) -> Result<(Tree, Pass, usize), Failure> {
        if !self.index().exists() {
            return Err(Failure::Index("there was no index".into()));
        }
        if !base::reaches_back(segments) && self.bases(segments).is_empty() {
            return Err(Failure::Index("there is no snapshot that the journal goes on after".into()));
        }
        let (tree, survey) = Tree::open(&self.index(), self.options.index_cache_bytes)?;
        let applied =
            survey.applied.ok_or_else(|| Failure::Index("it does not say how far it has come".into()))?;
        let first = segments.first().map_or(Mark::START, |first| first.before);
        let is_before = applied.mark.sequence < first.sequence;
        if is_before || (applied.mark.sequence == first.sequence && applied.mark != first) {
            return Err(Failure::Index("the journal does not go on where it stands".into()));
        }
        let expected = self.options.expected.sequence;
        let first_unseen = self.options.overtaken.first().copied().unwrap_or(expected);
        let start = containing(segments, applied.mark.sequence.min(expected).min(first_unseen));
        let pass = self.pass(&tree, &applied, survey.tally, segments, start)?;
        Ok((tree, pass, start))
    }

    /// A new index: from the newest snapshot that is whole and the journal after it, or from the whole journal.
    fn rebuild(&mut self, segments: &[Segment], why: &str) -> Result<(Front, Pass, usize), OpenError> {
        let snapshots = self.snapshots.clone();
        let mut damaged = None;
        for snapshot in base::candidates(&snapshots, segments) {
            match self.rebuild_from(snapshot, segments, why) {
                Ok(done) => return Ok(done),
                Err(Unbuilt::Journal(trouble)) => return Err(trouble.into()),
                Err(Unbuilt::Index(why)) => {
                    return Err(OpenError::Io { file: self.index(), error: io::Error::other(why) });
                }
                Err(Unbuilt::Snapshot(trouble)) => {
                    tracing::error!(%trouble, "a snapshot is damaged; trying the one before");
                    self.unfit.push(snapshot.clone());
                    damaged.get_or_insert(trouble);
                }
            }
        }
        if !base::reaches_back(segments) {
            return Err(self.without_base(segments, damaged));
        }
        self.laid = Some(0);
        let (front, pass) = self.rebuild_from_journal(segments, why)?;
        Ok((front, pass, 0))
    }

    /// There is a journal, and nothing that it goes on after.
    fn without_base(&self, segments: &[Segment], damaged: Option<Trouble>) -> OpenError {
        let first = segments.first().map_or(1, |first| first.before.sequence + 1);
        let (file, offset, what) = match damaged {
            Some(Trouble::Damaged { file, offset, what }) => (file, offset, what),
            Some(trouble) => return trouble.into(),
            None => (self.options.directory.join("snapshots"), 0, "there is no snapshot".into()),
        };
        let what = format!("{what}; the journal alone begins with record {first}");
        OpenError::Damaged { file, offset, what }
    }

    fn rebuild_from(
        &mut self,
        snapshot: &Snapshot,
        segments: &[Segment],
        why: &str,
    ) -> Result<(Front, Pass, usize), Unbuilt> {
        self.laid = Some(snapshot.bytes);
        let start = containing(segments, snapshot.at.sequence);
        let left = total(segments.get(start..).unwrap_or_default());
        match self.lay_tree(snapshot, why, left) {
            Ok((tree, applied)) => match self.pass(&tree, &applied, applied.tally, segments, start) {
                Ok(pass) => {
                    let front =
                        Front::over_tree(Box::new(tree), self.values(segments), self.options.cache_bytes);
                    return Ok((front, pass, start));
                }
                Err(Failure::Journal(trouble)) => return Err(Unbuilt::Journal(trouble)),
                Err(Failure::Index(again)) => self.warn_of_memory(why, &again),
            },
            Err(Unfit::Snapshot(trouble)) => return Err(Unbuilt::Snapshot(trouble)),
            Err(Unfit::Index(again)) => self.warn_of_memory(why, &again.0),
        }
        let memory = Memory::default();
        let laid = base::lay(&memory, snapshot, self.identity, self.digester, &mut |_| {});
        let applied = match laid {
            Ok(applied) => applied,
            Err(Unfit::Snapshot(trouble)) => return Err(Unbuilt::Snapshot(trouble)),
            Err(Unfit::Index(broken)) => return Err(Unbuilt::Index(broken.0)),
        };
        let pass =
            self.pass(&memory, &applied, applied.tally, segments, start).map_err(
                |failure| match failure {
                    Failure::Journal(trouble) => Unbuilt::Journal(trouble),
                    Failure::Index(why) => Unbuilt::Index(why),
                },
            )?;
        Ok((Front::over_memory(memory, self.values(segments), self.options.cache_bytes), pass, start))
    }

    fn warn_of_memory(&self, why: &str, again: &str) {
        tracing::warn!(%why, %again, "served from an index in memory until the next start");
    }

    fn lay_tree(&mut self, snapshot: &Snapshot, why: &str, left: u64) -> Result<(Tree, Applied), Unfit> {
        if self.is_full() {
            return Err(Broken("the disk is full".into()).into());
        }
        let tree = self.plot(why)?;
        let (identity, digester, total) = (self.identity, self.digester, snapshot.bytes + left);
        let progress = &mut self.options.progress;
        let applied =
            base::lay(&tree, snapshot, identity, digester, &mut |read| progress(Rebuild { read, total }))?;
        tree.flush()?;
        Ok((tree, applied))
    }

    /// A new index from the whole journal: gathered in memory, where the changes of one record do not cost sled a
    /// page each, and left there if sled cannot have it.
    fn rebuild_from_journal(&mut self, segments: &[Segment], why: &str) -> Result<(Front, Pass), OpenError> {
        let memory = Memory::default();
        let pass = match self.pass(&memory, &Applied::NOTHING, Tally::default(), segments, 0) {
            Ok(pass) => pass,
            Err(Failure::Journal(trouble)) => return Err(trouble.into()),
            Err(Failure::Index(why)) => {
                return Err(OpenError::Io { file: self.index(), error: io::Error::other(why) });
            }
        };
        let planted = if self.is_full() {
            Err(Broken("the disk is full".into()))
        } else {
            self.plant(&memory, &pass, why)
        };
        let front = match planted {
            Ok(tree) => Front::over_tree(Box::new(tree), self.values(segments), self.options.cache_bytes),
            Err(again) => {
                self.warn_of_memory(why, &again.0);
                Front::over_memory(memory, self.values(segments), self.options.cache_bytes)
            }
        };
        Ok((front, pass))
    }

    fn is_full(&self) -> bool {
        self.workshop.device.free(&self.options.directory).is_ok_and(|free| free < RESERVE)
    }

    /// A new, empty tree; the old one is set aside.
    fn plot(&self, why: &str) -> Result<Tree, Broken> {
        let unfit = |error: io::Error| Broken(error.to_string());
        let index = self.index();
        if index.exists() {
            if why == tree::EARLIER {
                return self.replant();
            }
            let since = self.options.clock.now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            let aside = set_aside(&self.options.directory, &index, since).map_err(unfit)?;
            tracing::warn!(%why, aside = %aside.display(), "the index is of no use; made anew from the journal");
        }
        self.empty_tree()
    }

    /// A new, empty tree in the place of a sound one that an earlier version has made: it holds all values, and there may be no room
    /// for them beside the new one.
    fn replant(&self) -> Result<Tree, Broken> {
        tracing::info!("the index is of an earlier version; made anew");
        fs::remove_dir_all(self.index()).map_err(|error| Broken(error.to_string()))?;
        self.empty_tree()
    }

    fn empty_tree(&self) -> Result<Tree, Broken> {
        let index = self.index();
        super::make_directory(&index).map_err(|error| Broken(error.to_string()))?;
        let (tree, _) = Tree::open(&index, self.options.index_cache_bytes)?;
        Ok(tree)
    }

    /// Puts into a new tree what was gathered in memory.
    fn plant(&self, memory: &Memory, pass: &Pass, why: &str) -> Result<Tree, Broken> {
        let tree = self.plot(why)?;
        let mut after = None;
        loop {
            let part = memory.scan(&[], after.as_ref(), PART)?;
            let Some((last, _)) = part.last() else { break };
            after = Some(*last);
            // Until it is whole it says that it holds nothing, so a start that finds it half done makes it anew.
            let updates: Vec<_> = part.into_iter().map(|(key, pointer)| (key, Some(pointer))).collect();
            tree.apply(&updates, &Applied::NOTHING)?;
        }
        tree.apply(&[], &pass.applied)?;
        tree.flush()?;
        Ok(tree)
    }

    /// Reads the journal from segment `start`, holds it against the audit log and the index, and brings the index, which holds so much,
    /// from `applied` to the end.
    fn pass(
        &mut self,
        index: &dyn Index,
        applied: &Applied,
        holds: Tally,
        segments: &[Segment],
        start: usize,
    ) -> Result<Pass, Failure> {
        let expected = self.options.expected;
        let mut walk = Walk::new(self.identity, segments.get(start..).unwrap_or_default(), None)?;
        let mut replay = Replay::new(self.digester, index, *applied, holds);
        let mut unwitnessed = Vec::new();
        // What a snapshot has seen of the audit log counts even where no record is left that says so.
        let mut witnessed = self.snapshots.last().map_or(Mark::START, |newest| newest.witness);
        let mut unsure = None;
        let laid = self.laid.unwrap_or_default();
        let total = laid + total(segments.get(start..).unwrap_or_default());
        let (snapshots, is_making) = (&self.snapshots, self.laid.is_some());
        let mut progress =
            |walk: &Walk<'_>| (self.options.progress)(Rebuild { read: laid + walk.bytes_read(), total });
        let mut read = 0;
        check_snapshots(snapshots, &walk)?;
        while let Some(found) = walk.next()? {
            let Found { entry, mark, offset } = &found;
            if mark.sequence == expected.sequence && *mark != expected {
                let what = format!("record {} is not the one that the audit log has seen", mark.sequence);
                return Err(Trouble::Damaged { file: walk.end().file, offset: *offset as u64, what }.into());
            }
            check_snapshots(snapshots, &walk)?;
            if entry.witness.sequence >= witnessed.sequence {
                witnessed = entry.witness;
            }
            let is_beyond = mark.sequence > expected.sequence;
            if is_beyond || self.options.overtaken.binary_search(&mark.sequence).is_ok() {
                unwitnessed.push(Unwitnessed { mark: *mark, note: entry.note.clone() });
            }
            if is_beyond {
                unsure.get_or_insert((walk.segment(), *offset));
            }
            replay.take(&found)?;
            if walk.bytes_read() != read && is_making {
                read = walk.bytes_read();
                progress(&walk);
            }
        }
        let end = walk.end();
        if end.mark.sequence < expected.sequence {
            let (seen, last, why) = (expected.sequence, end.mark.sequence, &end.why);
            let what =
                format!("{why}: the audit log has seen record {seen}, and the last whole one is {last}");
            return Err(walk.damaged(what).into());
        }
        if let Some(newest) = snapshots.last().filter(|newest| newest.at.sequence > end.mark.sequence) {
            let (held, last, why) = (newest.at.sequence, end.mark.sequence, &end.why);
            let what = format!("{why}: a snapshot holds record {held}, and the last whole one is {last}");
            return Err(walk.damaged(what).into());
        }
        let applied = replay.finish(&end.mark)?;
        let unsure = match unsure {
            Some((segment, offset)) if segment == walk.segment() => offset,
            Some(_) => RECORDS_AT,
            None => end.offset,
        };
        Ok(Pass { applied, end, unwitnessed, unsure, witnessed })
    }

    /// Makes sure that what was found is on the disk, and that nothing lies behind it.
    fn mend(&self, pass: &Pass) -> Result<(), OpenError> {
        let end = &pass.end;
        if end.untidy {
            let (file, offset, why) = (end.file.display(), end.offset, &end.why);
            tracing::warn!(%file, offset, %why, "a crash left an unacknowledged tail in the journal; zeroed");
        }
        let mended = tail::mend(&*self.workshop.device, &end.file, pass.unsure..end.offset, end.untidy);
        let synced = mended.and_then(|()| durable::sync_directory(&self.workshop.directory));
        synced.map_err(|error| OpenError::Io { file: end.file.clone(), error })
    }
}

/// Where a snapshot was taken, the journal must be the one that it was taken of.
fn check_snapshots(snapshots: &[Snapshot], walk: &Walk<'_>) -> Result<(), Trouble> {
    let mark = walk.mark();
    let stranger =
        snapshots.iter().find(|snapshot| snapshot.at.sequence == mark.sequence && snapshot.at != mark);
    stranger.map_or(Ok(()), |snapshot| {
        let what = format!("it holds another record {} than the journal", mark.sequence);
        Err(Trouble::Damaged { file: snapshot.path.clone(), offset: 0, what })
    })
}

fn total(segments: &[Segment]) -> u64 {
    segments
        .iter()
        .filter_map(|segment| fs::metadata(&segment.path).ok())
        .map(|metadata| metadata.len())
        .sum()
}

/// Moves the index out of the way; of those before it none is kept.
fn set_aside(directory: &Path, index: &Path, since: u64) -> io::Result<PathBuf> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(|name| name.starts_with("index.damaged-")) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    let aside = directory.join(format!("index.damaged-{since}"));
    fs::rename(index, &aside)?;
    durable::sync_directory(directory)?;
    Ok(aside)
}
