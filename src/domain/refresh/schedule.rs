//! When a token set is renewed before anybody asks, and when a connection will end whatever is done.
//!
//! The hard problem: too early kills access tokens in use (GitHub) and wastes calls, too late is an outage, all at once is
//! a storm, and a connection that nobody reads any more must neither be asked for every hour nor die of neglect. The
//! answer: a token that is in use is renewed shortly before its end, or at its end where the provider's rule is so; one
//! that nobody reads only often enough that its refresh token does not end; and each has its own place in the jitter,
//! which it keeps, so that looking twice finds the same moment.
//!
//! Never reads the clock; randomness is an argument.

use std::time::Duration;

use tokenkeep_client::moment::Moment;

use super::life::Life;
use super::{Custody, Holder, Move, Terms};
use crate::domain::provider::OAuthClient;

/// A token that lives shorter is renewed when it is read: ahead of time it would be asked for all the time.
const SHORTEST_LIFE: Duration = Duration::from_secs(10);
/// Of the life of an access token, being early takes this part at the most, so that short ones are not renewed at once.
const EARLY_SHARE: u32 = 4;
/// Likewise the jitter.
const JITTER_SHARE: u32 = 10;
/// Of an idle limit, the last this-many-th is left for what goes wrong.
const IDLE_RESERVE: u32 = 4;
/// What is overdue when it is found (after a start, or a long pause) is spread over this.
pub const OVERDUE_SPREAD: Duration = Duration::from_secs(600);

/// How far ahead of time connections are refreshed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// So long before the end of an access token; none: when it is read.
    pub early: Option<Duration>,
    /// Up to so much earlier still.
    pub jitter: Duration,
    /// A refresh token goes unused for so long at the most; none: as far as the provider's own limit lets it.
    pub keep_alive: Option<Duration>,
    /// A connection that was not read for so long is only kept alive.
    pub unread: Duration,
}

impl Default for Timing {
    /// A read wishes for a minute of life: five before the end is well before any read would wait. Three days
    /// without a read outlast a weekend. And what nobody reads is proved to live once a month.
    fn default() -> Self {
        Self {
            early: Some(Duration::from_secs(300)),
            jitter: Duration::from_secs(300),
            keep_alive: Some(Duration::from_secs(30 * 86_400)),
            unread: Duration::from_secs(3 * 86_400),
        }
    }
}

/// When a provider ends refresh tokens by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// After so long without a refresh.
    pub idle: Option<Duration>,
    /// So long after the consent.
    pub absolute: Option<Duration>,
}

impl Limits {
    /// Those of a provider, as it is configured.
    #[must_use]
    pub fn of(client: &OAuthClient) -> Self {
        Self { idle: client.idle_limit, absolute: client.absolute_limit }
    }
}

/// A connection, as far as its next refresh depends on it.
#[derive(Debug, Clone, Copy)]
pub struct Standing<'a> {
    /// What is known of the exchange of its refresh token.
    pub custody: &'a Custody,
    /// When its token set came and ends.
    pub life: Life,
    /// Its place in the jitter, from 0 to 1: another for each token set, the same for as long as that one stands.
    pub chance: f64,
}

/// Whether an access token is still read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// It is.
    Read,
    /// Not for longer than [`Timing::unread`].
    Unread,
}

impl Use {
    /// What is known of it: a read at `read_at` at the latest, and nothing from before `started_at`. A token that still
    /// lived then was in use as far as anybody knows.
    #[must_use]
    pub fn of(
        created_at: Moment,
        life: Life,
        read_at: Option<Moment>,
        started_at: Moment,
        unread: Duration,
        now: Moment,
    ) -> Self {
        let before = life.expires_at.map_or(started_at, |ends| ends.min(started_at));
        let last = read_at.unwrap_or(before).max(before).max(created_at);
        if last.after(unread) > now { Self::Read } else { Self::Unread }
    }
}

