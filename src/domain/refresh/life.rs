//! How much of its life an access token must still have to be good enough.
//!
//! The hard problem: a provider whose tokens live for a minute would be asked at each read by a caller that wishes for two,
//! and one that kills the old token at a refresh must not be asked early at all (GitHub). The answer: the wish is met as
//! far as the provider's way lets it be.
//!
//! Never reads the clock.

use std::time::Duration;

use tokenkeep_client::moment::Moment;

use super::Terms;

/// What is known of a token set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// When this token set came.
    pub refreshed_at: Moment,
    /// The end of the access token, where it is known.
    pub expires_at: Option<Moment>,
}

impl Life {
    /// How long the access token was to live when it came.
    pub(super) fn span(&self) -> Option<Duration> {
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
}
