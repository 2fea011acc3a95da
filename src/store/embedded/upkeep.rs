//! The thread that keeps the journal short: it makes snapshots and removes the segments that they cover.
//!
//! The hard problem: whatever is removed is gone, so it must be certain that nobody will need it; and what is kept takes room. The
//! answer: a segment stays until *both* kept snapshots hold all of it, each read back from the disk and counted, so that a damaged newest one
//! still leaves a whole truth; and, where there are backups, until a backup has it too. They go oldest first, one durable
//! removal after the other, so that no crash leaves a gap. Three snapshots never lie side by side: before another is made, the newest is
//! read once more, whole, and then the one before it goes with the segments that the newest holds. Until the next one is there, that newest
//! one and the journal after it are all there is.
//!
//! Never refuses who writes ([`super::backpressure`] holds them for moments), never writes a record, and never removes the segment that is being written to.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::fold::{Fold, Haste};
use super::{OpenError, Shared, base, shares};
use crate::chain::Mark;
use crate::os::durable;
use crate::store::journal::walk::{self, Segment, Trouble};
use crate::store::journal::writer::RESERVE;
use crate::store::snapshot::{self, DRAFT, KEPT, Snapshot, UNDERWAY};

/// How long a snapshot that was read whole needs no second look at its MACs, only at its checksums.
const LATELY: Duration = Duration::from_secs(600);

/// How often it looks at what nobody told it: a backup that has come further, a disk with room again.
const LOOK: Duration = Duration::from_secs(2);

/// A segment that was written to a moment ago stays: of its last records the audit log may still have to speak.
const SETTLED: Duration = Duration::from_secs(2);

/// Records asked of the index at once.
const PART: usize = 1024;

/// Until when segments are kept beside the snapshots that cover them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    /// Until a backup has them too, as it says by [`super::EmbeddedStore::backed_up`].
    BackedUp,
    /// No longer.
    Covered,
}

/// Why there is no snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotError {
    /// The store is closed, or has failed.
    Closed,
    /// It could not be made, and why.
    Failed(String),
    /// There is no room for one.
    Full,
}

impl std::fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Closed => f.write_str("the store is closed"),
            Self::Failed(why) => write!(f, "the snapshot could not be made: {why}"),
            Self::Full => f.write_str("there is no room for a snapshot"),
        }
    }
}

impl std::error::Error for SnapshotError {}

/// Who waits for a snapshot.
pub(crate) type Answer = oneshot::Sender<Result<Snapshot, SnapshotError>>;

/// What the thread is told.
pub(crate) enum Task {
    Close,
    /// A segment was closed.
    Rolled,
    Snapshot(Answer),
}

/// The thread's own state.
pub(crate) struct Upkeep {
    shared: Arc<Shared>,
    tasks: Receiver<Task>,
    /// Those that are whole, oldest first.
    whole: Vec<Snapshot>,
    /// The one that was last read whole with its MACs and digests, by its sequence, and when.
    read_at: Option<(u64, Instant)>,
    /// Damaged ones that stay where they are until there is a whole one: much in them can still be read.
    needed: Vec<PathBuf>,
}

impl Upkeep {
    pub(crate) fn new(shared: Arc<Shared>, tasks: Receiver<Task>) -> Self {
        Self { shared, tasks, whole: Vec::new(), read_at: None, needed: Vec::new() }
    }

    /// Works until it is told to close.
    pub(crate) fn run(mut self) {
        self.begin();
        loop {
            self.standing();
            match self.tasks.recv_timeout(LOOK) {
                Ok(Task::Close) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(Task::Snapshot(answer)) => drop(answer.send(self.reach(self.shared.head()))),
                Ok(Task::Rolled) | Err(RecvTimeoutError::Timeout) => self.look(),
            }
            if self.shared.closing.load(Ordering::Relaxed) {
                return;
            }
        }
    }

