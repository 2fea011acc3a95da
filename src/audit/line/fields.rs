//! What a line says, written: the fields of an entry and of an opening, in the one order and form that there is.
//!
//! Never allocates once the buffer has grown.

use super::{FORMAT, Opening, Recorded};
use crate::audit::entry::Target;
use crate::chain::Mark;
use crate::digits::{put_hex, put_number};

impl Opening {
    pub(in crate::audit) fn put(&self, out: &mut Vec<u8>) {
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

/// Who asked, borrowed.
pub(super) struct Asked<'a> {
    pub(super) name: &'a str,
    pub(super) proof: &'a str,
    pub(super) peer: Option<(u32, u32, u32, Option<&'a str>)>,
    pub(super) address: Option<&'a str>,
    pub(super) san: Option<&'a str>,
    pub(super) serial: Option<&'a str>,
}

impl Asked<'_> {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        put_field(out, b"{\"name\":", Some(self.name));
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
    }
}

/// The fields of an entry, borrowed: from what happens now, or from what was read.
pub(super) struct Fields<'a> {
    pub(super) request_id: &'a str,
    /// What [`Asked`] writes.
    pub(super) who: &'a [u8],
    pub(super) action: &'a str,
    pub(super) org: Option<&'a str>,
    pub(super) target: Option<Target<'a>>,
    pub(super) decision: &'a str,
    pub(super) outcome: &'a str,
    pub(super) reason: Option<&'a str>,
    pub(super) pass: Option<&'a str>,
    pub(super) generation: Option<u64>,
    pub(super) journal: Option<Mark>,
}

impl Fields<'_> {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        put_field(out, b",\"request_id\":", Some(self.request_id));
        out.extend_from_slice(b",\"principal\":");
        out.extend_from_slice(self.who);
        put_word(out, b",\"action\":\"", self.action);
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
        put_word(out, b",\"decision\":\"", self.decision);
        put_word(out, b",\"outcome\":\"", self.outcome);
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
    pub(super) fn asked(&self) -> Asked<'_> {
        let peer = self.peer.as_ref();
        Asked {
            name: &self.principal,
            proof: &self.proof,
            peer: peer.map(|peer| (peer.uid, peer.gid, peer.pid, peer.unit.as_deref())),
            address: self.remote.address.as_deref(),
            san: self.remote.san.as_deref(),
            serial: self.remote.serial.as_deref(),
        }
    }

    /// With what [`Recorded::asked`] writes.
    pub(super) fn fields<'a>(&'a self, who: &'a [u8]) -> Fields<'a> {
        Fields {
            request_id: &self.request_id,
            who,
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

/// One of our own words: none needs an escape.
fn put_word(out: &mut Vec<u8>, name: &[u8], word: &str) {
    out.extend_from_slice(name);
    out.extend_from_slice(word.as_bytes());
    out.push(b'"');
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
