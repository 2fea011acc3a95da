//! One exchange with a provider: the request, and what came of it.
//!
//! Never waits longer than the intent stands, and never retries: whether to ask again is decided above.

use std::time::{Duration, Instant, SystemTime};

use tokenkeep_client::secret::RefreshToken;
use zeroize::Zeroizing;

use crate::domain::provider::OAuthClient;
use crate::domain::refresh::ANSWER_DEADLINE;
use crate::domain::refresh::answer::{Dialect, Heard, Meaning, read};
use crate::domain::refresh::may_still_send;
use crate::net::outbound::{Answer, Deadlines, Door, OutboundError};
use crate::os::fault_points;
use crate::service::oauth::token_request::refresh_request;

/// Longest answer that is read: a token set has three tokens of 16 KiB at the most.
const LONGEST_ANSWER: usize = 64 * 1024;

const DEADLINES: Deadlines = Deadlines { connect: Duration::from_secs(5), whole: ANSWER_DEADLINE };

/// What came of a request.
pub(super) enum Reply {
    /// An answer, whole.
    Answer(Answer),
    /// None; and why.
    Failed(OutboundError),
    /// The request could not be made: a credential of ours is missing.
    Unmade,
}

impl Reply {
    /// What it means, from this provider.
    pub(super) fn meaning(&self, client: &OAuthClient) -> Meaning {
        let dialect = Dialect { meaning: &|word| client.meaning(word), separator: client.scope_separator };
        read(&self.heard(), &dialect)
    }

    fn heard(&self) -> Heard<'_> {
        match self {
            Self::Answer(Answer { status, retry_after, body, .. }) => {
                Heard::Answer { status: *status, retry_after: *retry_after, body }
            }
            Self::Failed(why) if why.may_have_been_sent() => Heard::Nothing,
            Self::Failed(_) | Self::Unmade => Heard::NotSent,
        }
    }

    /// Whether time ran out.
    pub(super) fn is_late(&self) -> bool {
        matches!(self, Self::Failed(OutboundError::Deadline(_)))
    }

    /// The body, to be kept as it is.
    pub(super) fn into_body(self) -> Option<Zeroizing<Vec<u8>>> {
        match self {
            Self::Answer(answer) => Some(answer.body),
            Self::Failed(_) | Self::Unmade => None,
        }
    }
}

/// Asks once, if the intent that was written after `began` still stands when the request can go out.
pub(super) async fn ask(
    door: &Door,
    client: &OAuthClient,
    token: RefreshToken,
    now: SystemTime,
    began: Instant,
) -> Reply {
    let request = match refresh_request(client, &token, now) {
        Ok(request) => request,
        Err(why) => {
            tracing::error!(%why, "our client cannot prove itself at a provider, so nothing is asked there");
            return Reply::Unmade;
        }
    };
    drop(token);
    fault_points::reach("request/made");
    let (door, endpoint, roots) = (door.clone(), client.token_endpoint.host().clone(), client.roots.clone());
    let asked = tokio::task::spawn_blocking(move || {
        // A thread for it may have been waited for.
        if !may_still_send(began.elapsed()) {
            return Err(OutboundError::Deadline("to begin"));
        }
        door.exchange(&endpoint, &roots, request, LONGEST_ANSWER, DEADLINES)
    });
    match asked.await {
        Ok(Ok(answer)) => Reply::Answer(answer),
        Ok(Err(why)) => {
            tracing::warn!(%why, "a provider gave no answer");
            Reply::Failed(why)
        }
        // It was on its way: the token may be spent.
        Err(_) => Reply::Failed(OutboundError::NotHttp),
    }
}
