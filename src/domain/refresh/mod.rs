//! The custody of a refresh token: what is known of its exchange, and what may be done next.
//!
//! The hard problem: a refresh token that rotates is spent by the request that uses it, and everything that can fail
//! fails between that request and the moment its answer is kept: the process, the network, the provider, the disk, the
//! clock. The answer: a note is made durable before the request goes out (the [`Intent`]); it stands until the answer
//! is kept beside it in one commit; and whoever finds it open knows that the token may be spent, and goes by what that
//! provider does with spent tokens (the [`Terms`]).
//!
//! Time and outcomes are arguments, and the store is whoever calls. Every order of events is walked by `simulation`.
//!
//! Never says "send" for a token whose answer has arrived.

pub mod answer;
pub mod brake;
pub mod life;
pub mod pace;
pub mod schedule;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokenkeep_client::moment::Moment;

use crate::domain::provider::OAuthClient;
use crate::domain::provider::client::{RefreshEarly, Rotation};

/// How long an intent stands. Nobody else touches it before they have themselves seen it stand for so long.
pub const LEASE: Duration = Duration::from_secs(30);

/// How long a provider may take: shorter than the intent stands, so that who waits for an answer still holds it.
pub const ANSWER_DEADLINE: Duration = Duration::from_secs(15);

/// Whether a token may still be sent, so long after its intent began to be written: the answer must come, or be given
/// up, while the intent stands.
#[must_use]
pub fn may_still_send(since: Duration) -> bool {
    since + ANSWER_DEADLINE < LEASE
}

/// Of a provider's leeway, this much is left unused: for the way there, and for clocks that differ.
const LEEWAY_MARGIN: Duration = Duration::from_secs(5);

/// What a provider does with refresh tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Whether a refresh spends the token.
    pub rotates: bool,
    /// How long a spent one still works.
    pub leeway: Duration,
    /// Whether a spent one, shown after that, ends the whole connection.
    pub reuse_revokes_family: bool,
    /// Whether a refresh ends the access token before.
    pub kills_access_token: bool,
}

impl Terms {
    /// Those of a provider, as it is configured.
    #[must_use]
    pub fn of(client: &OAuthClient) -> Self {
        Self {
            rotates: client.rotation == Rotation::Rotates,
            leeway: client.leeway,
            reuse_revokes_family: client.reuse_revokes_family,
            kills_access_token: client.refresh_early == RefreshEarly::KillsAccessToken,
        }
    }
}

/// A refresh token, named: a keyed MAC of it, in hex. Says nothing of the token to who lacks the key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fingerprint(pub String);

/// Who holds an intent: one run of one daemon.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Node(pub String);

/// The durable note written before a provider is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Of the token set whose refresh token is sent.
    pub generation: u64,
    /// Which refresh token is sent.
    pub token: Fingerprint,
    /// Who sends it.
    pub node: Node,
    /// Grows with each intent of the connection: the revision of the record that this one replaced. An answer is
    /// kept under the intent that it belongs to.
    pub fence: u64,
    /// Not before this was the token sent.
    pub begun_at: Moment,
    /// When it runs out, for people who look; others go by the time for which they have seen it stand.
    pub deadline: Moment,
    /// Why it may be sent.
    pub grounds: Grounds,
}

/// Why a refresh token may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Grounds {
    /// It may be spent since then, and that does no harm: the provider still takes it, or refuses it and no more.
    Again {
        /// When it was first sent without an answer.
        since: Moment,
        /// Whether the one probe was used up before.
        probed: bool,
    },
    /// It was never sent.
    First,
    /// It may be spent since then, and there is nothing left to lose: the access token has ended.
    Probe {
        /// When it was first sent without an answer.
        since: Moment,
    },
}

/// What is known of the exchange of a refresh token. Goes with the token.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Custody {
    /// The provider refuses it for good; the owner of the connection must connect again.
    NeedsReauth {
        /// Why.
        reason: Reason,
        /// Since when.
        since: Moment,
    },
    /// It was sent, may have been spent, and no answer came.
    OutcomeUnknown {
        /// When it was first sent without an answer.
        since: Moment,
        /// Whether the one probe was used up.
        probed: bool,
    },
    /// It is being sent, or was when the daemon died.
    Refreshing {
        /// The note.
        intent: Intent,
    },
    /// Nothing is under way and nothing is wrong.
    #[default]
    Settled,
}

/// Why a connection must be made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The provider refuses a token that may have been spent by a request whose answer never came.
    AnswerLost,
    /// The provider refuses the token (RFC 6749, section 5.2): revoked, expired, or of another client.
    InvalidGrant,
    /// Another org or provider had the same refresh token, and it was spent there.
    SpentElsewhere,
}

impl Reason {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AnswerLost => "answer_lost",
            Self::InvalidGrant => "invalid_grant",
            Self::SpentElsewhere => "spent_elsewhere",
        }
    }
}

/// Who holds an intent that is found open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// Nobody: its process has ended, or it was seen to stand for longer than [`LEASE`].
    Gone,
    /// Somebody may still wait for the answer.
    MayLive,
}

/// What may be done with a refresh token now.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Move {
    /// Nothing more: it may be spent, the probe was used up.
    GiveUp {
        /// When it was first sent without an answer.
        since: Moment,
    },
    /// Nothing, ever.
    NeedsReauth {
        /// Why.
        reason: Reason,
        /// Since when.
        since: Moment,
    },
    /// Write an intent on these grounds, then send it.
    Send(Grounds),
    /// Nothing yet: somebody else may be waiting for an answer.
    UnderWay,
    /// Nothing before the access token has ended; none: its end is not known.
    Wait {
        /// When it was first sent without an answer.
        since: Moment,
        /// The end of the access token, and not before the first request is surely over.
        until: Option<Moment>,
    },
}

