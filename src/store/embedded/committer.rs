//! The one thread that changes the store: it gathers what waits into a group, writes and syncs it once, hands it
//! to the index, and answers.
//!
//! The hard problem: each batch must see those before it in the same group, which are not durable yet, and nobody
//! else may. The answer: they are gathered apart ([`Pending`]) and reach index and cache only after the sync. Even
//! a conflict is answered only then, so that who reads again sees what won.
//!
//! Never answers with success before the sync, and never syncs again after one has failed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, UNIX_EPOCH};

use tokio::sync::oneshot;

use super::upkeep::Task;
use super::{Shared, in_memory};
use crate::chain::Mark;
use crate::os::fault_points;
use crate::os::space::is_full;
use crate::store::index::pending::Pending;
use crate::store::index::tally::Tally;
use crate::store::index::{Applied, Broken};
use crate::store::journal::record::{self, Entry};
use crate::store::journal::writer::Writer;
use crate::store::{Batch, CommitError, Precondition, State};

/// Bytes after which a group is closed: enough for a thousand small batches, and written in a few milliseconds.
const GROUP_BYTES: usize = 4 << 20;

/// How often a full disk is looked at.
const IDLE: Duration = Duration::from_millis(250);

/// How long an answer about free room is believed.
const ROOM_LASTS: Duration = Duration::from_millis(100);

/// What the committer is told.
pub(crate) enum Request {
    Close,
    Commit(Ask),
    /// Somebody wants to know that the thread is not stuck.
    Probe(oneshot::Sender<()>),
    /// A reader found the index broken.
    Replace(String),
}

/// Who waits for a batch.
type Answer = oneshot::Sender<Result<Mark, CommitError>>;

/// A batch and who waits for it.
pub(crate) struct Ask {
    pub(crate) batch: Batch,
    /// As a record.
    pub(crate) length: usize,
    pub(crate) weight: Weight,
    pub(crate) answer: Answer,
}

/// What a refusal would cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weight {
    /// Nobody can ask for it again: it may go into the last room there is.
    Precious,
    /// Who asked asks again.
    Usual,
}

/// The thread's own state.
pub(crate) struct Committer {
    shared: Arc<Shared>,
    queue: Receiver<Request>,
    writer: Writer,
    head: Mark,
    tally: Tally,
    buffer: Vec<u8>,
    room_seen_at: Option<Instant>,
}

/// Batches that will share a sync.
struct Group<'a> {
    bytes: Vec<u8>,
    /// Where in the segment they go.
    offset: u64,
    pending: Pending<'a>,
    head: Mark,
    witness: Mark,
    written_at: u64,
    answers: Vec<(Answer, Result<Mark, CommitError>)>,
}

