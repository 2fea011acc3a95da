//! What a provider's answer to a revocation means (RFC 7009, section 2.2), and when it is asked again.
//!
//! The hard problem: to give up too soon leaves a grant alive that its owner believes gone, and to go on for ever keeps
//! a refresh token that nobody needs. The answer: it is over when the provider says so in words: that the token is
//! revoked or unknown, or that it will not revoke it. Whatever else comes (a fault, a proxy, our own client refused)
//! is tried again at growing spans, until the token has ended by itself.
//!
//! Randomness and time are arguments. Never repeats a byte of an answer.

use std::time::Duration;

use serde_json::Value;
use tokenkeep_client::moment::Moment;

use super::provider::OAuthClient;
use super::provider::client::{ErrorMeaning, RevocationWay};
use super::refresh::answer::Heard;

/// The first span.
const FIRST: Duration = Duration::from_secs(2);
/// The longest span that is not the provider's own wish.
const LONGEST: Duration = Duration::from_secs(6 * 3600);
/// A wish beyond this is not heeded.
const LONGEST_WISH: Duration = Duration::from_secs(24 * 3600);

/// Words that say that the token is worth nothing any more, beside the provider's own for `invalid_grant`.
const GONE: &[&str] = &["invalid_token", "token_revoked"];
/// Words that say that it may work later.
const LATER: &[&str] = &[
    "fatal_error",
    "internal_error",
    "ratelimited",
    "server_error",
    "service_unavailable",
    "temporarily_unavailable",
];
/// Words of RFC 6749, section 5.2, and RFC 7009, section 2.2.1, that no second request changes.
const NEVER: &[&str] =
    &["invalid_request", "invalid_scope", "unsupported_grant_type", "unsupported_token_type"];

/// What has come of a request for a revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// The token works no more.
    Done,
    /// The provider will not do it, however often it is asked.
    Impossible(Impossible),
    /// To be asked again.
    Later {
        /// Why.
        setback: Setback,
        /// When, where the provider says so.
        wish: Option<Duration>,
    },
}

/// Why a revocation will never be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Impossible {
    /// This provider takes the access token for it, and that one has ended.
    AccessTokenEnded,
    /// The provider has no way to revoke that is known.
    NoWay,
    /// The provider refuses the request.
    Refused,
}

/// Why a revocation is not done yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setback {
    /// The provider refuses our client, or there is none any more: to be mended in the configuration.
    Client,
    /// The provider gave no answer, or one that says nothing.
    Provider,
}

impl Impossible {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AccessTokenEnded => "access_token_ended",
            Self::NoWay => "no_revocation",
            Self::Refused => "revocation_refused",
        }
    }
}

impl Setback {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client_misconfigured",
            Self::Provider => "provider_error",
        }
    }
}

/// What came back, judged.
pub fn judge(heard: &Heard<'_>, meaning: &dyn Fn(&str) -> ErrorMeaning, way: RevocationWay) -> Verdict {
    let Heard::Answer { status, retry_after, body } = heard else { return later(Setback::Provider, None) };
    let shows_access_token = matches!(way, RevocationWay::Bearer | RevocationWay::GitHub);
    match word(body).as_deref() {
        Some(word) if meaning(word) == ErrorMeaning::Client => later(Setback::Client, *retry_after),
        Some("token_expired" | "invalid_auth") if shows_access_token => {
            Verdict::Impossible(Impossible::AccessTokenEnded)
        }
        Some(word) if GONE.contains(&word) || meaning(word) == ErrorMeaning::Grant => Verdict::Done,
        Some(word) if LATER.contains(&word) => later(Setback::Provider, *retry_after),
        Some(word) if NEVER.contains(&word) || *status == 400 => Verdict::Impossible(Impossible::Refused),
        Some(_) => later(Setback::Provider, *retry_after),
        None => of_status(*status, *retry_after, way),
    }
}

/// What a status alone says: a success is one, and of failures only those that this way gives a meaning to.
fn of_status(status: u16, wish: Option<Duration>, way: RevocationWay) -> Verdict {
    match (status, way) {
        (200..300, _) => Verdict::Done,
        // GitHub's REST API, "Delete an app token": it knows no such token.
        (404 | 422, RevocationWay::GitHub) => Verdict::Impossible(Impossible::AccessTokenEnded),
        // RFC 6750, section 3.1: the token that was shown is expired, revoked or malformed.
        (401, RevocationWay::Bearer) => Verdict::Impossible(Impossible::AccessTokenEnded),
        (401, _) => later(Setback::Client, wish),
        _ => later(Setback::Provider, wish),
    }
}

fn later(setback: Setback, wish: Option<Duration>) -> Verdict {
    Verdict::Later { setback, wish }
}

fn word(body: &[u8]) -> Option<String> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(mut object)) => match object.remove("error") {
            Some(Value::String(word)) => Some(word),
            _ => None,
        },
        _ => None,
    }
}

/// How long to wait after so many failures (from 1). `chance` is from 0 to 1: up to half of the span comes on top.
#[must_use]
pub fn wait(failures: u32, wish: Option<Duration>, chance: f64) -> Duration {
    let doubled = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST);
    let base = doubled.max(wish.unwrap_or_default().min(LONGEST_WISH));
    base + base.mul_f64(chance.clamp(0.0, 1.0) / 2.0)
}

/// Whether tokens that nobody has used since then have ended by themselves.
#[must_use]
pub fn has_ended(since: Moment, client: &OAuthClient, now: Moment) -> bool {
    let limits = [client.idle_limit, client.absolute_limit];
    limits.into_iter().flatten().min().is_some_and(|limit| now >= since.after(limit))
}

#[cfg(test)]
mod tests;
