//! A moment of the contract: RFC 3339 in UTC, to the second.
//!
//! Never reads the clock.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds since 1970-01-01T00:00:00Z; written as RFC 3339 with `Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

/// The last second that RFC 3339 can write (year 9999).
const LAST: u64 = 253_402_300_799;

impl Moment {
    /// A moment from Unix seconds; none after the year 9999.
    #[must_use]
    pub fn from_unix(seconds: u64) -> Option<Self> {
        (seconds <= LAST).then_some(Self(seconds))
    }

    /// Unix seconds.
    #[must_use]
    pub fn unix(self) -> u64 {
        self.0
    }

    /// The moment `span` later; the end of the year 9999 at the latest.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span.as_secs()).min(LAST))
    }

    /// Parses RFC 3339 in UTC (`2026-11-21T18:00:00Z`); a fraction of a second is cut off.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let at = humantime::parse_rfc3339(text).ok()?;
        Self::from_unix(at.duration_since(UNIX_EPOCH).ok()?.as_secs())
    }
}

impl From<SystemTime> for Moment {
    /// Before 1970 counts as 1970.
    fn from(at: SystemTime) -> Self {
        Self(at.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()).min(LAST))
    }
}

impl From<Moment> for SystemTime {
    fn from(at: Moment) -> Self {
        UNIX_EPOCH + Duration::from_secs(at.0)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(self.0)).fmt(f)
    }
}

impl serde::Serialize for Moment {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Moment {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("a moment is RFC 3339 in UTC"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_as_it_is_read() {
        let at = Moment::parse("2026-11-21T18:00:00Z").expect("valid");
        assert_eq!(at.to_string(), "2026-11-21T18:00:00Z");
        assert_eq!(Moment::parse("2026-11-21T18:00:00.900Z"), Some(at));
        assert_eq!(Moment::parse("2026-11-21T18:00:00+01:00"), None);
        assert_eq!(Moment::from_unix(LAST + 1), None);
    }
}
