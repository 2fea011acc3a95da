//! When a token set is renewed before anybody asks, and when it will end whatever is done.
//!
//! The hard problem: too early kills access tokens in use (GitHub), all at once is a storm, too late is an outage. The
//! answer: a share of the token's own life, spread by jitter; not before its end where the provider's rule is so; and
//! sooner where a limit on idling comes first.
//!
//! Never reads the clock; randomness is an argument.

use std::time::Duration;

use tokenkeep_client::moment::Moment;

use super::Terms;

/// Of the life of an access token, the last this-many-th is when it is renewed: a tenth.
const EARLY_SHARE: u32 = 10;
/// The jitter, as the same share of that life again.
const JITTER_SHARE: u32 = 10;
/// A limit on idling is never let come nearer than this part of it.
const IDLE_SHARE: u32 = 4;

/// What is known of a token set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// When the connection was made.
    pub created_at: Moment,
    /// When this token set came.
    pub refreshed_at: Moment,
    /// The end of the access token, where it is known.
    pub expires_at: Option<Moment>,
}

impl Life {
    /// How long the access token was to live when it came.
    fn span(&self) -> Option<Duration> {
        let ends = self.expires_at?;
        Some(Duration::from_secs(ends.unix().saturating_sub(self.refreshed_at.unix())))
    }

    /// How long an access token must still live to be good enough for who asks for `wished`. A provider whose tokens
    /// live shorter than that is not asked again for each read; one that kills the old token is not asked early at all.
    #[must_use]
    pub fn least(&self, wished: Duration, terms: &Terms) -> Duration {
        if terms.kills_access_token {
            return Duration::ZERO;
        }
        self.span().map_or(wished, |span| wished.min(span / 2))
    }

    /// When it is to be renewed, if nobody asks sooner; none: never by itself. `chance` is from 0 to 1.
    #[must_use]
    pub fn due(&self, terms: &Terms, chance: f64) -> Option<Moment> {
        let chance = chance.clamp(0.0, 1.0);
        let by_life = self.span().map(|span| {
            let jitter = (span / JITTER_SHARE).mul_f64(chance);
            if terms.kills_access_token {
                // At its end, or a little after: spread, for many came at once.
                self.refreshed_at.after(span + jitter)
            } else {
                self.refreshed_at.after(span - span / EARLY_SHARE - jitter)
            }
        });
        let by_idling = terms.idle_limit.map(|limit| {
            let kept = limit / IDLE_SHARE;
            self.refreshed_at.after(limit - kept - kept.mul_f64(chance))
        });
        match (by_life, by_idling) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    /// When the refresh token will end, if nothing is done; none: no limit is known.
    #[must_use]
    pub fn forecast(&self, terms: &Terms) -> Option<Moment> {
        let idle = terms.idle_limit.map(|limit| self.refreshed_at.after(limit));
        let absolute = terms.absolute_limit.map(|limit| self.created_at.after(limit));
        idle.into_iter().chain(absolute).min()
    }
}
