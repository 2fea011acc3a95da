//! Where an answer lands: in the record as it is by now, which may not be the one that was asked for.
//!
//! Never drops a refresh token that came.

use std::time::Duration;

use tokenkeep_client::ids::ConnectionId;
use tokenkeep_client::problem::Code;
use tokenkeep_client::secret::RefreshToken;
use tokenkeep_client::wire::ConnectionState;

use super::{Conclusion, needs_reauth};
use crate::domain::event::{News, news_of_answer, news_of_exchange};
use crate::domain::identity::account;
use crate::domain::refresh::answer::Granted;
use crate::domain::refresh::{Custody, Intent, Landing, landing};
use crate::domain::token_set::Accepted;
use crate::store::{Key, Record};
use crate::vault::Vault;
use crate::vault::census::state_of;
use crate::vault::connection_record::ExchangeFate;
use crate::vault::door::Became;
use crate::vault::orgs::Org;
use crate::vault::place::Field;
use crate::vault::refusal::Refusal;

/// What becomes of a record when an outcome lands in it.
pub(super) struct Landed {
    /// None: it stays as it is.
    pub(super) record: Option<Vec<u8>>,
    pub(super) became: Became,
    pub(super) generation: Option<u64>,
    pub(super) told: Result<(), Refusal>,
    /// What somebody is to be told of it.
    pub(super) news: Option<News>,
    /// The state that the connection is in then.
    pub(super) state: ConnectionState,
}

impl Landed {
    /// Somebody else has written a token set meanwhile: callers read that one.
    fn superseded(record: Option<Vec<u8>>, stands: &Custody) -> Self {
        let became = Became::because("ok", "superseded");
        Self { record, became, generation: None, told: Ok(()), news: None, state: state_of(stands) }
    }

    /// The connection was deleted meanwhile.
    pub(super) fn gone() -> Self {
        let gone = Refusal::not_found("connection");
        Self {
            record: None,
            became: Became::refused(&gone),
            generation: None,
            told: Err(gone),
            news: None,
            state: ConnectionState::Active,
        }
    }
}

impl Vault {
    /// Where an answer belongs by now, and what the record is then.
    pub(super) fn land(
        &self,
        org: &Org,
        key: &Key,
        id: &ConnectionId,
        record: &Record,
        intent: &Intent,
        conclusion: &Conclusion,
    ) -> Result<Landed, Refusal> {
        let stored = self.stored_section(org, key, Some(record), Field::RefreshToken)?;
        let stored = stored.map(|token| self.name_of(&token));
        let custody = self.custody(org, key, record)?;
        let landing = landing(intent, stored.as_ref(), &custody);
        match (landing, &conclusion.granted) {
            (Landing::Whole | Landing::IfAnswered, Some(granted)) => {
                let accepted = self.accepted(org, key, record, intent, granted, conclusion.usual_life)?;
                let fate = ExchangeFate::Over;
                let (next, out) = self.next_record(org, key, id, &accepted, Some(record), fate)?;
                let became = match self.allows_scopes(id, &accepted.scopes) {
                    true => Became::plain("ok"),
                    false => Became::because("ok", "scope_not_allowed"),
                };
                let news = match news_of_answer(intent, &custody) {
                    Some(news) => Some(news),
                    None => self.news_of_end(&self.open_metadata(org, key, record)?.1),
                };
                let (generation, state) = (Some(out.generation), ConnectionState::Active);
                Ok(Landed { record: Some(next), became, generation, told: Ok(()), news, state })
            }
            (Landing::Beside, Some(granted)) => {
                let token = granted.refresh_token.as_ref();
                let kept = token.map(|token| self.with_spare(org, key, record, token)).transpose()?;
                Ok(Landed::superseded(kept, &custody))
            }
            (Landing::Whole, None) => {
                let next = intent.settle(conclusion.ended, self.now());
                let told = told_of(&next, &conclusion.told);
                let state = state_of(&next);
                let may_be_sent = conclusion.told.code != Code::OutcomeUnknown;
                let news = news_of_exchange(intent, conclusion.ended, &next, may_be_sent);
                let unread = conclusion.unread.as_deref().map(Vec::as_slice);
                let record = self.with_exchange(org, key, record, &next, unread)?;
                let (became, generation) = (Became::refused(&told), Some(intent.generation));
                Ok(Landed { record: Some(record), became, generation, told: Err(told), news, state })
            }
            (Landing::Beside | Landing::IfAnswered, None) => Ok(Landed::superseded(None, &custody)),
        }
    }

    /// The token set that follows from an answer. What an answer leaves out stays as it was (RFC 6749, sections 5.1, 6).
    pub(in crate::vault) fn accepted(
        &self,
        org: &Org,
        key: &Key,
        record: &Record,
        intent: &Intent,
        granted: &Granted,
        usual_life: Option<Duration>,
    ) -> Result<Accepted, Refusal> {
        let (_, metadata) = self.open_metadata(org, key, record)?;
        let life = granted.expires_in.or(usual_life);
        Ok(Accepted {
            access_token: granted.access_token.copy(),
            refresh_token: granted.refresh_token.as_ref().map(RefreshToken::copy),
            account: granted.id_token.as_ref().and_then(account),
            id_token: granted.id_token.as_ref().map(tokenkeep_client::secret::IdToken::copy),
            token_type: granted.token_type.clone().unwrap_or_else(|| "Bearer".to_owned()),
            // From the moment at which it was asked for: it cannot be older.
            expires_at: life.map(|life| intent.begun_at.after(life)),
            scopes: granted.scopes.clone().unwrap_or(metadata.scopes),
            labels: None,
        })
    }
}

/// What callers are told of a connection in this state.
fn told_of(custody: &Custody, otherwise: &Refusal) -> Refusal {
    match custody {
        Custody::NeedsReauth { reason, since } => needs_reauth(*reason, *since),
        Custody::OutcomeUnknown { .. } | Custody::Refreshing { .. } | Custody::Settled => otherwise.clone(),
    }
}