impl Committer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        queue: Receiver<Request>,
        writer: Writer,
        applied: &Applied,
    ) -> Self {
        let (head, tally) = (applied.mark, applied.tally);
        Self { shared, queue, writer, head, tally, buffer: Vec::new(), room_seen_at: None }
    }

    /// Works until it is told to close.
    pub(crate) fn run(mut self) {
        let mut open = true;
        while open {
            let Some(first) = self.wait() else { continue };
            let mut asks = VecDeque::new();
            let mut bytes = 0;
            let mut next = Some(first);
            while let Some(request) = next {
                match request {
                    Request::Close => open = false,
                    Request::Probe(answer) => drop(answer.send(())),
                    Request::Replace(why) => self.replace_index(&why),
                    Request::Commit(ask) => {
                        bytes += ask.length;
                        asks.push_back(ask);
                    }
                }
                next = if bytes < GROUP_BYTES { self.queue.try_recv().ok() } else { None };
            }
            self.commit(asks);
        }
        self.writer.close();
    }

    /// The next request. Without one for a while, sees to what can be done meanwhile.
    fn wait(&mut self) -> Option<Request> {
        let is_full = self.shared.condition.state() == State::Full;
        if !is_full {
            return Some(self.queue.recv().unwrap_or(Request::Close));
        }
        match self.queue.recv_timeout(IDLE) {
            Ok(request) => Some(request),
            Err(RecvTimeoutError::Disconnected) => Some(Request::Close),
            Err(RecvTimeoutError::Timeout) => {
                self.look_for_room();
                None
            }
        }
    }

    fn commit(&mut self, mut asks: VecDeque<Ask>) {
        let shared = Arc::clone(&self.shared);
        if let Some(refusal) = shared.condition.refusal() {
            return asks.into_iter().for_each(|ask| ask.refuse(refusal.clone()));
        }
        if !asks.is_empty() && !self.has_room() {
            // The segment is written out: what is precious goes into it while it lasts.
            let (precious, usual): (VecDeque<_>, VecDeque<_>) =
                asks.into_iter().partition(|ask| ask.weight == Weight::Precious);
            usual.into_iter().for_each(|ask| ask.refuse(CommitError::Full));
            asks = precious;
        }
        while let Some(next) = asks.front() {
            if !self.writer.fits(next.length)
                && let Err(refusal) = self.roll()
            {
                if let Some(ask) = asks.pop_front() {
                    ask.refuse(refusal);
                }
                continue;
            }
            let mut group = self.start(&shared);
            while asks.front().is_some_and(|ask| self.writer.fits(group.bytes.len() + ask.length))
                && let Some(ask) = asks.pop_front()
            {
                self.enter(&mut group, ask);
            }
            self.conclude(group);
        }
    }

    fn start<'a>(&mut self, shared: &'a Shared) -> Group<'a> {
        let mut bytes = std::mem::take(&mut self.buffer);
        bytes.clear();
        let since = shared.clock.now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Group {
            bytes,
            offset: self.writer.offset(),
            pending: Pending::new(&shared.digester, self.tally),
            head: self.head,
            witness: shared.witness.durable_head(),
            written_at: u64::try_from(since.as_micros()).unwrap_or(u64::MAX),
            answers: Vec::new(),
        }
    }

    /// Adds the batch to the group, if its preconditions hold.
    fn enter(&mut self, group: &mut Group<'_>, ask: Ask) {
        let entered = self.admit(group, ask.batch);
        group.answers.push((ask.answer, entered));
    }

    fn admit(&mut self, group: &mut Group<'_>, batch: Batch) -> Result<Mark, CommitError> {
        for precondition in &batch.preconditions {
            let key = match precondition {
                Precondition::Absent(key) | Precondition::Unchanged(key, _) => key,
            };
            let there = self.insist(|shared| group.pending.read(key, &|key| shared.front.peek(key)))?;
            let holds = match precondition {
                Precondition::Absent(_) => there.is_none(),
                Precondition::Unchanged(_, revision) => {
                    there.is_some_and(|pointer| pointer.revision == *revision)
                }
            };
            if !holds {
                return Err(CommitError::Conflict);
            }
        }
        let sequence = group.head.sequence.saturating_add(1);
        let start = group.offset + group.bytes.len() as u64;
        for (change, at) in batch.changes.iter().zip(record::values_behind(batch.note.len(), &batch.changes))
        {
            // A segment is never as long as that: its length is bounded where it is configured.
            let at = u32::try_from(start + at as u64).unwrap_or(0);
            self.insist(|shared| group.pending.take(change, sequence, at, &|key| shared.front.peek(key)))?;
        }
        let entry = Entry {
            sequence,
            written_at: group.written_at,
            witness: group.witness,
            tally: group.pending.tally,
            note: batch.note,
            changes: batch.changes,
        };
        let (identity, before) = (&self.shared.identity, &group.head.chain);
        let chain = record::encode(&entry, |covered| identity.chain(before, covered), &mut group.bytes);
        group.head = Mark { sequence, chain };
        Ok(group.head)
    }

    /// Asks the index; if it breaks, asks the one that takes its place.
    fn insist<T>(&mut self, mut ask: impl FnMut(&Shared) -> Result<T, Broken>) -> Result<T, CommitError> {
        let broken = match ask(&self.shared) {
            Ok(done) => return Ok(done),
            Err(broken) => broken,
        };
        self.replace_index(&broken.0);
        ask(&self.shared).map_err(|broken| {
            self.shared.condition.fail(format!("the index: {broken}"));
            CommitError::Failed(broken.0)
        })
    }

    /// Makes the group durable, shows it to readers, and answers.
    fn conclude(&mut self, mut group: Group<'_>) {
        if !group.bytes.is_empty() {
            // A group that the index has failed is not written: what it would say of the state may be wrong.
            let written = match self.shared.condition.refusal() {
                Some(refusal) => Err(refusal),
                None => self.write(&mut group),
            };
            if let Err(refusal) = written {
                for (answer, _) in group.answers {
                    drop(answer.send(Err(refusal.clone())));
                }
                return;
            }
        }
        let grown = group.pending.grown;
        self.buffer = group.bytes;
        for (answer, outcome) in group.answers {
            // Who no longer waits has left; the batch stands.
            drop(answer.send(outcome));
        }
        self.shared.backpressure.hold(self.buffer.len() as u64, grown);
    }

    fn write(&mut self, group: &mut Group<'_>) -> Result<(), CommitError> {
        if let Err(error) = self.writer.append(&group.bytes) {
            let why = format!("writing the journal: {error}");
            self.shared.condition.fail(why.clone());
            return Err(CommitError::Failed(why));
        }
        self.head = group.head;
        self.tally = group.pending.tally;
        let applied = Applied { mark: self.head, tally: self.tally };
        self.shared.front.bring(group.pending.drain(), &applied);
        self.shared.publish(&applied);
        fault_points::reach("journal/published");
        Ok(())
    }

    fn roll(&mut self) -> Result<(), CommitError> {
        match self.writer.roll(&self.head) {
            Ok(()) => {
                self.shared.front.values().begun(self.head.sequence.saturating_add(1));
                self.shared.condition.turn(State::Ok);
                // Where nobody listens, the store is closing.
                drop(self.shared.tasks.send(Task::Rolled));
                Ok(())
            }
            Err(error) if is_full(&error) => {
                // What else there is room for must be asked anew: a smaller batch is not to slip in behind this one.
                self.room_seen_at = None;
                self.shared.condition.turn(State::Full);
                Err(CommitError::Full)
            }
            Err(error) => {
                let why = format!("starting a journal segment: {error}");
                self.shared.condition.fail(why.clone());
                Err(CommitError::Failed(why))
            }
        }
    }

    fn has_room(&mut self) -> bool {
        if self.room_seen_at.is_none_or(|at| at.elapsed() >= ROOM_LASTS) {
            self.look_for_room();
        }
        self.room_seen_at.is_some()
    }

    fn look_for_room(&mut self) {
        if self.writer.is_short_of_room() {
            self.room_seen_at = None;
            self.shared.condition.turn(State::Full);
        } else {
            self.room_seen_at = Some(Instant::now());
            self.shared.condition.turn(State::Ok);
        }
    }

    /// Puts an index in memory, made from the journal, in the place of the broken one.
    fn replace_index(&mut self, why: &str) {
        // Who closes needs none: the next start sees to it.
        if self.shared.front.kind() == "memory" || self.shared.closing.load(Ordering::Relaxed) {
            return;
        }
        tracing::error!(%why, "the index has broken; making one in memory from the journal");
        match in_memory::make(&self.shared, &self.head) {
            Ok(memory) => {
                self.shared.front.replace(memory);
                tracing::warn!("served from an index in memory until the next start");
            }
            Err(error) => self.shared.condition.fail(format!("the index broke ({why}), and then: {error}")),
        }
    }
}

impl Ask {
    fn refuse(self, refusal: CommitError) {
        drop(self.answer.send(Err(refusal)));
    }
}
