//! The record: what the recorder and the test wrote down, in the order in which it happened.
//!
//! ```text
//! 0 total length, 4 kind, 8 inode, 16 one, 24 two, 32 birth, 40 length of first, 44 of second, 48 first, second
//! ```
//!
//! Never puts in order what is not: the file is appended to alone, each event in one write.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

const HEAD: usize = 48;
/// What the test itself writes down; the kinds of recorder.c end before.
const MARK: u32 = 32;

/// Something that happened.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Event<'a> {
    Created {
        parent: u64,
        name: &'a str,
        inode: u64,
        born: u64,
        is_directory: bool,
    },
    /// The length of a file was set.
    Length {
        inode: u64,
        length: u64,
    },
    /// Of the test: what it means is the test's.
    Mark(u64, u64),
    Removed {
        parent: u64,
        name: &'a str,
    },
    Renamed {
        from: (u64, &'a str),
        to: (u64, &'a str),
    },
    SyncBegins {
        inode: u64,
        turn: u64,
    },
    SyncEnds {
        turn: u64,
    },
    Written {
        inode: u64,
        at: u64,
        bytes: &'a [u8],
    },
    Zeroed {
        inode: u64,
        at: u64,
        length: u64,
    },
}

/// Where the test writes down what is its own.
pub(crate) struct Pen(File);

impl Pen {
    /// On this record, which is made where there is none.
    pub(crate) fn on(path: &Path) -> Self {
        Self(File::options().create(true).append(true).open(path).unwrap())
    }

    pub(crate) fn mark(&self, one: u64, two: u64) {
        let mut event = Vec::with_capacity(HEAD);
        event.extend_from_slice(&(HEAD as u32).to_le_bytes());
        event.extend_from_slice(&MARK.to_le_bytes());
        for number in [0, one, two, 0, 0] {
            event.extend_from_slice(&number.to_le_bytes());
        }
        assert_eq!((&self.0).write(&event).unwrap(), HEAD);
    }
}

/// A whole record.
pub(crate) struct Record {
    bytes: Vec<u8>,
    /// Where each event begins.
    events: Vec<usize>,
}

impl Record {
    pub(crate) fn read(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap();
        let (mut events, mut at) = (Vec::new(), 0);
        while at < bytes.len() {
            events.push(at);
            at += number(&bytes, at, 4) as usize;
        }
        assert_eq!(at, bytes.len(), "the record ends within an event");
        Self { bytes, events }
    }

    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    pub(crate) fn event(&self, index: usize) -> Event<'_> {
        let at = self.events[index];
        let field = |offset: usize, length: usize| number(&self.bytes, at + offset, length);
        let (inode, one, two, born) = (field(8, 8), field(16, 8), field(24, 8), field(32, 8));
        let middle = at + HEAD + field(40, 4) as usize;
        let first = &self.bytes[at + HEAD..middle];
        let second = &self.bytes[middle..middle + field(44, 4) as usize];
        match field(4, 4) as u32 {
            1 => Event::Written { inode, at: one, bytes: first },
            2 => Event::Zeroed { inode, at: one, length: two },
            3 => Event::Length { inode, length: one },
            4 => Event::Created { parent: one, name: text(first), inode, born, is_directory: two == 1 },
            5 => Event::Renamed { from: (one, text(first)), to: (two, text(second)) },
            6 => Event::Removed { parent: one, name: text(first) },
            7 => Event::SyncBegins { inode, turn: one },
            8 => Event::SyncEnds { turn: one },
            MARK => Event::Mark(one, two),
            _ => panic!("the recorder does not know what the daemon did with a file: {}", text(first)),
        }
    }
}

fn number(bytes: &[u8], at: usize, length: usize) -> u64 {
    bytes[at..at + length].iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("a name in UTF-8")
}
