//! What is worth waking somebody for: a connection that breaks, is about to or recovers, a provider that refuses us, a
//! vault that is a copy.
//!
//! The hard problem: who is told too much stops listening, and who is told a secret has a second leak. The answer: an
//! event is a change of what can be done about something, never a mere failure that is tried again; and it is made of
//! identifiers, words of ours and moments, so that there is nothing else in it to leak.
//!
//! Never a token, a secret or a byte of a provider's answer.

pub mod queue;
pub mod webhook;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokenkeep_client::ids::{ConnectionId, OrgId, ProviderId};
use tokenkeep_client::moment::Moment;

use super::refresh::schedule::Ending;
use super::refresh::{Custody, Ended, Grounds, Intent};

/// An event that nobody could be told of is given up after this.
pub const KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 3600);

/// How long before its end a connection is told of.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);

/// Why nothing more is sent: the one probe was lost too.
pub const PROBE_LOST: &str = "probe_lost";
/// Why nothing is sent for now.
pub const ANSWER_LOST: &str = "answer_lost";

/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// What was acknowledged is in no backup, or a backup did not prove good.
    #[serde(rename = "backup.failed")]
    BackupFailed,
    /// Backups work again.
    #[serde(rename = "backup.recovered")]
    BackupRecovered,
    /// A connection will break at a known moment unless its owner connects again.
    #[serde(rename = "connection.expiring")]
    ConnectionExpiring,
    /// The owner of a connection must connect again.
    #[serde(rename = "connection.needs_reauth")]
    ConnectionNeedsReauth,
    /// A refresh token may be spent, and no answer came.
    #[serde(rename = "connection.outcome_unknown")]
    ConnectionOutcomeUnknown,
    /// A connection that was broken works again.
    #[serde(rename = "connection.recovered")]
    ConnectionRecovered,
    /// Nothing is refreshed with a provider for now.
    #[serde(rename = "provider.braked")]
    ProviderBraked,
    /// What was stopped goes on.
    #[serde(rename = "provider.released")]
    ProviderReleased,
    /// Asked for by an admin.
    #[serde(rename = "alert.test")]
    Test,
    /// The vault is a restored or copied one, and refreshes nothing that rotates.
    #[serde(rename = "vault.quarantined")]
    VaultQuarantined,
}

impl Kind {
    /// The word for it: the `type` of the event.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BackupFailed => "backup.failed",
            Self::BackupRecovered => "backup.recovered",
            Self::ConnectionExpiring => "connection.expiring",
            Self::ConnectionNeedsReauth => "connection.needs_reauth",
            Self::ConnectionOutcomeUnknown => "connection.outcome_unknown",
            Self::ConnectionRecovered => "connection.recovered",
            Self::ProviderBraked => "provider.braked",
            Self::ProviderReleased => "provider.released",
            Self::Test => "alert.test",
            Self::VaultQuarantined => "vault.quarantined",
        }
    }

    /// The state that a connection is in by it.
    fn state(self) -> Option<&'static str> {
        match self {
            Self::ConnectionExpiring | Self::ConnectionRecovered => Some("active"),
            Self::ConnectionNeedsReauth => Some("needs_reauth"),
            Self::ConnectionOutcomeUnknown => Some("outcome_unknown"),
            Self::BackupFailed
            | Self::BackupRecovered
            | Self::ProviderBraked
            | Self::ProviderReleased
            | Self::Test
            | Self::VaultQuarantined => None,
        }
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// What.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// When.
    #[serde(rename = "timestamp")]
    pub at: Moment,
    /// To what.
    pub data: Data,
}

/// To what something happened. What does not belong to the kind is absent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Data {
    /// Of the connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org: Option<OrgId>,
    /// Of the connection, or the provider itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<ProviderId>,
    /// Of the connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Of the connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Why, in one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when it is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Moment>,
    /// When it will end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Moment>,
    /// Of the token set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
}

impl Event {
    /// Of the vault as a whole.
    #[must_use]
    pub fn new(kind: Kind, at: Moment) -> Self {
        Self { kind, at, data: Data::default() }
    }

    /// Of a connection, in this generation.
    #[must_use]
    pub fn of_connection(kind: Kind, at: Moment, org: &OrgId, id: &ConnectionId, generation: u64) -> Self {
        let data = Data {
            org: Some(org.clone()),
            provider: Some(id.provider.clone()),
            name: Some(id.name.as_str().to_owned()),
            state: kind.state().map(str::to_owned),
            generation: Some(generation),
            ..Data::default()
        };
        Self { kind, at, data }
    }

