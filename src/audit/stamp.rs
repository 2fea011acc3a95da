//! Moments of the log: RFC 3339 in UTC to the microsecond, and days.
//!
//! The hard problem: a calendar date for each entry costs more than its escaping. The answer: the second is
//! formatted once and kept; only the six digits of the microseconds change.
//!
//! Never reads the clock.

use std::fmt;
use std::io::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Length of `2026-11-21T18:00:00.000000Z`.
pub(super) const STAMP_LENGTH: usize = 27;

/// The last second that RFC 3339 can write (year 9999).
const LAST_SECOND: u64 = 253_402_300_799;

const DAY_SECONDS: u64 = 86_400;

/// Microseconds since 1970; before counts as 1970, after the year 9999 as its end.
pub(super) fn micros(at: SystemTime) -> u64 {
    let most = LAST_SECOND * 1_000_000 + 999_999;
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    u64::try_from(since).unwrap_or(most).min(most)
}

/// The moment that many microseconds after 1970.
pub(super) fn moment(micros: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(micros)
}

/// Parses what [`Stamp`] writes, and nothing else.
pub(super) fn parse(text: &str) -> Option<u64> {
    if text.len() != STAMP_LENGTH || text.as_bytes().get(10) != Some(&b'T') {
        return None;
    }
    humantime::parse_rfc3339(text).ok().map(micros)
}

/// Formats moments, cheaply where they lie in the same second.
#[derive(Debug, Clone)]
pub(super) struct Stamp {
    second: u64,
    text: [u8; STAMP_LENGTH],
}

impl Stamp {
    pub(super) fn new() -> Self {
        Self { second: 0, text: *b"1970-01-01T00:00:00.000000Z" }
    }

    /// The text of a moment given in microseconds.
    pub(super) fn format(&mut self, micros: u64) -> &[u8; STAMP_LENGTH] {
        let second = (micros / 1_000_000).min(LAST_SECOND);
        if second != self.second {
            let at = UNIX_EPOCH + Duration::from_secs(second);
            let mut room = &mut self.text[..19];
            // Fails only where the text is longer than 19 bytes: it never is up to the year 9999, and its
            // `Z` falls off the end.
            let _cut = write!(room, "{}", humantime::format_rfc3339_seconds(at));
            self.second = second;
        }
        let mut rest = micros % 1_000_000;
        for digit in self.text[20..26].iter_mut().rev() {
            // A remainder of ten fits a byte.
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        &self.text
    }
}

/// A UTC day, counted from 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Day(u64);

impl Day {
    /// The day of a moment given in microseconds.
    pub(super) fn of(micros: u64) -> Self {
        Self(micros / 1_000_000 / DAY_SECONDS)
    }

    /// The day before; 1970-01-01 has none and stays.
    pub(super) fn before(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// Parses `2026-11-21`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.len() != 10 {
            return None;
        }
        let at = humantime::parse_rfc3339(&format!("{text}T00:00:00Z")).ok()?;
        let day = Self::of(micros(at));
        (day.to_string() == text).then_some(day)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let second = self.0.saturating_mul(DAY_SECONDS).min(LAST_SECOND);
        let text = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(second)).to_string();
        f.write_str(text.get(..10).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_agrees_with_humantime_in_and_across_seconds() {
        let mut stamp = Stamp::new();
        let last = LAST_SECOND * 1_000_000 + 999_999;
        for at in [
            0,
            1,
            999_999,
            1_000_000,
            1_795_287_600_123_456,
            1_795_287_600_999_999,
            1_795_287_601_000_000,
            last,
        ] {
            let text = String::from_utf8(stamp.format(at).to_vec()).unwrap();
            assert_eq!(text, humantime::format_rfc3339_micros(moment(at)).to_string());
            assert_eq!(parse(&text), Some(at));
        }
        assert_eq!(micros(moment(last) + Duration::from_secs(9)), last);
        assert_eq!(parse("2026-11-21 18:00:00.000000Z"), None);
    }

    #[test]
    fn a_day_is_written_as_it_is_read() {
        let day = Day::parse("2028-02-29").unwrap();
        assert_eq!(day.to_string(), "2028-02-29");
        assert_eq!(day.before().to_string(), "2028-02-28");
        assert_eq!(Day::parse("2027-02-29"), None);
        assert_eq!(Day::parse("2027-2-009"), None);
    }
}
