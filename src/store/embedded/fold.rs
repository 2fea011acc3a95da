//! The journal folded up: a snapshot and the records after it give the next snapshot.
//!
//! The hard problem: a view of a million records at one instant, without stopping those who write and without holding it in
//! memory. The answer: it is not taken from what changes. What is in the journal does not change any more: the snapshot
//! before is read in key order beside the places of the newest changes since, sorted, and both run into the next one.
//! The index is not asked, so its faults are not carried on; and the result must add up to what the journal's own record says
//! there.
//!
//! Never holds more than [`MOST`] places and [`SEGMENTS`] open files: where there is more, it goes in several steps, each a
//! whole snapshot.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::backpressure::{Backpressure, Working};
use super::front::Unread;
use crate::chain::Mark;
use crate::store::device::Device;
use crate::store::index::Applied;
use crate::store::index::tally::{Digester, Tally};
use crate::store::journal::record::{self, Entry};
use crate::store::journal::segment::Identity;
use crate::store::journal::walk::{self, Segment, Trouble, Walk};
use crate::store::snapshot::format::Head;
use crate::store::snapshot::{Reader, Snapshot, Writer};
use crate::store::{Change, Key, Record};

/// Places held at once: 32 MiB of them.
const MOST: usize = 1 << 19;

/// Places that one record may add beyond them.
const MARGIN: usize = record::MOST / crate::store::KEY_LENGTH;

/// Segments read in one step: each is an open file.
const SEGMENTS: usize = 64;

/// How often a byte of a snapshot is touched: read in the one before, written, read back.
const READ_OR_WRITTEN: u64 = 3;

/// About what a journal record has beside its values.
const BESIDE: u64 = 192;

/// How long it works before it rests for as long.
const SPELL: Duration = Duration::from_millis(20);

/// Where the newest change of a key stands.
struct Place {
    key: Key,
    sequence: u64,
    segment: u32,
    offset: u32,
    /// None where it was deleted.
    length: Option<u32>,
}

/// What has changed up to a record.
struct Changes {
    /// One for a key, in key order.
    places: Vec<Place>,
    head: Head,
}

/// The records of an index after a key, a part of them at a time.
pub(crate) type Scan<'a> = dyn Fn(Option<&Key>) -> Result<Vec<(Key, Record)>, Unread> + 'a;

/// What it works with.
pub(crate) struct Fold<'a> {
    pub(crate) identity: &'a Identity,
    pub(crate) digester: &'a Digester,
    pub(crate) device: &'a dyn Device,
    /// Where snapshots are.
    pub(crate) directory: &'a Path,
    /// Where segments are.
    pub(crate) journal: &'a Path,
    /// Ends the work.
    pub(crate) closing: &'a AtomicBool,
    pub(crate) haste: Haste,
    /// Slows down those who write meanwhile.
    pub(crate) backpressure: &'a Backpressure,
    /// Bytes of journal that may be written meanwhile.
    pub(crate) most: u64,
}

/// How much of the time it works, as long as nobody who writes is near to being held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Haste {
    /// All of it: the journal grows faster than it is folded.
    Behind,
    /// Half of it.
    Usual,
}

/// Leaves time to others.
struct Pace<'a> {
    closing: &'a AtomicBool,
    haste: Haste,
    working: Working<'a>,
    begun_at: Instant,
}

impl Pace<'_> {
    /// So many bytes were read, and written where they are.
    fn go_on(&mut self, bytes: u64, file: &Path) -> Result<(), Trouble> {
        self.working.advance(bytes);
        self.rest(file)
    }

    fn rest(&mut self, file: &Path) -> Result<(), Trouble> {
        let worked = self.begun_at.elapsed();
        if worked >= SPELL {
            if self.closing.load(Ordering::Relaxed) {
                let error = std::io::ErrorKind::Interrupted.into();
                return Err(Trouble::Io { file: file.to_owned(), error });
            }
            if self.haste == Haste::Usual && !self.working.is_pressed() {
                std::thread::sleep(worked.min(5 * SPELL));
            }
            self.begun_at = Instant::now();
        }
        Ok(())
    }
}

