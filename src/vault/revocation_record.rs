//! The record of a revocation that is still to be done: what it says, and the tokens that it keeps until they are ended.
//!
//! Every section is sealed anew with the generation of its record, like those of a connection.
//!
//! Never one org's note under another's key.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokenkeep_client::ids::{ConnectionId, OrgId};
use tokenkeep_client::moment::Moment;
use tokenkeep_client::secret::AccessToken;
use tokenkeep_client::wire::to_body;
use zeroize::Zeroizing;

use super::Vault;
use super::connection_record::WITHHELD;
use super::orgs::Org;
use super::place::{Field, OrgBlind, place};
use super::record::RecordWriter;
use super::refusal::Refusal;
use super::sealed::Sealed;
use crate::domain::refresh::Fingerprint;
use crate::store::{Key, Record};

/// What a note says, beside the tokens.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Errand {
    pub(super) org: OrgId,
    #[serde(flatten)]
    pub(super) id: ConnectionId,
    pub(super) since: Moment,
    pub(super) attempts: u32,
    pub(super) next_at: Moment,
    pub(super) last: Option<String>,
    /// The token that a refresh was showing when the connection was deleted.
    pub(super) awaits: Option<Fingerprint>,
}

/// The tokens of a note.
#[derive(Default)]
pub(super) struct Tokens {
    pub(super) access: Zeroizing<Vec<u8>>,
    pub(super) current: Option<Zeroizing<Vec<u8>>>,
    pub(super) previous: Option<Zeroizing<Vec<u8>>>,
}

impl Vault {
    pub(super) fn written_note(
        &self,
        org: &Org,
        note: &Key,
        generation: u64,
        errand: &Errand,
        tokens: &Tokens,
    ) -> Vec<u8> {
        let metadata = to_body(errand);
        let sections = [
            (Field::Metadata, Some(&metadata)),
            (Field::AccessToken, Some(&tokens.access)),
            (Field::RefreshToken, tokens.current.as_ref()),
            (Field::PreviousRefreshToken, tokens.previous.as_ref()),
        ];
        let mut writer = RecordWriter::new(generation);
        for (field, value) in sections {
            let Some(value) = value else { continue };
            let sealed = Sealed::of(&org.key, &place(self.vault_id, note, field), generation, value);
            writer = writer.section(field, &sealed);
        }
        writer.finish()
    }

    pub(super) fn tokens_of(&self, org: &Org, note: &Key, record: &Record) -> Result<Tokens, Refusal> {
        let stored = |field| self.stored_section(org, note, Some(record), field);
        Ok(Tokens {
            access: stored(Field::AccessToken)?.unwrap_or_default(),
            current: stored(Field::RefreshToken)?,
            previous: stored(Field::PreviousRefreshToken)?,
        })
    }

    pub(super) fn errand(&self, org: &Org, note: &Key, record: &Record) -> Result<Errand, Refusal> {
        let opened = self.open_section(org, note, &record.value, Field::Metadata)?;
        let errand: Errand = serde_json::from_slice(opened.expose())
            .map_err(|_| Refusal::integrity("revocation", &"it is not what was written"))?;
        if errand.org != org.id {
            return Err(Refusal::integrity("revocation", &"it is another org's"));
        }
        Ok(errand)
    }

    pub(super) fn org_and_errand(&self, note: &Key, record: &Record) -> Result<(Arc<Org>, Errand), Refusal> {
        let org = self.org_in_passing(OrgBlind::of_record(note))?;
        let errand = self.errand(&org, note, record)?;
        Ok((org, errand))
    }
}

/// The token in the value of an access token section.
pub(super) fn bare(value: &[u8]) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    #[derive(Deserialize)]
    struct Body {
        access_token: AccessToken,
    }
    let body = value.get(8..).map(|body| body.strip_prefix(&[WITHHELD]).unwrap_or(body));
    let body: Body = body
        .and_then(|body| serde_json::from_slice(body).ok())
        .ok_or_else(|| Refusal::integrity("access token", &"its body is not what was written"))?;
    Ok(bytes_of(AccessToken::expose(&body.access_token)))
}

pub(super) fn bytes_of(token: &str) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(token.as_bytes().to_vec())
}