impl Custody {
    /// What may be done with the token now; `ends` is the end of the access token that goes with it.
    pub fn next(&self, terms: &Terms, now: Moment, ends: Option<Moment>, holder: Holder) -> Move {
        match self {
            Self::Settled => Move::Send(Grounds::First),
            Self::NeedsReauth { reason, since } => Move::NeedsReauth { reason: *reason, since: *since },
            Self::Refreshing { .. } if holder == Holder::MayLive => Move::UnderWay,
            Self::Refreshing { intent } => unknown(intent).next(terms, now, ends, holder),
            Self::OutcomeUnknown { since, probed } => recover(*since, *probed, terms, now, ends),
        }
    }

    /// The intent that is open.
    #[must_use]
    pub fn intent(&self) -> Option<&Intent> {
        match self {
            Self::Refreshing { intent } => Some(intent),
            Self::NeedsReauth { .. } | Self::OutcomeUnknown { .. } | Self::Settled => None,
        }
    }
}

/// An intent whose answer will not come: the token may be spent.
fn unknown(intent: &Intent) -> Custody {
    match intent.grounds {
        Grounds::First => Custody::OutcomeUnknown { since: intent.begun_at, probed: false },
        Grounds::Again { since, probed } => Custody::OutcomeUnknown { since, probed },
        Grounds::Probe { since } => Custody::OutcomeUnknown { since, probed: true },
    }
}

fn recover(since: Moment, probed: bool, terms: &Terms, now: Moment, ends: Option<Moment>) -> Move {
    let harmless = !terms.rotates || !terms.reuse_revokes_family;
    if harmless || is_inside(since, terms.leeway.saturating_sub(LEEWAY_MARGIN), now) {
        return Move::Send(Grounds::Again { since, probed });
    }
    // Showing it may end the access token too: that one first serves its time. And the first request may still wait
    // in a queue over there: were it taken after a probe that worked, it would show a token that is spent by then.
    let until = ends.map(|ends| ends.max(since.after(LEASE)));
    if until.is_none_or(|until| now < until) {
        return Move::Wait { since, until };
    }
    if probed { Move::GiveUp { since } } else { Move::Send(Grounds::Probe { since }) }
}

/// Whether `now` is at most `span` after `since`. A clock that was set back says nothing: then it is not.
fn is_inside(since: Moment, span: Duration, now: Moment) -> bool {
    now >= since && now.unix() - since.unix() < span.as_secs()
}

/// What became of a request, as far as it says what the token is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// A token set came.
    Answered,
    /// The provider broke in the middle of it, and says so: the token may be spent.
    Broken,
    /// No answer came, or none that can be read: the token may be spent.
    Lost,
    /// The request was not processed; the token is what it was.
    NotProcessed,
    /// The provider refuses this token, in so many words.
    Refused,
}

impl Intent {
    /// Whether it is still the one that stands: looked at once more before the token is sent, for what took it over may
    /// have had the answer.
    #[must_use]
    pub fn still_stands(&self, custody: &Custody) -> bool {
        custody.intent().is_some_and(|open| open.fence == self.fence)
    }

    /// What is known of the token once its request has ended.
    #[must_use]
    pub fn settle(&self, ended: Ended, now: Moment) -> Custody {
        match (ended, self.grounds) {
            (Ended::Answered, _) | (Ended::NotProcessed, Grounds::First) => Custody::Settled,
            (Ended::Lost, _) => unknown(self),
            (Ended::Broken, Grounds::First) => unknown(self),
            // A provider that is down must not use the probe up: it has said that it could not.
            (Ended::Broken | Ended::NotProcessed, Grounds::Probe { since }) => {
                Custody::OutcomeUnknown { since, probed: false }
            }
            (Ended::Broken | Ended::NotProcessed, Grounds::Again { since, probed }) => {
                Custody::OutcomeUnknown { since, probed }
            }
            (Ended::Refused, Grounds::First) => {
                Custody::NeedsReauth { reason: Reason::InvalidGrant, since: now }
            }
            (Ended::Refused, Grounds::Again { .. } | Grounds::Probe { .. }) => {
                Custody::NeedsReauth { reason: Reason::AnswerLost, since: now }
            }
        }
    }
}

/// What to do with an outcome when the record is no longer the one that the intent was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Landing {
    /// The token that was sent is no longer the stored one: keep what came beside what is stored.
    Beside,
    /// Somebody else took the exchange over and may be in the middle of it: keep an answer, and nothing else.
    IfAnswered,
    /// The stored token is the one that was sent, and the exchange is still this one.
    Whole,
}

/// Where the outcome of `intent` belongs in a record whose refresh token is `stored`.
pub fn landing(intent: &Intent, stored: Option<&Fingerprint>, custody: &Custody) -> Landing {
    if stored != Some(&intent.token) {
        return Landing::Beside;
    }
    match custody.intent() {
        Some(open) if open.fence == intent.fence => Landing::Whole,
        Some(_) => Landing::IfAnswered,
        // Taken over, and given up again: what came later knows more, but nothing is worth more than an answer.
        None => Landing::IfAnswered,
    }
}
