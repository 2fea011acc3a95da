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

mod text;

use std::fmt;

use self::text::{EntryText, OpeningText};
use super::entry::{Entry, Target};
use super::stamp::{self, Stamp};
use crate::chain::Mark;
use crate::digits::{put_hex, put_number};
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
            Body::Entry(recorded) => recorded.fields().put(&mut out),
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
    let peer = entry.principal.proof.peer();
    let remote = entry.principal.proof.remote();
    Fields {
        request_id: entry.request_id,
        name: &entry.principal.name,
        proof: entry.principal.proof.as_str(),
        peer: peer.map(|peer| (peer.uid, peer.gid, peer.pid, peer.unit.as_deref())),
        address: remote.map(|remote| remote.address.as_str()),
        san: remote.and_then(|remote| remote.san.as_ref()).map(San::as_str),
        serial: remote.and_then(|remote| remote.serial.as_deref()),
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

/// Ends a line with its chain value; the newline is the writer's.
pub(super) fn finish(out: &mut Vec<u8>, mac: &[u8; 32]) {
    out.extend_from_slice(MAC_FIELD);
    put_hex(out, mac);
    out.extend_from_slice(b"\"}");
}

impl Opening {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b",\"kind\":\"segment\",\"format\":");
        put_number(out, FORMAT);
        out.extend_from_slice(b",\"vault\":\"");
        put_hex(out, &self.vault);
        out.extend_from_slice(b"\",\"segment\":");
        put_number(out, self.segment);
        if let Some(previous) = &self.previous {
            out.extend_from_slice(b",\"previous\":{\"file\":");
            put_text(out, &previous.file);
            out.extend_from_slice(b",\"mac\":\"");
            put_hex(out, &previous.mac);
            out.extend_from_slice(b"\"}");
        }
        put_journal(out, (self.journal != Mark::START).then_some(self.journal));
    }
}

/// The fields of an entry, borrowed: from what happens now, or from what was read.
struct Fields<'a> {
    request_id: &'a str,
    name: &'a str,
    proof: &'a str,
    peer: Option<(u32, u32, u32, Option<&'a str>)>,
    address: Option<&'a str>,
    san: Option<&'a str>,
    serial: Option<&'a str>,
    action: &'a str,
    org: Option<&'a str>,
    target: Option<Target<'a>>,
    decision: &'a str,
    outcome: &'a str,
    reason: Option<&'a str>,
    pass: Option<&'a str>,
    generation: Option<u64>,
    journal: Option<Mark>,
}

impl Fields<'_> {
    fn put(&self, out: &mut Vec<u8>) {
        put_field(out, b",\"request_id\":", Some(self.request_id));
        put_field(out, b",\"principal\":{\"name\":", Some(self.name));
        put_field(out, b",\"proof\":", Some(self.proof));
        if let Some((uid, gid, pid, unit)) = self.peer {
            out.extend_from_slice(b",\"uid\":");
            put_number(out, uid.into());
            out.extend_from_slice(b",\"gid\":");
            put_number(out, gid.into());
            out.extend_from_slice(b",\"pid\":");
            put_number(out, pid.into());
            put_field(out, b",\"unit\":", unit);
        }
        put_field(out, b",\"address\":", self.address);
        put_field(out, b",\"san\":", self.san);
        put_field(out, b",\"serial\":", self.serial);
        out.push(b'}');
        put_field(out, b",\"action\":", Some(self.action));
        put_field(out, b",\"org\":", self.org);
        match self.target {
            // Identifiers need no escapes: their alphabets have neither quote nor backslash.
            Some(Target::Connection(id)) => {
                out.extend_from_slice(b",\"target\":\"");
                out.extend_from_slice(id.provider.as_str().as_bytes());
                out.push(b'/');
                out.extend_from_slice(id.name.as_str().as_bytes());
                out.push(b'"');
            }
            Some(Target::Named(name)) => put_field(out, b",\"target\":", Some(name)),
            None => {}
        }
        put_field(out, b",\"decision\":", Some(self.decision));
        put_field(out, b",\"outcome\":", Some(self.outcome));
        put_field(out, b",\"reason\":", self.reason);
        put_field(out, b",\"pass\":", self.pass);
        if let Some(generation) = self.generation {
            out.extend_from_slice(b",\"generation\":");
            put_number(out, generation);
        }
        put_journal(out, self.journal);
    }
}

impl Recorded {
    fn fields(&self) -> Fields<'_> {
        let peer = self.peer.as_ref();
        Fields {
            request_id: &self.request_id,
            name: &self.principal,
            proof: &self.proof,
            peer: peer.map(|peer| (peer.uid, peer.gid, peer.pid, peer.unit.as_deref())),
            address: self.remote.address.as_deref(),
            san: self.remote.san.as_deref(),
            serial: self.remote.serial.as_deref(),
            action: &self.action,
            org: self.org.as_deref(),
            target: self.target.as_deref().map(Target::Named),
            decision: &self.decision,
            outcome: &self.outcome,
            reason: self.reason.as_deref(),
            pass: self.pass.as_deref(),
            generation: self.generation,
            journal: self.journal,
        }
    }
}

fn put_field(out: &mut Vec<u8>, name: &[u8], value: Option<&str>) {
    if let Some(value) = value {
        out.extend_from_slice(name);
        put_text(out, value);
    }
}

fn put_journal(out: &mut Vec<u8>, journal: Option<Mark>) {
    if let Some(mark) = journal {
        out.extend_from_slice(b",\"journal\":{\"sequence\":");
        put_number(out, mark.sequence);
        out.extend_from_slice(b",\"chain\":\"");
        put_hex(out, &mark.chain);
        out.extend_from_slice(b"\"}");
    }
}

/// A JSON string (RFC 8259, section 7). Runs without an escape, the common case, are copied whole.
fn put_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    // First without an early end, which makes it a matter of a few instructions.
    let escapes = rest.iter().fold(false, |any, byte| any | is_escaped(*byte));
    while escapes && let Some(at) = rest.iter().position(|byte| is_escaped(*byte)) {
        out.extend_from_slice(&rest[..at]);
        match rest[at] {
            byte @ (b'"' | b'\\') => out.extend_from_slice(&[b'\\', byte]),
            byte => {
                out.extend_from_slice(b"\\u00");
                put_hex(out, &[byte]);
            }
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

fn is_escaped(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
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