    /// Of a provider.
    #[must_use]
    pub fn of_provider(kind: Kind, at: Moment, provider: &ProviderId) -> Self {
        Self { kind, at, data: Data { provider: Some(provider.clone()), ..Data::default() } }
    }

    /// For this reason, one word.
    #[must_use]
    pub fn because(mut self, reason: &str) -> Self {
        self.data.reason = Some(reason.to_owned());
        self
    }

    /// Since then.
    #[must_use]
    pub fn since(mut self, since: Moment) -> Self {
        self.data.since = Some(since);
        self
    }

    /// Whether nobody needs to hear of it any more.
    #[must_use]
    pub fn is_too_old(&self, now: Moment) -> bool {
        now.unix().saturating_sub(self.at.unix()) > KEPT_FOR.as_secs()
    }
}

/// What a change of a connection is worth telling, in words for the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct News {
    /// What has happened.
    pub kind: Kind,
    /// Why.
    pub reason: Option<&'static str>,
    /// Since when.
    pub since: Option<Moment>,
    /// When it will end.
    pub ends_at: Option<Moment>,
}

/// What there is to tell once an exchange has ended with `next`. A token that may be sent again by the rules is a failure
/// that is tried again, and none of anybody's business.
#[must_use]
pub fn news_of_exchange(intent: &Intent, ended: Ended, next: &Custody, may_be_sent: bool) -> Option<News> {
    match (next, intent.grounds) {
        (Custody::NeedsReauth { reason, since }, _) => Some(News {
            kind: Kind::ConnectionNeedsReauth,
            reason: Some(reason.as_str()),
            since: Some(*since),
            ends_at: None,
        }),
        (Custody::OutcomeUnknown { since, probed: true }, Grounds::Probe { .. }) => Some(News {
            kind: Kind::ConnectionOutcomeUnknown,
            reason: Some(PROBE_LOST),
            since: Some(*since),
            ends_at: None,
        }),
        (Custody::OutcomeUnknown { since, .. }, Grounds::First) if !may_be_sent => Some(News {
            kind: Kind::ConnectionOutcomeUnknown,
            reason: Some(ANSWER_LOST),
            since: Some(*since),
            ends_at: None,
        }),
        (Custody::Settled, Grounds::Probe { since }) if ended == Ended::Answered => {
            Some(recovered("probed", since))
        }
        _ => None,
    }
}

/// What there is to tell once an answer has come that is kept over what is in `before`.
#[must_use]
pub fn news_of_answer(intent: &Intent, before: &Custody) -> Option<News> {
    match before {
        // It came after it had been given up.
        Custody::NeedsReauth { since, .. } | Custody::OutcomeUnknown { since, .. } => {
            Some(recovered("answer_came", *since))
        }
        Custody::Refreshing { .. } | Custody::Settled => {
            news_of_exchange(intent, Ended::Answered, &Custody::Settled, true)
        }
    }
}

/// What there is to tell of a connection that its provider ends so long after its owner has consented: by the first refresh that
/// falls into the last two weeks, or into the last quarter of a shorter time. The one before it was at `refreshed_before`.
#[must_use]
pub fn news_of_end(
    consented_at: Moment,
    limit: Duration,
    refreshed_before: Moment,
    now: Moment,
) -> Option<News> {
    let soon_at = consented_at.after(limit - SOON.min(limit / 4));
    let is_first = refreshed_before < soon_at && now >= soon_at;
    is_first.then(|| News {
        kind: Kind::ConnectionExpiring,
        reason: Some(Ending::AbsoluteLimit.as_str()),
        since: None,
        ends_at: Some(consented_at.after(limit)),
    })
}

fn recovered(reason: &'static str, since: Moment) -> News {
    News { kind: Kind::ConnectionRecovered, reason: Some(reason), since: Some(since), ends_at: None }
}

/// What there is to tell once a token set was stored over one that was in `before`, and is in `after`.
#[must_use]
pub fn news_of_storing(before: &Custody, after: &Custody) -> Option<News> {
    let since = match before {
        Custody::NeedsReauth { since, .. } | Custody::OutcomeUnknown { since, .. } => *since,
        Custody::Refreshing { .. } | Custody::Settled => return None,
    };
    (*after == Custody::Settled).then(|| recovered("connected_again", since))
}

#[cfg(test)]
mod tests;
