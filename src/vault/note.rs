//! The note in a journal record: who did what, sealed, for the one case in which the audit log cannot say.
//!
//! The crash may come after a change is durable and before its audit entry is. The next start finds such
//! records, opens their notes, and writes the entries that are missing, with the outcome `recovered`.

use serde::{Deserialize, Serialize};

use super::Vault;
use super::caller::Caller;
use super::door::Permit;
use super::place::{Field, Table, vault_place};
use super::request_id::RequestIds;
use crate::audit::AuditError;
use crate::audit::entry::{Decision, Entry, Target, Who};
use crate::crypto::key::SealingKey;
use crate::crypto::seal::{open, seal};
use crate::domain::action::Action;
use crate::domain::principal::{Principal, Proof, Remote};
use crate::domain::san::San;
use crate::os::peer::Peer;
use crate::store::Unwitnessed;
use tokenkeep_client::ids::OrgId;

#[derive(Serialize, Deserialize)]
struct Note {
    request_id: String,
    name: String,
    proof: String,
    uid: Option<u32>,
    gid: Option<u32>,
    pid: Option<u32>,
    unit: Option<String>,
    address: Option<String>,
    san: Option<String>,
    serial: Option<String>,
    action: String,
    org: Option<String>,
    target: Option<String>,
}

impl Note {
    fn principal(&self) -> Principal {
        let peer = match (self.uid, self.gid, self.pid) {
            (Some(uid), Some(gid), Some(pid)) => Some(Peer { uid, gid, pid, unit: self.unit.clone() }),
            _ => None,
        };
        let remote = self.address.as_ref().map(|address| Remote {
            address: address.clone(),
            san: self.san.as_deref().and_then(|text| San::uri(text).or_else(|| San::dns(text))),
            serial: self.serial.clone(),
        });
        if let ("mtls", Some(remote)) = (self.proof.as_str(), remote) {
            return Principal { name: self.name.clone(), proof: Proof::Mtls(remote) };
        }
        let proof = match (self.proof.as_str(), peer) {
            ("admin", Some(peer)) => Proof::Admin(peer),
            ("unix", Some(peer)) => Proof::Unix(peer),
            _ => Proof::Internal,
        };
        Principal { name: self.name.clone(), proof }
    }
}

/// The note of a task that works on a store which no daemon has open.
pub(super) fn of_task(
    vault: [u8; 16],
    system_key: &SealingKey,
    task: &str,
    action: Action,
    target: &str,
) -> Vec<u8> {
    let note = Note {
        request_id: RequestIds::new().next().to_string(),
        name: format!("task:{task}"),
        proof: Proof::Internal.as_str().to_owned(),
        uid: None,
        gid: None,
        pid: None,
        unit: None,
        address: None,
        san: None,
        serial: None,
        action: action.as_str().to_owned(),
        org: None,
        target: Some(target.to_owned()),
    };
    let text = serde_json::to_vec(&note).unwrap_or_default();
    seal(system_key, &vault_place(vault, Table::Note, Field::Note), 0, &text).into_bytes()
}

impl Vault {
    /// The note for a change under this permit.
    pub(super) fn note(&self, permit: &Permit<'_>) -> Vec<u8> {
        let (principal, ask) = (Caller::principal(permit.caller()), permit.ask());
        let (peer, remote) = (principal.proof.peer(), principal.proof.remote());
        let note = Note {
            request_id: ask.request.to_string(),
            name: principal.name.clone(),
            proof: principal.proof.as_str().to_owned(),
            uid: peer.map(|peer| peer.uid),
            gid: peer.map(|peer| peer.gid),
            pid: peer.map(|peer| peer.pid),
            unit: peer.and_then(|peer| peer.unit.clone()),
            address: remote.map(|remote| remote.address.clone()),
            san: remote.and_then(|remote| remote.san.as_ref()).map(|san| san.as_str().to_owned()),
            serial: remote.and_then(|remote| remote.serial.clone()),
            action: ask.action.as_str().to_owned(),
            org: ask.org.map(|org| OrgId::as_str(org).to_owned()),
            target: ask.target.map(|target| match target {
                Target::Connection(id) => id.to_string(),
                Target::Named(name) => name.to_owned(),
            }),
        };
        let text = serde_json::to_vec(&note).unwrap_or_default();
        let place = vault_place(self.vault_id, Table::Note, Field::Note);
        seal(&self.system_key, &place, 0, &text).into_bytes()
    }

    /// Writes the audit entry that the crash kept from being written.
    pub(super) fn record_recovered(&self, found: &Unwitnessed) -> Result<(), AuditError> {
        let place = vault_place(self.vault_id, Table::Note, Field::Note);
        let note = open(&self.system_key, &place, &found.note).ok();
        let note: Option<Note> = note.and_then(|opened| serde_json::from_slice(opened.expose()).ok());
        let principal = note.as_ref().map_or_else(
            || Principal { name: "unknown".to_owned(), proof: Proof::Internal },
            Note::principal,
        );
        let action = note.as_ref().and_then(|note| Action::parse(&note.action));
        self.audit
            .append(&Entry {
                request_id: note.as_ref().map_or("0000000000000000", |note| &note.request_id),
                who: &Who::of(&principal),
                action: action.unwrap_or(Action::VaultRun),
                org: note.as_ref().and_then(|note| note.org.as_deref()),
                target: note.as_ref().and_then(|note| note.target.as_deref()).map(Target::Named),
                decision: Decision::Allow,
                outcome: "recovered",
                reason: None,
                pass: None,
                generation: None,
                journal: Some(found.mark),
            })
            .map(|_| ())
    }
}
