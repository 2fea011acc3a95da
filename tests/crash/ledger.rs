//! What a writer knows: of each thing, the state that was acknowledged, and the one that was asked for and not
//! answered yet.
//!
//! The hard problem: a lost answer says nothing, so two states are right after a crash, and only these two. The
//! answer: a change is entered before it is sent and settled when its answer comes; what the crash left open is
//! settled by what is found. So that this suffices, a thing has one writer, and that writer one change underway.
//!
//! Never asks the daemon what is right.

use std::collections::BTreeMap;
use std::fmt;

/// Something that can be written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Thing {
    Connection { org: String, name: String },
    Org { org: String },
    Secret { org: String, name: String },
}

impl Thing {
    pub(crate) fn path(&self) -> String {
        match self {
            Self::Connection { org, name } => format!("/v1/orgs/{org}/connections/github/{name}"),
            Self::Org { org } => format!("/v1/orgs/{org}"),
            Self::Secret { org, name } => format!("/v1/orgs/{org}/secrets/{name}"),
        }
    }

    /// The text that the change with this sequence writes: says whose it is, and is long now and then, so that
    /// records are of one page and of many.
    pub(crate) fn text(&self, kind: &str, sequence: u64) -> String {
        let mut text = format!("{kind}.{sequence}.{}.", self.path());
        let padding = if sequence.is_multiple_of(17) { 9000 } else { sequence * 31 % 700 };
        while (text.len() as u64) < padding {
            text.push_str(&sequence.to_string());
        }
        text
    }

    /// The sequence of a text; none where it is not, to the last byte, one that was written for this thing.
    pub(crate) fn sequence(&self, kind: &str, text: &str) -> Option<u64> {
        let sequence = text.split('.').nth(1)?.parse().ok()?;
        (self.text(kind, sequence) == text).then_some(sequence)
    }
}

/// How a thing is. Numbers beside generation and version are sequences: which change wrote that part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    Absent,
    Connection {
        generation: u64,
        access: u64,
        refresh: Option<u64>,
    },
    Org,
    /// Versions and who wrote them, the oldest first.
    Secret(Vec<(u64, u64)>),
}

impl State {
    /// The latest change that it shows.
    fn latest(&self) -> u64 {
        match self {
            Self::Absent | Self::Org => 0,
            Self::Connection { access, .. } => *access,
            Self::Secret(versions) => versions.last().map_or(0, |(_, sequence)| *sequence),
        }
    }

    /// Whether it has the access token of `other`, and then something else.
    fn mixes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Connection { access, .. }, Self::Connection { access: theirs, .. }) => {
                access == theirs && self != other
            }
            _ => false,
        }
    }
}

/// What must never be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// What was acknowledged is not there.
    Lost,
    /// What nobody wrote is there.
    Phantom,
    /// The daemon did not do what it had to.
    Refused,
    /// Parts of different changes stand together.
    Torn,
    /// A change has no audit entry, or more than one.
    Unaudited,
}

/// One case of it.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) kind: Kind,
    pub(crate) what: String,
}

impl Finding {
    pub(crate) fn new(kind: Kind, what: impl fmt::Display) -> Self {
        Self { kind, what: what.to_string() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.what)
    }
}

/// What a ledger tells whoever listens, as it happens.
#[allow(dead_code, reason = "not every test listens")]
pub(crate) enum Told<'a> {
    Acknowledged(&'a Thing),
    Begun(&'a Thing, &'a State),
    /// What a lost answer left open is as it was found.
    Settled(&'a Thing, &'a State),
}

pub(crate) type Listener = Box<dyn FnMut(Told<'_>) + Send>;

#[derive(Debug)]
struct Entry {
    acknowledged: State,
    begun: Option<State>,
}

/// The ledger of one writer.
#[derive(Default)]
pub(crate) struct Ledger {
    entries: BTreeMap<Thing, Entry>,
    pub(crate) listener: Option<Listener>,
    /// The last change that was begun.
    sequence: u64,
    pub(crate) acknowledged: u64,
    /// Changes whose answer was lost, by what was found: done, not done.
    pub(crate) in_doubt: (u64, u64),
}

impl Ledger {
    /// A number for the next change.
    pub(crate) fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    /// As it was last acknowledged.
    pub(crate) fn state(&self, thing: &Thing) -> State {
        self.entries.get(thing).map_or(State::Absent, |entry| entry.acknowledged.clone())
    }

    fn entry(&mut self, thing: &Thing) -> &mut Entry {
        let untouched = Entry { acknowledged: State::Absent, begun: None };
        self.entries.entry(thing.clone()).or_insert(untouched)
    }

    /// Before the change is sent.
    pub(crate) fn begin(&mut self, thing: &Thing, state: State) {
        self.listener.iter_mut().for_each(|listener| listener(Told::Begun(thing, &state)));
        let entry = self.entry(thing);
        assert_eq!(entry.begun, None, "one change at a time of {thing:?}");
        entry.begun = Some(state);
    }

    /// After its answer.
    pub(crate) fn acknowledge(&mut self, thing: &Thing) {
        self.listener.iter_mut().for_each(|listener| listener(Told::Acknowledged(thing)));
        let entry = self.entry(thing);
        entry.acknowledged = entry.begun.take().expect("begun");
        self.acknowledged += 1;
    }

    /// It was refused for want of room, which leaves no trace (docs/storage.md).
    #[allow(dead_code, reason = "not every test fills a disk")]
    pub(crate) fn refuse(&mut self, thing: &Thing) {
        self.entry(thing).begun = None;
    }

    /// Everything that was ever begun.
    pub(crate) fn things(&self) -> Vec<Thing> {
        self.entries.keys().cloned().collect()
    }

    /// What is there, as far as it is known.
    pub(crate) fn present(&self) -> impl Iterator<Item = &Thing> {
        self.entries.iter().filter(|(_, entry)| entry.acknowledged != State::Absent).map(|(thing, _)| thing)
    }

    /// After a restart: holds what was found against what may be. What was open is settled by it.
    pub(crate) fn settle(&mut self, thing: &Thing, found: State) -> Result<(), Finding> {
        let is_open = self.entries.get(thing).is_some_and(|entry| entry.begun.is_some());
        if is_open {
            self.listener.iter_mut().for_each(|listener| listener(Told::Settled(thing, &found)));
        }
        let entry = self.entry(thing);
        let begun = entry.begun.take();
        if found == entry.acknowledged {
            self.in_doubt.1 += u64::from(begun.is_some());
            return Ok(());
        }
        if begun.as_ref() == Some(&found) {
            entry.acknowledged = found;
            self.in_doubt.0 += 1;
            return Ok(());
        }
        let acknowledged = &entry.acknowledged;
        let kind = if found.mixes(acknowledged) || begun.as_ref().is_some_and(|begun| found.mixes(begun)) {
            Kind::Torn
        } else if *acknowledged != State::Absent && found.latest() <= acknowledged.latest() {
            Kind::Lost
        } else {
            Kind::Phantom
        };
        let what = format!("{thing:?}: acknowledged {acknowledged:?}, in doubt {begun:?}, found {found:?}");
        Err(Finding::new(kind, what))
    }
}