    /// Finds out which of the snapshots there are may be relied on.
    fn begin(&mut self) {
        let shared = Arc::clone(&self.shared);
        for unfinished in [UNDERWAY, DRAFT] {
            match fs::remove_file(shared.snapshots.join(unfinished)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(%error, "an unfinished snapshot could not be removed");
                }
                _ => {}
            }
        }
        let (found, bad) = match snapshot::list(&shared.snapshots, &shared.identity) {
            Ok(listed) => listed,
            Err(trouble) => return self.failed(&trouble),
        };
        let mut damaged = bad;
        for snapshot in found {
            if shared.closing.load(Ordering::Relaxed) {
                return;
            }
            match snapshot::verify(&snapshot.path, &shared.identity, &shared.digester) {
                Ok(snapshot) => {
                    self.read_at = Some((snapshot.at.sequence, Instant::now()));
                    self.whole.push(snapshot);
                }
                Err(trouble @ Trouble::Damaged { .. }) => damaged.push(trouble),
                Err(trouble) => self.failed(&trouble),
            }
        }
        damaged.into_iter().for_each(|trouble| self.set_aside(&trouble));
        self.look_for_gap();
        self.stand();
        self.look();
    }

    /// The journal goes on after the older one, whatever crash there was. Where it does not, somebody took away what would be needed if
    /// the newest were damaged.
    fn look_for_gap(&self) {
        let older = self.covered();
        let segments = self.segments().unwrap_or_default();
        let Some(first) = segments.first().filter(|first| older > 0 && first.before.sequence > older) else {
            return;
        };
        let (file, from) = (first.path.display(), first.before.sequence + 1);
        let why = format!(
            "{file} begins with record {from}; from record {} on, what was before it is gone",
            older + 1
        );
        tracing::error!(%why, "all that stood there is in the newest snapshot, and served; nothing would be, if that were damaged");
        self.shared.standing.note(|standing| standing.damage = Some(why));
    }

    /// Takes a damaged one out of the way, where what it holds is elsewhere; otherwise once it is.
    fn set_aside(&mut self, trouble: &Trouble) {
        self.failed(trouble);
        let Trouble::Damaged { file, .. } = trouble else { return };
        self.needed.push(file.clone());
        if !self.whole.is_empty() || self.reaches_back() {
            self.set_needed_aside();
        }
    }

    fn set_needed_aside(&mut self) {
        for file in self.needed.drain(..) {
            if let Err(error) = snapshot::set_aside(&file) {
                tracing::warn!(%error, file = %file.display(), "a damaged snapshot could not be set aside");
            }
        }
    }

    /// Lets readers read from those that are whole, and from no others. Where none is, from what there is.
    fn stand(&self) {
        if self.whole.is_empty() && !self.reaches_back() {
            return;
        }
        let values = self.shared.front.values();
        let before = values.bases();
        let open = |snapshot: &Snapshot| {
            let known = before.iter().find(|base| base.snapshot == *snapshot && !base.is_doubted());
            known.cloned().or_else(|| base::open(snapshot, &self.shared.identity))
        };
        values.stand_on(self.whole.iter().rev().filter_map(open).collect());
    }

    /// Where a reader found something in the newest one that must not be there, all of it is looked at.
    fn heed_readers(&mut self) {
        let bases = self.shared.front.values().bases();
        for base in bases.iter().filter(|base| base.is_doubted()) {
            let shared = Arc::clone(&self.shared);
            match snapshot::verify(base.path(), &shared.identity, &shared.digester) {
                Err(trouble @ Trouble::Damaged { .. }) => self.doubt(&trouble),
                _ => self.stand(),
            }
        }
    }

    fn failed(&self, trouble: &Trouble) {
        let why = trouble.to_string();
        tracing::error!(%why, "a snapshot is of no use, or could not be made");
        self.shared.standing.note(|standing| standing.failure = Some(why));
    }

    /// Makes a snapshot where one is due, and removes what is not needed any more.
    fn look(&mut self) {
        self.heed_readers();
        match self.journal_since() {
            Ok((since, end)) if since >= self.due() => {
                // Why it failed was noted; it is tried again.
                let _made = self.reach(end);
            }
            // Until there is one again, the index alone stands between a damage of its own and a loss.
            Ok(_) if self.whole.is_empty() && !self.reaches_back() => {
                let _made = self.reach(self.shared.head());
            }
            Ok(_) => {}
            Err(trouble) => return self.failed(&trouble),
        }
        self.retire();
    }

    /// Bytes of journal after which a snapshot is made: half of its share, since the older snapshot keeps what the newest has until the next
    /// one is begun.
    fn due(&self) -> u64 {
        let base = self.whole.last().map_or(0, |newest| newest.bytes);
        (shares::left_to_journal(self.live(), base, 0, self.index_bytes()) / 2)
            .max(self.shared.snapshot_after)
    }

    /// About how long a snapshot of what there is now would be: as many times the newest as there are more records.
    fn live(&self) -> u64 {
        let Some(newest) = self.whole.last() else { return 0 };
        shares::live(newest.bytes, newest.tally.records, self.shared.records())
    }

    fn haste(&self) -> Haste {
        let since = self.journal_since().map_or(0, |(since, _)| since);
        if since >= 2 * self.due() { Haste::Behind } else { Haste::Usual }
    }

    /// What may be written while the next snapshot is made: what is left of the journal's share of the disk.
    fn most_meanwhile(&self) -> u64 {
        let newest = self.whole.last();
        let (base, covered) = newest.map_or((0, 0), |newest| (newest.bytes, newest.at.sequence));
        let segments = self.segments().unwrap_or_default();
        let behind = segments.iter().zip(segments.iter().skip(1));
        let needed = behind.filter(|(_, next)| next.before.sequence > covered);
        let kept: u64 = needed.map(|(segment, _)| segment.length()).sum();
        shares::left_to_journal(self.live(), base, kept, self.index_bytes()).max(self.due() / 2)
    }

    /// What the files of the index take. sled says nothing of it.
    fn index_bytes(&self) -> u64 {
        let files = fs::read_dir(&self.shared.index).into_iter().flatten().flatten();
        files.filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum()
    }

    /// Bytes of closed segments that the newest snapshot does not cover, and where they end.
    fn journal_since(&self) -> Result<(u64, Mark), Trouble> {
        let segments = self.segments()?;
        let covered = self.whole.last().map_or(0, |newest| newest.at.sequence);
        let closed = segments.iter().zip(segments.iter().skip(1));
        let open = closed.filter(|(_, next)| next.before.sequence > covered);
        let since = open.map(|(segment, _)| segment.length()).sum();
        Ok((since, segments.last().map_or(Mark::START, |last| last.before)))
    }

    /// Makes snapshots until one holds the record at `upto`, which is durable.
    fn reach(&mut self, upto: Mark) -> Result<Snapshot, SnapshotError> {
        loop {
            if let Some(newest) = self.whole.last().filter(|newest| newest.at.sequence >= upto.sequence) {
                return Ok(newest.clone());
            }
            self.step(&upto)?;
        }
    }

    fn step(&mut self, upto: &Mark) -> Result<(), SnapshotError> {
        if upto.sequence == 0 {
            return Err(SnapshotError::Failed("nothing was ever written".into()));
        }
        if !self.has_room() {
            self.shared.standing.note(|it| it.failure = Some("there is no room for a snapshot".into()));
            return Err(SnapshotError::Full);
        }
        self.make_way();
        let shared = Arc::clone(&self.shared);
        let fold = Fold {
            identity: &shared.identity,
            digester: &shared.digester,
            device: &*shared.device,
            directory: &shared.snapshots,
            journal: &shared.journal,
            closing: &shared.closing,
            haste: self.haste(),
            backpressure: &shared.backpressure,
            most: self.most_meanwhile(),
        };
        let made = if self.whole.is_empty() && !self.reaches_back() {
            self.of_index(&fold)
        } else {
            fold.step(self.whole.last(), upto)
        };
        if made.is_err() {
            // What is unfinished would only keep others from the room.
            drop(fs::remove_file(shared.snapshots.join(UNDERWAY)));
        }
        match made {
            Ok(snapshot) => {
                tracing::debug!(
                    sequence = snapshot.at.sequence,
                    bytes = snapshot.bytes,
                    "a snapshot was made"
                );
                self.read_at = Some((snapshot.at.sequence, Instant::now()));
                self.whole.push(snapshot);
                shared.standing.note(|it| (it.failure, it.made) = (None, it.made + 1));
                self.stand();
                self.set_needed_aside();
                self.prune_to(KEPT);
                self.standing();
                Ok(())
            }
            Err(_) if shared.closing.load(Ordering::Relaxed) => Err(SnapshotError::Closed),
            Err(trouble) => {
                self.failed(&trouble);
                self.doubt(&trouble);
                self.look_for_forgery(&trouble);
                Err(SnapshotError::Failed(trouble.to_string()))
            }
        }
    }

    /// Where what was made does not add up, somebody who knows the checksums may have changed the one that it was made from: the MACs say
    /// whether that is so.
    fn look_for_forgery(&mut self, trouble: &Trouble) {
        let made = self.shared.snapshots.join(UNDERWAY);
        if !matches!(trouble, Trouble::Damaged { file, .. } if *file == made) {
            return;
        }
        let shared = Arc::clone(&self.shared);
        if let Some(newest) = self.whole.last()
            && let Err(trouble) = snapshot::verify(&newest.path, &shared.identity, &shared.digester)
        {
            self.failed(&trouble);
            self.doubt(&trouble);
        }
    }

    /// Whether the journal alone is a whole truth.
    fn reaches_back(&self) -> bool {
        self.segments().is_ok_and(|segments| base::reaches_back(&segments))
    }

    /// The index was held against the journal at the start, and its snapshot is once more before it gets its name.
    fn of_index(&self, fold: &Fold<'_>) -> Result<Snapshot, Trouble> {
        let shared = &self.shared;
        let from = *shared.published.lock().unwrap_or_else(PoisonError::into_inner);
        fold.of_index(&from, &|after| shared.front.scan(&[], after, PART), &|| shared.head())
    }

    /// Where it was the snapshot before that is damaged, the next attempt begins with the one before that.
    fn doubt(&mut self, trouble: &Trouble) {
        let Trouble::Damaged { file, .. } = trouble else { return };
        if self.whole.iter().any(|whole| whole.path == *file) {
            self.whole.retain(|whole| whole.path != *file);
            self.stand();
            self.set_aside(trouble);
        }
    }

    /// Three side by side would take more room than is promised. So the older one goes before there is another; but only when all of the
    /// newest was just read, and the journal goes on after it.
    fn make_way(&mut self) {
        if self.whole.len() < KEPT {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let Some(newest) = self.whole.last() else { return };
        let is_known = self
            .read_at
            .is_some_and(|(sequence, at)| sequence == newest.at.sequence && at.elapsed() < LATELY);
        let looked = if is_known {
            snapshot::skim(&newest.path, &shared.identity)
        } else {
            snapshot::verify(&newest.path, &shared.identity, &shared.digester)
        };
        match looked {
            Ok(found) => {
                if !is_known {
                    self.read_at = Some((found.at.sequence, Instant::now()));
                }
                self.prune_to(1);
                if self.whole.len() == 1 {
                    self.retire_up_to(found.at.sequence);
                }
            }
            // The one before serves.
            Err(trouble) => self.doubt(&trouble),
        }
    }

    fn has_room(&self) -> bool {
        let live = self.whole.last().map_or(0, |newest| newest.bytes);
        let since = self.journal_since().map_or(0, |(since, _)| since);
        let needed = live.saturating_add(since).saturating_add(2 * RESERVE);
        // Where the kernel does not say, the writes will.
        self.shared.device.free(&self.shared.snapshots).map_or(true, |free| free >= needed)
    }

    /// Lets the oldest go. When this comes back they are durably gone: segments that they need may go after them.
    fn prune_to(&mut self, most: usize) {
        if self.whole.len() <= most {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let _nobody_reads = shared.files();
        let go = self.whole.len().saturating_sub(most);
        let gone: Vec<Snapshot> = self.whole.drain(..go).collect();
        // An open file keeps its room.
        self.stand();
        match snapshot::remove(&gone).and_then(|()| durable::sync_directory(&shared.snapshots)) {
            Ok(()) => {}
            Err(error) => {
                tracing::warn!(%error, "an old snapshot could not be removed");
                self.begin_again();
            }
        }
    }

    /// As the directory has them: all of them were verified.
    fn begin_again(&mut self) {
        if let Ok((found, _)) = snapshot::list(&self.shared.snapshots, &self.shared.identity) {
            self.whole = found;
        }
    }

    fn retire(&self) {
        self.retire_up_to(self.covered());
    }

    /// Removes the segments that hold nothing beyond that record, as far as no backup needs them.
    fn retire_up_to(&self, covered: u64) {
        let _nobody_reads = self.shared.files();
        let limit = match self.shared.retention {
            Retention::BackedUp => covered.min(self.shared.backed_up.load(Ordering::Acquire)),
            Retention::Covered => covered,
        };
        let removed = self.segments().map_err(OpenError::from).and_then(|segments| {
            let mut removed = 0;
            for (segment, next) in segments.iter().zip(segments.iter().skip(1)) {
                if !may_retire(next, limit) || !is_settled(segment) {
                    break;
                }
                let io = |error| OpenError::Io { file: segment.path.clone(), error };
                let first = segment.before.sequence.saturating_add(1);
                self.shared.front.values().remove(&segment.path, first).map_err(io)?;
                // One by one: after a crash, none may be gone before those older than it.
                durable::sync_directory(&self.shared.journal).map_err(io)?;
                removed += 1;
            }
            Ok(removed)
        });
        match removed {
            Ok(0) => {}
            Ok(removed) => self.shared.standing.note(|standing| standing.retired += removed),
            Err(why) => tracing::warn!(%why, "an old journal segment could not be removed"),
        }
    }

    /// The last record that two snapshots hold.
    fn covered(&self) -> u64 {
        let older = self.whole.len().checked_sub(KEPT).and_then(|older| self.whole.get(older));
        older.map_or(0, |older| older.at.sequence)
    }

    fn segments(&self) -> Result<Vec<Segment>, Trouble> {
        walk::segments(&self.shared.journal, &self.shared.identity)
    }

    fn standing(&self) {
        let segments = self.segments().unwrap_or_default();
        let bytes = segments.iter().map(Segment::length).sum();
        self.shared.standing.note(|standing| {
            standing.snapshots.clone_from(&self.whole);
            (standing.segments, standing.journal_bytes) = (segments.len() as u64, bytes);
            standing.first = segments.first().map_or(1, |first| first.before.sequence + 1);
        });
    }
}

/// Whether the segment before `next` holds nothing beyond `limit`.
fn may_retire(next: &Segment, limit: u64) -> bool {
    next.before.sequence <= limit
}

/// Whether the last write to it was a while ago. Where the clock has gone back, it waits.
fn is_settled(segment: &Segment) -> bool {
    let written = fs::metadata(&segment.path).and_then(|metadata| metadata.modified());
    written.is_ok_and(|at| at.elapsed().is_ok_and(|since| since >= SETTLED))
}