impl Standing<'_> {
    /// When its refresh token is to be sent, if nobody asks sooner; none: never by itself. That there is a refresh token
    /// is the caller's to know.
    #[must_use]
    pub fn due(
        &self,
        terms: &Terms,
        limits: &Limits,
        timing: &Timing,
        in_use: Use,
        now: Moment,
    ) -> Option<Moment> {
        match self.custody.next(terms, now, self.life.expires_at, Holder::Gone) {
            Move::GiveUp { .. } | Move::NeedsReauth { .. } => None,
            Move::UnderWay => None,
            Move::Wait { until, .. } => until,
            Move::Send(_) if *self.custody != Custody::Settled => Some(now),
            Move::Send(_) => {
                let by_life = if in_use == Use::Read { self.by_life(terms, timing) } else { None };
                let by_idling = self.by_idling(terms, limits, timing);
                by_life.into_iter().chain(by_idling).min()
            }
        }
    }

    fn by_life(&self, terms: &Terms, timing: &Timing) -> Option<Moment> {
        let (early, ends) = (timing.early?, self.life.expires_at?);
        let span = self.life.span()?;
        if span < SHORTEST_LIFE {
            return None;
        }
        let jitter = timing.jitter.min(span / JITTER_SHARE).mul_f64(self.chance.clamp(0.0, 1.0));
        if terms.kills_access_token {
            // A little after its end: spread, for many came at once.
            return Some(ends.after(jitter));
        }
        let ahead = early.min(span / EARLY_SHARE) + jitter;
        Some(self.life.refreshed_at.after(span.saturating_sub(ahead)))
    }

    /// Before a limit on idling, whoever sets it.
    fn by_idling(&self, terms: &Terms, limits: &Limits, timing: &Timing) -> Option<Moment> {
        let own = limits.idle.map(|limit| limit - limit / IDLE_RESERVE);
        let most = own.into_iter().chain(timing.keep_alive).min()?;
        // A quarter of it is the spread: consents come in waves, on the day of a launch.
        let at = self.life.refreshed_at.after(most - (most / 4).mul_f64(self.chance.clamp(0.0, 1.0)));
        let ends = self.life.expires_at.filter(|_| terms.kills_access_token);
        Some(ends.map_or(at, |ends| at.max(ends)))
    }
}

/// Why a connection will end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The provider ends what was consented to so long ago.
    AbsoluteLimit,
    /// It was not refreshed for almost as long as the provider lets it be, and should have been.
    IdleLimit,
    /// The access token ends, and there is no refresh token.
    NoRefreshToken,
}

impl Ending {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AbsoluteLimit => "absolute_limit",
            Self::IdleLimit => "idle_limit",
            Self::NoRefreshToken => "no_refresh_token",
        }
    }
}

/// When a connection whose owner consented at `consented_at` will end, and why; none: no end is known. An idle limit
/// counts once keeping alive has failed: as long as it does not, that limit is never reached.
#[must_use]
pub fn forecast(
    consented_at: Moment,
    life: Life,
    limits: &Limits,
    has_refresh_token: bool,
    now: Moment,
) -> Option<(Moment, Ending)> {
    if !has_refresh_token {
        return life.expires_at.map(|ends| (ends, Ending::NoRefreshToken));
    }
    let absolute = limits.absolute.map(|limit| (consented_at.after(limit), Ending::AbsoluteLimit));
    let failing = |limit: &Duration| now >= life.refreshed_at.after(*limit - *limit / (2 * IDLE_RESERVE));
    let idle = limits.idle.filter(failing).map(|limit| (life.refreshed_at.after(limit), Ending::IdleLimit));
    absolute.into_iter().chain(idle).min_by_key(|(at, _)| *at)
}

