//! The end of the log: one line after the other, from whichever thread, some of them in one write.
//!
//! The hard problem: a full disk and a failed disk answer alike with an error, but the first passes and the second
//! must not be tried again. The answer: room is reserved ahead; where even that is used up, the part of a write
//! that was done is cut back, so that the chain stays whole and the next append may succeed. Any other
//! error is final.
//!
//! Never gives a mark for a line that is not wholly in the file.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use super::entry::Entry;
use super::gathering::Turn;
use super::line::{self, Opening, Previous};
use super::log::{AuditError, State};
use super::segment::{self, Name};
use super::stamp::{Day, Stamp};
use crate::chain::Mark;
use crate::clock::Clock;
use crate::crypto::mac::MacKey;
use crate::os::durable;
use crate::os::space::{self, is_full};

/// A segment ends here: 64 MiB are read in a tenth of a second at a start.
pub(super) const SEGMENT_MOST: u64 = 64 * 1024 * 1024;

/// Room that is kept beyond the end: about 10,000 reads that go on when the disk is full.
const ROOM: u64 = 4 * 1024 * 1024;

/// Lines that may wait for one write: a hundred and more, and a small part of what is reserved.
const GATHERED_MOST: usize = 64 * 1024;

/// What stays the same for the life of the log.
pub(super) struct Ground {
    pub(super) directory: PathBuf,
    pub(super) vault: [u8; 16],
    pub(super) key: MacKey,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) segment_most: u64,
}

/// The open segment and its end.
pub(super) struct Writer {
    ground: Ground,
    file: Arc<File>,
    name: Name,
    key: MacKey,
    size: u64,
    /// Blocks are set aside up to here.
    reserved: u64,
    /// As it is in the file.
    written: End,
    /// As it will be once `lines` are in the file.
    tail: End,
    stamp: Stamp,
    /// Chained, and not in the file yet.
    lines: Vec<u8>,
    /// Who waits for `lines`.
    turn: Option<Arc<Turn>>,
    failed: Option<Arc<str>>,
    /// It is the device that has failed, and not somebody who has touched the file.
    device_failed: bool,
    /// Room could not be set aside.
    low: bool,
    /// The next segment could not be begun for want of room: not tried again before the next [`Self::retry`].
    deferred: bool,
    /// Of the open file, as it was when it was opened: device, inode, mode.
    identity: (u64, u64, u32),
    /// Of the directory: device, inode.
    directory: (u64, u64),
}

/// How far the log goes.
#[derive(Clone, Copy)]
struct End {
    head: Mark,
    journal: Mark,
}

/// Where a writer begins.
pub(super) struct Start {
    pub(super) name: Name,
    pub(super) file: File,
    pub(super) size: u64,
    pub(super) head: Mark,
    pub(super) journal: Mark,
}

impl Writer {
    /// Goes on where `start` ends.
    pub(super) fn resume(ground: Ground, start: Start) -> io::Result<Self> {
        let found = start.file.metadata()?;
        let directory = fs::symlink_metadata(&ground.directory)?;
        let end = End { head: start.head, journal: start.journal };
        let mut writer = Self {
            key: segment::key(&ground.key, start.name.number)?,
            file: Arc::new(start.file),
            name: start.name,
            size: start.size,
            reserved: start.size,
            written: end,
            tail: end,
            stamp: Stamp::new(),
            lines: Vec::with_capacity(GATHERED_MOST + line::LINE_MOST),
            turn: None,
            failed: None,
            device_failed: false,
            low: false,
            deferred: false,
            identity: (found.dev(), found.ino(), found.mode()),
            directory: (directory.dev(), directory.ino()),
            ground,
        };
        writer.reserve();
        Ok(writer)
    }

    /// Begins the first segment of a log.
    pub(super) fn begin(ground: Ground) -> io::Result<Self> {
        let at = super::stamp::micros(ground.clock.now());
        let name = Name { number: 1, day: Day::of(at) };
        let mut stamp = Stamp::new();
        let start = open_segment(&ground, name, None, Mark::START, Mark::START, stamp.format(at))?;
        Self::resume(ground, start)
    }

    /// The last line in the file.
    pub(super) fn head(&self) -> Mark {
        self.written.head
    }

    /// The newest journal mark that was written down.
    pub(super) fn journal(&self) -> Mark {
        self.written.journal
    }

    /// The open file and the last line in it: what a sync of that file covers.
    pub(super) fn to_sync(&self) -> (Arc<File>, Mark) {
        (Arc::clone(&self.file), self.written.head)
    }

    /// How it is.
    pub(super) fn state(&self) -> State {
        match &self.failed {
            Some(reason) => State::Failed(reason.to_string()),
            None if self.low => State::Low,
            None => State::Ok,
        }
    }