impl Fold<'_> {
    /// For a snapshot from one of so many bytes.
    fn pace(&self, base: u64, segments: &[Segment]) -> Pace<'_> {
        let since: u64 = segments.iter().map(Segment::length).sum();
        // The journal is read once; what comes of it is read, written and read back.
        let total = since + READ_OR_WRITTEN * base.max(since);
        Pace {
            closing: self.closing,
            haste: self.haste,
            working: self.backpressure.begin(total, self.most),
            begun_at: Instant::now(),
        }
    }

    /// The next snapshot after `base`, at `upto` or on the way there. `upto` is durable.
    pub(crate) fn step(&self, base: Option<&Snapshot>, upto: &Mark) -> Result<Snapshot, Trouble> {
        let from = base.map_or(Head::NOTHING, |base| Head {
            at: base.at,
            witness: base.witness,
            written_at: base.written_at,
            tally: base.tally,
        });
        let segments = self.segments(&from.at)?;
        // By its checksums: what is made of it is held against the journal's word record by record, which finds whatever they do not.
        let reader = base.map(|base| Reader::open_own(&base.path, self.identity)).transpose()?;
        let mut pace = self.pace(base.map_or(0, |base| base.bytes), &segments);
        let changes = self.gather(from, upto, &segments, &mut pace)?;
        self.merge(reader, &changes, &segments, &mut pace)
    }

    /// A snapshot of what the index holds, where no snapshot is left that the journal goes on after. The index goes on
    /// changing while it is read: what it held at `from`, the records since put right. `head` is asked for the last of them.
    pub(crate) fn of_index(
        &self,
        from: &Applied,
        index: &Scan<'_>,
        head: &dyn Fn() -> Mark,
    ) -> Result<Snapshot, Trouble> {
        let from = Head { at: from.mark, tally: from.tally, ..Head::NOTHING };
        let mut pace = self.pace(0, &[]);
        let mut draft = Writer::begin_draft(self.directory, self.device, self.identity, from)?;
        let mut after = None;
        loop {
            let part = index(after.as_ref()).map_err(|broken| Trouble::Io {
                file: self.directory.to_owned(),
                error: std::io::Error::other(format!("the index: {broken}")),
            })?;
            let Some((last, _)) = part.last() else { break };
            after = Some(*last);
            for (key, record) in &part {
                draft.put(key, record.revision, &record.value)?;
            }
            pace.rest(self.directory)?;
        }
        let draft = draft.leave()?;
        let segments = self.segments(&from.at)?;
        let changes = self.gather(from, &head(), &segments, &mut pace)?;
        let reader = Reader::open(&draft, self.identity)?;
        let made = self.merge(Some(reader), &changes, &segments, &mut pace);
        // What was copied is in the snapshot, or of no use.
        drop(std::fs::remove_file(draft));
        made
    }

    /// The segments after `from`, as many as are read in one step.
    fn segments(&self, from: &Mark) -> Result<Vec<Segment>, Trouble> {
        let mut segments = walk::segments(self.journal, self.identity)?;
        segments.drain(..walk::containing(&segments, from.sequence));
        segments.truncate(SEGMENTS);
        match segments.first() {
            Some(first) if first.before.sequence <= from.sequence => Ok(segments),
            _ => {
                let what = format!("the journal does not go on after record {}", from.sequence);
                Err(Trouble::Damaged { file: self.journal.to_owned(), offset: 0, what })
            }
        }
    }

    fn gather(
        &self,
        from: Head,
        upto: &Mark,
        segments: &[Segment],
        pace: &mut Pace<'_>,
    ) -> Result<Changes, Trouble> {
        let mut places = Vec::new();
        let mut head = from;
        let mut walk = Walk::new(self.identity, segments, None)?;
        let agrees = |mark: &Mark| {
            [&from.at, upto].iter().all(|known| known.sequence != mark.sequence || *known == mark)
        };
        while agrees(&walk.mark()) && walk.mark().sequence < upto.sequence {
            let Some(found) = walk.next()? else { break };
            if found.mark.sequence < from.at.sequence {
                continue;
            }
            head.take(&found.entry, found.mark);
            if found.mark.sequence == from.at.sequence {
                continue;
            }
            note(&found.entry, walk.segment(), found.offset, &mut places);
            let values = found.entry.changes.iter().map(|change| match change {
                Change::Delete(_) => 0,
                Change::Put(_, value) => value.len() as u64,
            });
            pace.go_on(BESIDE + values.sum::<u64>(), self.journal)?;
            if places.len() >= MOST {
                compact(&mut places);
                if places.len() > MOST / 2 {
                    break;
                }
            }
        }
        let at = walk.mark();
        let is_short = at.sequence < from.at.sequence.saturating_add(1).min(upto.sequence);
        if !agrees(&at) || is_short {
            let what = format!("the journal's record {} is not the one that was written", at.sequence);
            return Err(walk.damaged(what));
        }
        compact(&mut places);
        Ok(Changes { places, head })
    }

    fn merge(
        &self,
        mut base: Option<Reader>,
        changes: &Changes,
        segments: &[Segment],
        pace: &mut Pace<'_>,
    ) -> Result<Snapshot, Trouble> {
        let mut values = Values::new(segments);
        let mut writer = Writer::begin(self.directory, self.device, self.identity, changes.head)?;
        let mut old = next(base.as_mut())?;
        for place in &changes.places {
            while let Some((key, record)) = old.take_if(|(key, _)| *key < place.key) {
                writer.put(&key, record.revision, &record.value)?;
                old = next(base.as_mut())?;
                pace.go_on(2 * record.value.len() as u64, self.directory)?;
            }
            if old.take_if(|(key, _)| *key == place.key).is_some() {
                old = next(base.as_mut())?;
            }
            if let Some(value) = values.read(place)? {
                writer.put(&place.key, place.sequence, &value)?;
            }
            pace.go_on(2 * u64::from(place.length.unwrap_or(0)), self.directory)?;
        }
        while let Some((key, record)) = old {
            writer.put(&key, record.revision, &record.value)?;
            old = next(base.as_mut())?;
            pace.go_on(2 * record.value.len() as u64, self.directory)?;
        }
        writer.finish(self.digester, &mut |bytes| pace.go_on(bytes, self.directory))
    }
}

