//! One line of the log: bytes to meaning and back.
//!
//! Drawn first (docs/audit-format.md says what each field is):
//!
//! ```text
//! {"seq":7,"at":"2026-11-21T18:00:00.000000Z",FIELDS,"mac":"64 hex"}
//! |<---------------- authenticated ---------------->|
//! ```
//!
//! The hard problem: an authenticated text must have one form only, and writing it must not allocate. The answer:
//! it is written by hand, and whatever is read is written again and must come out the same.
//!
//! Never checks a key or a chain: that is the walk's.

mod fields;
mod text;

use std::fmt;

use self::fields::{Asked, Fields};
use self::text::{EntryText, OpeningText};
use super::entry::Entry;
use super::stamp::{self, Stamp};
use crate::chain::Mark;
use crate::digits::{put_hex, put_number};
use crate::domain::principal::Principal;
use crate::domain::san::San;

/// Version of the format; in each opening line.
pub const FORMAT: u64 = 1;

/// Longest line, in bytes with its end. The fields are short identifiers: 2 KiB is a long line.
pub const LINE_MOST: usize = 64 * 1024;

const MAC_FIELD: &[u8] = b",\"mac\":\"";
/// `,"mac":"`, 64 digits, `"}`.
const MAC_SUFFIX_LENGTH: usize = 8 + 64 + 2;

/// The text is not a line of this log. Says nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a line of the audit log, format 1")
    }
}

impl std::error::Error for Malformed {}

/// A line as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its place; opening lines have one too.
    pub sequence: u64,
    /// Microseconds since 1970.
    pub at: u64,
    /// What it says.
    pub body: Body,
    /// The chain value.
    pub mac: [u8; 32],
}

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// What somebody asked, and what came of it.
    Entry(Box<Recorded>),
    /// The first line of a segment.
    Opening(Opening),
}

/// The first line of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// The vault whose log this is.
    pub vault: [u8; 16],
    /// Number of the segment, from 1.
    pub segment: u64,
    /// The segment before: its file and its last chain value.
    pub previous: Option<Previous>,
    /// The newest journal mark in any earlier segment.
    pub journal: Mark,
}

/// The segment before this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Previous {
    /// Name of the file.
    pub file: String,
    /// Its last chain value.
    pub mac: [u8; 32],
}

/// An entry as it was read: words, since a later version may know more of them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields of `Entry`, under the names of the format")]
pub struct Recorded {
    pub request_id: String,
    pub principal: String,
    pub proof: String,
    pub peer: Option<RecordedPeer>,
    pub remote: RecordedRemote,
    pub action: String,
    pub org: Option<String>,
    pub target: Option<String>,
    pub decision: String,
    pub outcome: String,
    pub reason: Option<String>,
    pub pass: Option<String>,
    pub generation: Option<u64>,
    pub journal: Option<Mark>,
}

/// The process that asked, as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields of `Peer`")]
pub struct RecordedPeer {
    pub uid: u32,
    pub gid: u32,
    pub pid: u32,
    pub unit: Option<String>,
}

/// The caller over TLS, as it was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields of `Remote`")]
pub struct RecordedRemote {
    pub address: Option<String>,
    pub san: Option<String>,
    pub serial: Option<String>,
}

/// What the chain needs of a line, without reading the rest of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame<'a> {
    pub(super) sequence: u64,
    pub(super) signed: &'a [u8],
    pub(super) mac: [u8; 32],
}

/// Takes a line (without its end) apart as far as the chain needs it.
pub(super) fn frame(line: &[u8]) -> Result<Frame<'_>, Malformed> {
    let at = line.len().checked_sub(MAC_SUFFIX_LENGTH).ok_or(Malformed)?;
    let (signed, suffix) = line.split_at(at);
    let hex = suffix.strip_prefix(MAC_FIELD).and_then(|rest| rest.strip_suffix(b"\"}")).ok_or(Malformed)?;
    let rest = signed.strip_prefix(b"{\"seq\":").ok_or(Malformed)?;
    let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let digits = std::str::from_utf8(&rest[..length]).map_err(|_| Malformed)?;
    let sequence: u64 = digits.parse().map_err(|_| Malformed)?;
    if digits.starts_with('0') || !rest[length..].starts_with(b",\"at\":\"") {
        return Err(Malformed);
    }
    Ok(Frame { sequence, signed, mac: unhex(hex).ok_or(Malformed)? })
}

