//! The JSON of a line as serde reads it, before it is checked to be the one form that is written.
//!
//! Never written with serde: a second writer would be a second form.

use serde::Deserialize;

use super::{
    Body, FORMAT, Line, Malformed, Opening, Previous, Recorded, RecordedPeer, RecordedRemote, unhex,
};
use crate::audit::stamp;
use crate::chain::Mark;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EntryText {
    seq: u64,
    at: String,
    request_id: String,
    principal: PrincipalText,
    action: String,
    org: Option<String>,
    target: Option<String>,
    decision: String,
    outcome: String,
    reason: Option<String>,
    pass: Option<String>,
    generation: Option<u64>,
    journal: Option<MarkText>,
    #[serde(rename = "mac")]
    _mac: serde::de::IgnoredAny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PrincipalText {
    name: String,
    proof: String,
    uid: Option<u32>,
    gid: Option<u32>,
    pid: Option<u32>,
    unit: Option<String>,
    address: Option<String>,
    san: Option<String>,
    serial: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MarkText {
    sequence: u64,
    chain: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OpeningText {
    seq: u64,
    at: String,
    #[serde(rename = "kind")]
    _kind: serde::de::IgnoredAny,
    format: u64,
    vault: String,
    segment: u64,
    previous: Option<PreviousText>,
    journal: Option<MarkText>,
    #[serde(rename = "mac")]
    _mac: serde::de::IgnoredAny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PreviousText {
    file: String,
    mac: String,
}

impl EntryText {
    pub(super) fn read(self, mac: [u8; 32]) -> Result<Line, Malformed> {
        let PrincipalText { name, proof, uid, gid, pid, unit, address, san, serial } = self.principal;
        let peer = match (uid, gid, pid) {
            (Some(uid), Some(gid), Some(pid)) => Some(RecordedPeer { uid, gid, pid, unit }),
            _ => None,
        };
        let recorded = Recorded {
            request_id: self.request_id,
            principal: name,
            proof,
            peer,
            remote: RecordedRemote { address, san, serial },
            action: self.action,
            org: self.org,
            target: self.target,
            decision: self.decision,
            outcome: self.outcome,
            reason: self.reason,
            pass: self.pass,
            generation: self.generation,
            journal: self.journal.map(MarkText::read).transpose()?,
        };
        let at = stamp::parse(&self.at).ok_or(Malformed)?;
        Ok(Line { sequence: self.seq, at, body: Body::Entry(Box::new(recorded)), mac })
    }
}

impl OpeningText {
    pub(super) fn read(self, mac: [u8; 32]) -> Result<Line, Malformed> {
        if self.format != FORMAT {
            return Err(Malformed);
        }
        let previous = self.previous.map(PreviousText::read).transpose()?;
        let journal = self.journal.map(MarkText::read).transpose()?;
        let opening = Opening {
            vault: unhex(self.vault.as_bytes()).ok_or(Malformed)?,
            segment: self.segment,
            previous,
            journal: journal.unwrap_or(Mark::START),
        };
        let at = stamp::parse(&self.at).ok_or(Malformed)?;
        Ok(Line { sequence: self.seq, at, body: Body::Opening(opening), mac })
    }
}

impl MarkText {
    fn read(self) -> Result<Mark, Malformed> {
        Ok(Mark { sequence: self.sequence, chain: unhex(self.chain.as_bytes()).ok_or(Malformed)? })
    }
}

impl PreviousText {
    fn read(self) -> Result<Previous, Malformed> {
        Ok(Previous { file: self.file, mac: unhex(self.mac.as_bytes()).ok_or(Malformed)? })
    }
}