fn next(base: Option<&mut Reader>) -> Result<Option<(Key, Record)>, Trouble> {
    base.map_or(Ok(None), Reader::next)
}

impl Head {
    const NOTHING: Self =
        Self { at: Mark::START, witness: Mark::START, written_at: 0, tally: Tally { records: 0, digest: 0 } };

    fn take(&mut self, entry: &Entry, mark: Mark) {
        (self.at, self.written_at, self.tally) = (mark, entry.written_at, entry.tally);
        if entry.witness.sequence > self.witness.sequence {
            self.witness = entry.witness;
        }
    }
}

/// Notes where the changes of a record stand that starts at `start`.
fn note(entry: &Entry, segment: usize, start: usize, places: &mut Vec<Place>) {
    let short = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    if places.capacity() < MOST + MARGIN {
        places.reserve((MOST + MARGIN).min(places.len() * 2 + MARGIN));
    }
    for (change, at) in entry.changes.iter().zip(record::values_at(entry)) {
        let (key, length) = match change {
            Change::Delete(key) => (*key, None),
            Change::Put(key, value) => (*key, Some(short(value.len()))),
        };
        let (segment, offset) = (short(segment), short(start + at));
        places.push(Place { key, sequence: entry.sequence, segment, offset, length });
    }
}

/// Leaves the newest of each key, in key order.
fn compact(places: &mut Vec<Place>) {
    let newest_first = |place: &Place| std::cmp::Reverse((place.sequence, place.offset));
    places.sort_unstable_by(|a, b| a.key.cmp(&b.key).then(newest_first(a).cmp(&newest_first(b))));
    places.dedup_by_key(|place| place.key);
}

/// Values where they stand in the journal.
struct Values<'a> {
    segments: &'a [Segment],
    files: Vec<Option<File>>,
}

impl<'a> Values<'a> {
    fn new(segments: &'a [Segment]) -> Self {
        Self { segments, files: segments.iter().map(|_| None).collect() }
    }

    /// The value; none where it was deleted. What is read amiss does not add up in the end.
    fn read(&mut self, place: &Place) -> Result<Option<Vec<u8>>, Trouble> {
        let Some(length) = place.length else { return Ok(None) };
        let mut value = vec![0; length as usize];
        let at = place.segment as usize;
        if let (Some(segment), Some(file)) = (self.segments.get(at), self.files.get_mut(at)) {
            let io = |error| Trouble::Io { file: segment.path.clone(), error };
            let file = match file {
                Some(file) => file,
                None => file.insert(File::open(&segment.path).map_err(io)?),
            };
            file.read_exact_at(&mut value, u64::from(place.offset)).map_err(io)?;
        }
        Ok(Some(value))
    }
}
