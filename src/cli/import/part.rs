//! Parts of an import: rows read, opened and packed into one request each, on a thread of their own.
//!
//! The hard problem: 100,000 rows, of which no more than a few thousand may lie open in memory at once. The answer: a
//! part has a fixed size, its plaintext one buffer that is wiped, and the thread waits until the last part is taken.
//!
//! Never sends anything: what is packed here is sent by who takes it.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io::Read;
use std::path::Path;

use tokenkeep_client::import::{ITEMS, Terms};
use tokenkeep_client::wire::to_body;
use tokio::sync::mpsc::Sender;
use zeroize::Zeroizing;

use super::field::Names;
use super::item::{self, Owner};
use super::row::Row;
use super::source::{Source, Unreadable};
use super::wrong::Wrong;
use crate::cli::failure::Failure;
use crate::crypto::key::KeyId;
use crate::crypto::key_list::RootKeys;

/// Plaintext in a part, at which it is complete: far below the 8 MiB of a request.
const FULL: usize = 2 << 20;
/// Largest item: what goes beyond this breaks a rule of the daemon anyway.
const ITEM_MOST: usize = 512 << 10;

/// Some rows, packed.
pub(super) struct Part {
    /// The request.
    pub(super) body: Zeroizing<Vec<u8>>,
    /// Whose rows are in it, in order.
    pub(super) items: Vec<(u64, Owner)>,
    /// Rows that are not.
    pub(super) wrong: Vec<(u64, Option<Owner>, Wrong)>,
    /// How many ciphertexts each key opened.
    pub(super) opened: HashMap<KeyId, u64>,
    /// Items with a refresh token.
    pub(super) refreshable: u64,
    /// The last line that was read.
    pub(super) last_line: u64,
}

/// A part; none at the end of the input. Said by itself: a thread that went down is not the end of the input.
pub(super) type Packed = Result<Option<Part>, Unreadable>;

/// Reads an input and packs its rows.
pub(super) struct Packer<R: Read> {
    source: Source<R>,
    names: Names,
    keys: RootKeys,
    terms: Terms,
    part: Part,
    /// The line of each connection, so that none comes in twice. By hash: 128 bits under keys of this process.
    seen: HashMap<u128, u64>,
    hashers: [RandomState; 2],
}

impl Part {
    fn begin(terms: Terms) -> Self {
        let mut body = Zeroizing::new(Vec::with_capacity(FULL + ITEM_MOST + 1024));
        body.extend_from_slice(b"{\"terms\":");
        body.extend_from_slice(&to_body(&terms));
        body.extend_from_slice(b",\"items\":[");
        Self {
            body,
            items: Vec::with_capacity(ITEMS),
            wrong: Vec::new(),
            opened: HashMap::new(),
            refreshable: 0,
            last_line: 0,
        }
    }

    fn is_full(&self) -> bool {
        self.items.len() == ITEMS || self.body.len() >= FULL || self.wrong.len() >= ITEMS
    }

    fn is_empty(&self) -> bool {
        self.items.is_empty() && self.wrong.is_empty()
    }

    fn end(mut self) -> Self {
        self.body.extend_from_slice(b"]}");
        self
    }
}

impl<R: Read> Packer<R> {
    pub(super) fn new(source: Source<R>, names: Names, keys: RootKeys, terms: Terms) -> Self {
        Self {
            source,
            names,
            keys,
            terms,
            part: Part::begin(terms),
            seen: HashMap::new(),
            hashers: [RandomState::new(), RandomState::new()],
        }
    }

    /// Hands over part after part until the input ends or nobody takes them any more.
    pub(super) fn run(mut self, taken: &Sender<Packed>) {
        loop {
            let read = self.source.next_row();
            let ended = !matches!(read, Ok(Some(_)));
            if let Ok(Some((line, row))) = &read {
                self.pack(*line, row);
            }
            if self.part.is_full() || (ended && !self.part.is_empty()) {
                let part = std::mem::replace(&mut self.part, Part::begin(self.terms)).end();
                if taken.blocking_send(Ok(Some(part))).is_err() {
                    return;
                }
            }
            if let Err(why) = read {
                // Who takes nothing any more needs no reason.
                drop(taken.blocking_send(Err(why)));
                return;
            }
            if ended {
                drop(taken.blocking_send(Ok(None)));
                return;
            }
        }
    }

    fn pack(&mut self, line: u64, row: &Result<Row, Wrong>) {
        self.part.last_line = line;
        let owner =
            row.as_ref().map_err(Clone::clone).and_then(|row| Ok((row, item::owner(row, &self.names)?)));
        let (row, owner) = match owner {
            Ok(read) => read,
            Err(wrong) => return self.part.wrong.push((line, None, wrong)),
        };
        if let Err(wrong) = self.open(line, row, &owner) {
            self.part.wrong.push((line, Some(owner), wrong));
        }
    }

    fn open(&mut self, line: u64, row: &Row, owner: &Owner) -> Result<(), Wrong> {
        let opened = item::opened(row, owner.clone(), &self.names, &self.keys)?;
        let body = opened.item.body();
        if body.len() > ITEM_MOST {
            return Err(Wrong::new("too_long", "the row has more than a token set may have"));
        }
        if let Some(first) = self.seen.insert(self.fingerprint(owner), line) {
            self.seen.insert(self.fingerprint(owner), first);
            return Err(Wrong::new(
                "duplicate",
                format!("the row is of the same connection as line {first}"),
            ));
        }
        let part = &mut self.part;
        if !part.items.is_empty() {
            part.body.push(b',');
        }
        part.body.extend_from_slice(&body);
        part.items.push((line, owner.clone()));
        part.refreshable += u64::from(opened.item.tokens.refresh_token.is_some());
        for key in opened.keys {
            *part.opened.entry(key).or_default() += 1;
        }
        Ok(())
    }

    fn fingerprint(&self, owner: &Owner) -> u128 {
        let [low, high] = &self.hashers;
        u128::from(high.hash_one(owner)) << 64 | u128::from(low.hash_one(owner))
    }
}

impl Unreadable {
    /// In words for an admin.
    pub(super) fn failure(&self, file: &Path) -> Failure {
        let name = if file == Path::new("-") { "stdin".into() } else { file.display().to_string() };
        match self {
            Self::Header(why) => Failure::usage(format!("{name}: {why}"))
                .mend("--help lists the fields and the options that name them; nothing was stored"),
            Self::Io(kind) => Failure::here("input", format!("{name} cannot be read: {kind}"))
                .mend("what was read before is in; run it again on the whole input"),
            Self::Table(line) => Failure::here(
                "input",
                format!("{name} is not CSV from line {line} on: a row goes on for more than 512 KiB"),
            )
            .mend("see whether a quote there does not end; what stands before it is in"),
        }
    }
}