/// The place in the jitter of a token set, from 0 to 1: made of bits that are as good as random, and of its generation.
#[must_use]
pub fn chance(seed: [u8; 4], generation: u64) -> f64 {
    // Multiplied by 2^64 over the golden ratio, and the high bits taken: generations that follow each other fall far apart.
    let mixed = (u64::from(u32::from_be_bytes(seed)) + generation).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 32) as f64 / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::Reason;
    use super::*;

    const HOUR: u64 = 3600;
    const DAY: u64 = 86_400;
    const LENIENT: Terms = Terms {
        rotates: true,
        leeway: Duration::ZERO,
        reuse_revokes_family: true,
        kills_access_token: false,
    };
    const KILLS: Terms = Terms { kills_access_token: true, ..LENIENT };

    fn at(seconds: u64) -> Moment {
        Moment::from_unix(1_800_000_000 + seconds).expect("in range")
    }

    fn days(days: u64) -> Option<Duration> {
        Some(Duration::from_secs(days * DAY))
    }

    fn due(life: u64, chance: f64, terms: &Terms, limits: &Limits, in_use: Use) -> Option<u64> {
        due_of(&Custody::Settled, life, chance, terms, limits, in_use)
    }

    fn due_of(
        custody: &Custody,
        life: u64,
        chance: f64,
        terms: &Terms,
        limits: &Limits,
        in_use: Use,
    ) -> Option<u64> {
        let life = Life { refreshed_at: at(0), expires_at: Some(at(life)) };
        let standing = Standing { custody, life, chance };
        standing.due(terms, limits, &Timing::default(), in_use, at(1)).map(|due| due.unix() - at(0).unix())
    }

    #[test]
    fn a_token_in_use_is_renewed_shortly_before_its_end() {
        let limits = Limits::default();
        let soon = |life, chance| due(life, chance, &LENIENT, &limits, Use::Read);
        assert_eq!((soon(HOUR, 0.0), soon(HOUR, 1.0)), (Some(3300), Some(3000)));
        assert_eq!((soon(600, 0.0), soon(600, 1.0)), (Some(450), Some(390)), "a share of a short life");
        let month = Some(30 * DAY);
        assert_eq!(soon(9, 0.0), month, "one that lives for seconds is renewed when it is read");
    }

    #[test]
    fn a_provider_that_kills_the_old_token_is_not_asked_before_its_end() {
        for chance in [0.0, 0.3, 1.0] {
            let found = due(8 * HOUR, chance, &KILLS, &Limits::default(), Use::Read).expect("due");
            assert!((8 * HOUR..=8 * HOUR + 300).contains(&found), "{found}");
            // Nor to keep it alive, where a token outlives a limit on idling.
            let idle = Limits { idle: days(1), absolute: None };
            assert!(due(2 * DAY, chance, &KILLS, &idle, Use::Unread).expect("due") >= 2 * DAY);
        }
    }

    #[test]
    fn what_nobody_reads_is_kept_alive_and_no_more() {
        let kept = |limits: &Limits, chance| due(HOUR, chance, &LENIENT, limits, Use::Unread);
        let none = Limits::default();
        assert_eq!((kept(&none, 0.0), kept(&none, 1.0)), (Some(30 * DAY), Some(30 * DAY * 3 / 4)));
        let idle = Limits { idle: days(10), absolute: None };
        assert_eq!(kept(&idle, 0.0), Some(10 * DAY * 3 / 4), "the provider's own limit comes first");
        let off = Timing { keep_alive: None, ..Timing::default() };
        let life = Life { refreshed_at: at(0), expires_at: Some(at(HOUR)) };
        let standing = Standing { custody: &Custody::Settled, life, chance: 0.5 };
        assert_eq!(standing.due(&LENIENT, &none, &off, Use::Unread, at(1)), None);
        assert!(standing.due(&LENIENT, &idle, &off, Use::Unread, at(1)).is_some());
    }

    #[test]
    fn reading_makes_the_difference_and_a_start_forgets_nothing_that_lived() {
        let life = |ends| Life { refreshed_at: at(0), expires_at: Some(at(ends)) };
        let of = |ends, read, started, now| {
            let read = Option::<u64>::map(read, at);
            Use::of(at(0), life(ends), read, at(started), Duration::from_secs(3 * DAY), at(now))
        };
        assert_eq!(of(HOUR, None, 0, 2 * DAY), Use::Read, "it was only made");
        assert_eq!(of(HOUR, None, 0, 3 * DAY + HOUR), Use::Unread);
        assert_eq!(of(HOUR, Some(3 * DAY), 0, 4 * DAY), Use::Read);
        assert_eq!(of(HOUR, Some(DAY), 0, 9 * DAY), Use::Unread);
        assert_eq!(of(9 * DAY, None, 9 * DAY - 1, 10 * DAY), Use::Read, "it lived when the daemon started");
        assert_eq!(of(HOUR, None, 9 * DAY, 9 * DAY + 1), Use::Unread, "it had ended long before");
    }

    #[test]
    fn what_is_dead_is_not_asked_for_and_what_is_open_is_recovered_when_it_may_be() {
        let none = Limits::default();
        let dead = Custody::NeedsReauth { reason: Reason::InvalidGrant, since: at(0) };
        assert_eq!(due_of(&dead, HOUR, 0.5, &LENIENT, &none, Use::Read), None);
        let open = |probed| Custody::OutcomeUnknown { since: at(0), probed };
        assert_eq!(due_of(&open(false), HOUR, 0.5, &LENIENT, &none, Use::Unread), Some(HOUR));
        let harmless = Terms { reuse_revokes_family: false, ..LENIENT };
        assert_eq!(due_of(&open(false), HOUR, 0.5, &harmless, &none, Use::Unread), Some(1));
        let life = Life { refreshed_at: at(0), expires_at: Some(at(1)) };
        let spent = Standing { custody: &open(true), life, chance: 0.5 };
        assert_eq!(spent.due(&LENIENT, &none, &Timing::default(), Use::Read, at(HOUR)), None);
    }

    #[test]
    fn the_end_that_comes_first_is_forecast() {
        let life = Life { refreshed_at: at(0), expires_at: Some(at(HOUR)) };
        let limits = Limits { idle: days(10), absolute: days(365) };
        let found = |now| forecast(at(0), life, &limits, true, at(now));
        assert_eq!(found(0), Some((at(365 * DAY), Ending::AbsoluteLimit)));
        assert_eq!(found(9 * DAY), Some((at(10 * DAY), Ending::IdleLimit)), "keeping it alive has failed");
        assert_eq!(forecast(at(0), life, &Limits::default(), true, at(0)), None);
        let bare = forecast(at(0), life, &limits, false, at(0));
        assert_eq!(bare, Some((at(HOUR), Ending::NoRefreshToken)));
    }

    #[test]
    fn chances_are_spread_and_stand() {
        let chances: Vec<f64> = (0..1000).map(|generation| chance([7; 4], generation)).collect();
        for tenth in 0..10 {
            let low = f64::from(tenth) / 10.0;
            let there = chances.iter().filter(|chance| (low..low + 0.1).contains(*chance)).count();
            assert!((80..=120).contains(&there), "{tenth}: {there}");
        }
        assert!((chances[3] - chance([7; 4], 3)).abs() < f64::EPSILON);
    }
}
