//! Reading the log: by sequence, by filter, and one entry by its mark.
//!
//! The hard problem: what is shown to an auditor must be genuine. The answer: a segment is walked from its opening
//! line, its chain checked, and nothing is shown from beyond a break.
//!
//! Never shows a line that does not verify.

use std::path::Path;
use std::time::SystemTime;

use super::line::{self, Body};
use super::segment::{self, Lines, Name, Piece};
use super::stamp::{self, Day};
use super::walk::{ReadError, Walk};
use crate::chain::Mark;
use crate::crypto::mac::MacKey;
use crate::domain::action::Action;

/// Which entries. What is absent matches all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this org.
    pub org: Option<String>,
    /// That asked this.
    pub action: Option<Action>,
    /// By this principal.
    pub principal: Option<String>,
    /// With this outcome.
    pub outcome: Option<String>,
    /// At this moment or later.
    pub since: Option<SystemTime>,
    /// Before this moment.
    pub until: Option<SystemTime>,
}

/// Entries that were asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// Each a JSON object, as it stands in the log.
    pub entries: Vec<String>,
    /// What to ask after for the rest, where there may be more.
    pub next: Option<u64>,
}

/// Which part of the log.
pub(super) struct Span {
    pub(super) after: u64,
    pub(super) head: Mark,
    pub(super) most: usize,
}

pub(super) fn read(
    directory: &Path,
    key: &MacKey,
    vault: [u8; 16],
    filter: &Filter,
    span: Span,
) -> Result<Page, ReadError> {
    let mut page = Page::default();
    if span.most == 0 || span.after >= span.head.sequence {
        return Ok(page);
    }
    // Entries of a day stand in the segment of that day or, after the clock went back, in a later one. A day is
    // left for a segment that could not be begun in time for want of room.
    let since = filter.since.map(|since| Day::of(stamp::micros(since)).before());
    for name in segments_from(directory, span.after + 1)? {
        if since.is_some_and(|since| name.day < since) {
            continue;
        }
        let mut walk = Walk::open(directory, name, key, vault).map_err(|fault| fault.error)?;
        loop {
            let sequence = walk.mark().sequence;
            if sequence > span.head.sequence {
                return Ok(page);
            }
            if sequence > span.after && filter.matches(walk.bytes()) {
                page.entries.push(String::from_utf8_lossy(walk.bytes()).into_owned());
                if page.entries.len() == span.most {
                    page.next = (sequence < span.head.sequence).then_some(sequence);
                    return Ok(page);
                }
            }
            if sequence == span.head.sequence || !walk.advance().map_err(|fault| fault.error)? {
                break;
            }
        }
    }
    Ok(page)
}

/// Whether the log has that very entry.
pub(super) fn find(directory: &Path, key: &MacKey, vault: [u8; 16], mark: Mark) -> Result<bool, ReadError> {
    let Some(&name) = segments_from(directory, mark.sequence)?.first() else {
        return Ok(false);
    };
    let mut walk = Walk::open(directory, name, key, vault).map_err(|fault| fault.error)?;
    while walk.mark().sequence < mark.sequence {
        if !walk.advance().map_err(|fault| fault.error)? {
            return Ok(false);
        }
    }
    Ok(walk.mark() == mark)
}

/// The segment that holds the entry, and those after it.
fn segments_from(directory: &Path, sequence: u64) -> Result<Vec<Name>, ReadError> {
    let place = || directory.to_string_lossy().into_owned();
    let mut names = segment::list(directory).map_err(|error| ReadError::Unreadable(place(), error))?.segments;
    let (mut low, mut high) = (0, names.len());
    while low < high {
        let middle = low.midpoint(high);
        if first_sequence(directory, names[middle])? <= sequence {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(names.split_off(low.saturating_sub(1)))
}

/// Where a segment begins, by its own word: what is found there is checked when it is walked.
fn first_sequence(directory: &Path, name: Name) -> Result<u64, ReadError> {
    let unreadable = |error| ReadError::Unreadable(name.to_string(), error);
    let mut lines = Lines::open(directory, name).map_err(unreadable)?;
    let piece = lines.advance().map_err(unreadable)?;
    let frame = if piece == Piece::Whole { line::frame(lines.bytes()).ok() } else { None };
    // One that says nothing is taken as the end: the walk before it, or into it, tells what is wrong.
    Ok(frame.map_or(u64::MAX, |frame| frame.sequence))
}

impl Filter {
    fn matches(&self, bytes: &[u8]) -> bool {
        if *self == Self::default() {
            return true;
        }
        let Ok(line) = line::decode(bytes) else { return false };
        let at = stamp::moment(line.at);
        if self.since.is_some_and(|since| at < since) || self.until.is_some_and(|until| at >= until) {
            return false;
        }
        let wants = |wanted: Option<&str>, value: Option<&str>| wanted.is_none() || wanted == value;
        match &line.body {
            Body::Entry(entry) => {
                wants(self.org.as_deref(), entry.org.as_deref())
                    && wants(self.action.map(Action::as_str), Some(&entry.action))
                    && wants(self.principal.as_deref(), Some(&entry.principal))
                    && wants(self.outcome.as_deref(), Some(&entry.outcome))
            }
            Body::Opening(_) => {
                self.org.is_none()
                    && self.action.is_none()
                    && self.principal.is_none()
                    && self.outcome.is_none()
            }
        }
    }
}