    /// Takes nothing more. The first reason stays.
    pub(super) fn fail(&mut self, reason: &str) -> Arc<str> {
        Arc::clone(self.failed.get_or_insert_with(|| reason.into()))
    }

    /// As [`Self::fail`], where the kernel would not write or sync.
    pub(super) fn fail_of_device(&mut self, reason: &str) -> Arc<str> {
        self.device_failed |= self.failed.is_none();
        self.fail(reason)
    }

    /// Whether it is the device that has failed.
    pub(super) fn is_failed_of_device(&self) -> bool {
        self.device_failed
    }

    /// Writes one line, and before it whatever was gathered.
    pub(super) fn append(&mut self, entry: &Entry<'_>) -> Result<Mark, AuditError> {
        self.put(entry)?;
        self.flush()?;
        Ok(self.written.head)
    }

    /// Writes lines, as many at a time as have room, and before them whatever was gathered.
    pub(super) fn append_all<'e>(
        &mut self,
        mut entries: impl Iterator<Item = Entry<'e>>,
    ) -> Result<Mark, AuditError> {
        let put = entries.try_for_each(|entry| {
            self.put(&entry)?;
            if self.lines.len() > GATHERED_MOST { self.flush() } else { Ok(()) }
        });
        // Where one could not be put, those before it do not wait for anybody.
        self.flush().and(put)?;
        Ok(self.written.head)
    }

    /// Puts one line behind the others that wait for a write. The caller sees to the write, unless the turn has ended by then.
    pub(super) fn gather(&mut self, entry: &Entry<'_>) -> Result<(Arc<Turn>, Mark), AuditError> {
        self.put(entry)?;
        let mark = self.tail.head;
        let turn = Arc::clone(self.turn.get_or_insert_default());
        if self.lines.len() > GATHERED_MOST {
            self.flush()?;
        }
        Ok((turn, mark))
    }

    /// Chains one line to the last.
    fn put(&mut self, entry: &Entry<'_>) -> Result<(), AuditError> {
        if let Some(reason) = &self.failed {
            return Err(AuditError::Unavailable(reason.to_string()));
        }
        let at = super::stamp::micros(self.ground.clock.now());
        let due = self.size >= self.ground.segment_most || Day::of(at) > self.name.day;
        if due && !self.deferred {
            self.flush()?;
            self.roll(at)?;
        }
        let begins = self.lines.len();
        let End { head, journal } = self.tail;
        let sequence = head.sequence + 1;
        line::begin(&mut self.lines, sequence, self.stamp.format(at));
        line::put_entry(&mut self.lines, entry);
        let chain = self.key.tag(&[&head.chain, &self.lines[begins..]]);
        line::finish(&mut self.lines, &chain);
        self.lines.push(b'\n');
        if self.lines.len() - begins > line::LINE_MOST {
            self.lines.truncate(begins);
            return Err(AuditError::TooLong);
        }
        let newer = entry.journal.filter(|mark| mark.sequence > journal.sequence);
        self.tail = End { head: Mark { sequence, chain }, journal: newer.unwrap_or(journal) };
        Ok(())
    }

    /// Writes the lines that wait, all of them or none, and lets those know who wait for them.
    pub(super) fn flush(&mut self) -> Result<(), AuditError> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let written = match &self.failed {
            Some(reason) => Err(AuditError::Unavailable(reason.to_string())),
            None => self.write(),
        };
        self.lines.clear();
        if written.is_ok() {
            self.written = self.tail;
        } else {
            self.tail = self.written;
        }
        if let Some(turn) = self.turn.take() {
            turn.end(written.clone());
        }
        if written.is_ok() && self.size + ROOM > self.reserved && !self.low {
            self.reserve();
        }
        written
    }

    /// Writes the buffer, all of it or nothing.
    fn write(&mut self) -> Result<(), AuditError> {
        let mut rest = self.lines.as_slice();
        while !rest.is_empty() {
            let error = match (&*self.file).write(rest) {
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Ok(written) => {
                    rest = &rest[written..];
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => error,
            };
            if !is_full(&error) {
                return Err(self.give_up_on_device(&format!("a write failed: {error}")));
            }
            self.low = true;
            if rest.len() < self.lines.len() {
                if let Err(error) = self.file.set_len(self.size) {
                    let why = format!("a part of a write cannot be cut back: {error}");
                    return Err(self.give_up_on_device(&why));
                }
                self.reserved = self.size;
            }
            return Err(AuditError::Unavailable("no room left for the audit log".into()));
        }
        self.size += self.lines.len() as u64;
        Ok(())
    }

    /// Ends this segment and begins the next one. Where there is no room for it, this one goes on.
    fn roll(&mut self, at: u64) -> Result<(), AuditError> {
        self.watch().map_err(|reason| self.give_up(&reason))?;
        // Before the next one is begun: a crash must not leave a hole between two segments. Most of it was
        // synced in the last interval; the readers wait for the rest once in 64 MiB.
        if let Err(error) = durable::sync_data(&self.file) {
            return Err(self.give_up_on_device(&format!("a sync failed: {error}")));
        }
        let name = Name { number: self.name.number + 1, day: Day::of(at).max(self.name.day) };
        let previous = Previous { file: self.name.to_string(), mac: self.written.head.chain };
        let stamp = self.stamp.format(at);
        let End { head, journal } = self.written;
        match open_segment(&self.ground, name, Some(previous), head, journal, stamp) {
            Ok(start) => {
                let found = start.file.metadata();
                let found = found.map_err(|error| self.give_up(&format!("a segment was lost: {error}")))?;
                // Gives the reserved room back; the length stays.
                let _kept = self.file.set_len(self.size);
                let key = segment::key(&self.ground.key, name.number);
                self.key = key.map_err(|error| self.give_up(&format!("a segment has no key: {error}")))?;
                self.identity = (found.dev(), found.ino(), found.mode());
                (self.file, self.name) = (Arc::new(start.file), name);
                (self.size, self.reserved) = (start.size, start.size);
                self.written.head = start.head;
                self.tail = self.written;
                self.reserve();
                Ok(())
            }
            Err(error) if is_full(&error) => {
                (self.low, self.deferred) = (true, true);
                Ok(())
            }
            Err(error) => Err(self.give_up_on_device(&format!("a segment could not be begun: {error}"))),
        }
    }

    fn reserve(&mut self) {
        // Twice the room where it is to be had, so that it is asked for once in 10,000 lines. Whatever the
        // kernel's reason to refuse, changes stop and reads go on: the writes tell whether more is wrong.
        self.low = true;
        for room in [2 * ROOM, ROOM] {
            if space::reserve(&self.file, self.size, room).is_ok() {
                (self.low, self.reserved) = (false, self.size + room);
                return;
            }
        }
    }

    /// Tries again what was put off for want of room.
    pub(super) fn retry(&mut self) {
        if self.failed.is_none() && self.low {
            self.reserve();
            self.deferred = self.low;
        }
    }

    /// Compares the file and its name with what they were; says what is different.
    pub(super) fn watch(&self) -> Result<(), String> {
        let name = self.name;
        let held = self.file.metadata().map_err(|error| format!("{name} cannot be looked at: {error}"))?;
        if held.nlink() == 0 {
            return Err(format!("{name} was removed"));
        }
        if held.len() != self.size {
            return Err(format!("{name} is {} bytes long, not {}", held.len(), self.size));
        }
        if (held.dev(), held.ino(), held.mode()) != self.identity {
            return Err(format!("the permissions of {name} were changed"));
        }
        let named = fs::symlink_metadata(segment::path(&self.ground.directory, name))
            .map_err(|error| format!("{name} is gone: {error}"))?;
        if (named.dev(), named.ino()) != (held.dev(), held.ino()) {
            return Err(format!("{name} was replaced"));
        }
        let directory = fs::symlink_metadata(&self.ground.directory)
            .map_err(|error| format!("the audit directory is gone: {error}"))?;
        if (directory.dev(), directory.ino()) != self.directory {
            return Err("the audit directory was replaced".into());
        }
        Ok(())
    }

    /// Gives the reserved room back.
    pub(super) fn release(&mut self) {
        if self.failed.is_none() && self.watch().is_ok() {
            let _kept = self.file.set_len(self.size);
        }
    }

    fn give_up_on_device(&mut self, reason: &str) -> AuditError {
        AuditError::Unavailable(self.fail_of_device(reason).to_string())
    }

    fn give_up(&mut self, reason: &str) -> AuditError {
        AuditError::Unavailable(self.fail(reason).to_string())
    }
}

fn open_segment(
    ground: &Ground,
    name: Name,
    previous: Option<Previous>,
    head: Mark,
    journal: Mark,
    at: &[u8; super::stamp::STAMP_LENGTH],
) -> io::Result<Start> {
    let mut text = Vec::with_capacity(512);
    let sequence = head.sequence + 1;
    line::begin(&mut text, sequence, at);
    Opening { vault: ground.vault, segment: name.number, previous, journal }.put(&mut text);
    let chain = segment::key(&ground.key, name.number)?.tag(&[&head.chain, &text]);
    line::finish(&mut text, &chain);
    text.push(b'\n');
    let file = segment::create(&ground.directory, name, &text)?;
    Ok(Start { name, file, size: text.len() as u64, head: Mark { sequence, chain }, journal })
}
