//! `[refresh]`: how far ahead of time, how many at once, how fast.
//!
//! Never anything of one provider: that stands with the provider.

use std::time::Duration;

use toml::Spanned;

use super::super::{ConfigError, written};
use super::{Reading, Text};
use crate::domain::rate::Rate;
use crate::domain::refresh::schedule::Timing;
use crate::service::refresh::Settings;

const DAY: u64 = 24 * 3600;

/// Each is a thread while it lasts, and of those there are 32: half, so that no provider has them all.
const MOST_AT_ONCE: usize = 16;

impl Reading<'_> {
    pub(super) fn refresh(&self, written: &written::Refresh) -> Result<Settings, ConfigError> {
        let usual = Settings::default();
        let timing = usual.timing;
        Ok(Settings {
            timing: Timing {
                early: self.span_or_none(written.early.as_ref(), timing.early, 1..=DAY)?,
                jitter: self.span_within(written.jitter.as_ref(), timing.jitter, 0..=DAY)?,
                keep_alive: self.span_or_none(
                    written.keep_alive.as_ref(),
                    timing.keep_alive,
                    3600..=365 * DAY,
                )?,
                unread: self.span_within(written.unread.as_ref(), timing.unread, 3600..=365 * DAY)?,
            },
            concurrency: self.count_within(written.concurrency.as_ref(), usual.concurrency, MOST_AT_ONCE)?,
            rate: self.rate_of_refreshes(written.rate.as_ref(), usual.rate)?,
        })
    }

    fn span_or_none(
        &self,
        written: Option<&Text>,
        usual: Option<Duration>,
        seconds: std::ops::RangeInclusive<u64>,
    ) -> Result<Option<Duration>, ConfigError> {
        match written {
            None => Ok(usual),
            Some(text) if text.get_ref() == "none" => Ok(None),
            Some(_) => self.span_within(written, Duration::ZERO, seconds).map(Some),
        }
    }

    fn rate_of_refreshes(
        &self,
        written: Option<&Spanned<written::Rate>>,
        usual: Rate,
    ) -> Result<Rate, ConfigError> {
        let Some(rate) = written else { return Ok(usual) };
        let written::Rate { per_second, burst } = rate.get_ref();
        let mend = "use { per_second, burst } with 1 to 1000000 each";
        Rate::new(*per_second, *burst).ok_or_else(|| self.refuse(rate, "not a rate", mend))
    }
}