impl Frame<'_> {
    /// Whether the line carries a journal mark, which is the only last field that ends in a brace.
    pub(super) fn carries_journal(&self) -> bool {
        self.signed.ends_with(b"\"}")
    }
}

/// Reads a line, without its end. Only the one form that is written is taken.
///
/// # Errors
/// It is not a line of this log. Whether it is a genuine one, the chain says.
pub fn decode(line: &[u8]) -> Result<Line, Malformed> {
    let frame = frame(line)?;
    let opening = frame.signed.windows(16).take(64).any(|window| window == b",\"kind\":\"segment");
    let line_read = if opening {
        serde_json::from_slice::<OpeningText>(line).map_err(|_| Malformed)?.read(frame.mac)?
    } else {
        serde_json::from_slice::<EntryText>(line).map_err(|_| Malformed)?.read(frame.mac)?
    };
    if line_read.encode() == line { Ok(line_read) } else { Err(Malformed) }
}

impl Line {
    /// The bytes of the line, without its end.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        begin(&mut out, self.sequence, Stamp::new().format(self.at));
        match &self.body {
            Body::Entry(recorded) => {
                let mut who = Vec::new();
                recorded.asked().put(&mut who);
                recorded.fields(&who).put(&mut out);
            }
            Body::Opening(opening) => opening.put(&mut out),
        }
        finish(&mut out, &self.mac);
        out
    }

    /// The journal mark that it carries, if any.
    #[must_use]
    pub fn journal(&self) -> Option<Mark> {
        match &self.body {
            Body::Entry(recorded) => recorded.journal,
            Body::Opening(opening) => (opening.journal != Mark::START).then_some(opening.journal),
        }
    }
}

/// Begins a line.
pub(super) fn begin(out: &mut Vec<u8>, sequence: u64, at: &[u8; stamp::STAMP_LENGTH]) {
    out.extend_from_slice(b"{\"seq\":");
    put_number(out, sequence);
    out.extend_from_slice(b",\"at\":\"");
    out.extend_from_slice(at);
    out.push(b'"');
}

/// Writes the fields of an entry after [`begin`]. Allocates nothing once `out` has grown.
pub(super) fn put_entry(out: &mut Vec<u8>, entry: &Entry<'_>) {
    Fields {
        request_id: entry.request_id,
        who: entry.who.as_bytes(),
        action: entry.action.as_str(),
        org: entry.org,
        target: entry.target,
        decision: entry.decision.as_str(),
        outcome: entry.outcome,
        reason: entry.reason,
        pass: entry.pass,
        generation: entry.generation,
        journal: entry.journal,
    }
    .put(out);
}

/// A principal, as it stands in an entry.
pub(super) fn principal(principal: &Principal) -> Vec<u8> {
    let (peer, remote) = (principal.proof.peer(), principal.proof.remote());
    let mut out = Vec::new();
    Asked {
        name: &principal.name,
        proof: principal.proof.as_str(),
        peer: peer.map(|peer| (peer.uid, peer.gid, peer.pid, peer.unit.as_deref())),
        address: remote.map(|remote| remote.address.as_str()),
        san: remote.and_then(|remote| remote.san.as_ref()).map(San::as_str),
        serial: remote.and_then(|remote| remote.serial.as_deref()),
    }
    .put(&mut out);
    out
}

/// Ends a line with its chain value; the newline is the writer's.
pub(super) fn finish(out: &mut Vec<u8>, mac: &[u8; 32]) {
    out.extend_from_slice(MAC_FIELD);
    put_hex(out, mac);
    out.extend_from_slice(b"\"}");
}

fn unhex<const N: usize>(hex: &[u8]) -> Option<[u8; N]> {
    fn digit(byte: u8) -> Option<u8> {
        match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        }
    }
    let mut bytes = [0_u8; N];
    if hex.len() != N * 2 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}
