//! The brake of a client id: where a provider refuses *us*, every further request does harm and none can succeed.
//!
//! The hard problem: a wrong client secret looks, connection by connection, like a thousand revoked connections, and a
//! wrong client id more so: then a provider may say of each token that it is not ours. The answer: it is one fault, of
//! ours. The first word that our client is refused stops all exchanges of that client; so does one refusal after the
//! other without a success between them, and a share of failures that no single connection explains. One connection
//! at a time is let through at growing spans until one succeeds.
//!
//! Never marks a connection, and has none marked while it is on for refusals.

use std::time::Duration;

/// The first span between two trials.
const FIRST: Duration = Duration::from_secs(60);
/// The longest.
const LONGEST: Duration = Duration::from_secs(900);
/// What was heard longer ago says nothing of now.
const WINDOW: Duration = Duration::from_secs(600);
/// So many refusals without a success between them are not of so many owners.
pub const REFUSALS: usize = 5;
/// Of the last 32 exchanges, so many failures are the provider's, or the network's.
const FAILURES: u32 = 29;
/// Whoever was told of it a day ago and left it so has no wrong client: then a trial that is refused was refused.
const BELIEVED_AFTER: Duration = Duration::from_secs(86_400);

/// The brake of one client id. Times are spans since a moment of the caller's, on a clock that does not jump.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Brake {
    state: State,
    /// Refusals since the last success.
    refusals: usize,
    refused_at: Duration,
    /// How the last exchanges ended, the newest in the lowest bit; set: it failed.
    ended: u32,
    counted: u32,
    ended_at: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// All may pass.
    #[default]
    Off,
    /// Nobody may, but one at `trial_at`.
    On {
        cause: Cause,
        since: Duration,
        /// When the next may.
        trial_at: Duration,
        /// How long after that the one after it may.
        span: Duration,
    },
}

/// Why the brake is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The provider refuses our client, in so many words.
    Client,
    /// Almost nothing is answered as it should be.
    Failures,
    /// It refuses one refresh token after the other.
    Refusals,
}

impl Cause {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client_refused",
            Self::Failures => "failures",
            Self::Refusals => "refusals",
        }
    }
}

/// Whether an exchange may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Pass {
    /// It may.
    Go,
    /// It may not; nor may any other for so long.
    Stop(Duration, Cause),
    /// It may, alone: it is the trial.
    Trial,
}

/// What an exchange says of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// The provider refuses our client.
    ClientRefused,
    /// It did not do what it should, or nothing came.
    Failed,
    /// It refuses a token that may have been spent: our own doing.
    SpentRefused,
    /// It refuses a token that was never sent before.
    TokenRefused,
    /// A token set came.
    Tokens,
}

/// What follows from a sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Verdict {
    /// What has changed, to be told once.
    pub news: Option<News>,
    /// Whether a refusal is of the connection, and marks it. If not, it is as if nothing had been asked.
    pub is_believed: bool,
}

/// A change of the brake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// It is off again.
    Off,
    /// It is on, and was not.
    On(Cause),
}

impl Brake {
    /// Asks to begin an exchange. A trial that is let through is the only one until its span is over.
    pub fn ask(&mut self, now: Duration) -> Pass {
        match &mut self.state {
            State::Off => Pass::Go,
            State::On { trial_at, cause, .. } if now < *trial_at => Pass::Stop(*trial_at - now, *cause),
            State::On { trial_at, span, .. } => {
                *span = span.saturating_mul(2).min(LONGEST);
                *trial_at = now + *span;
                Pass::Trial
            }
        }
    }

    /// Takes note of how an exchange ended.
    pub fn heard(&mut self, sign: Sign, now: Duration) -> Verdict {
        let is_believed = self.believes(sign, now);
        let news = match sign {
            Sign::Tokens => self.release(),
            Sign::ClientRefused => self.put_on(Cause::Client, now),
            Sign::Failed if self.count(true, now) => self.put_on(Cause::Failures, now),
            Sign::TokenRefused if !is_believed => self.put_on(Cause::Refusals, now),
            // It takes our client, and it answers.
            Sign::SpentRefused | Sign::TokenRefused if self.cause() != Some(Cause::Refusals) => {
                self.count(false, now);
                self.lift()
            }
            Sign::Failed | Sign::SpentRefused | Sign::TokenRefused => None,
        };
        Verdict { news, is_believed }
    }

    /// Why it is on; none: it is off.
    #[must_use]
    pub fn cause(&self) -> Option<Cause> {
        match self.state {
            State::Off => None,
            State::On { cause, .. } => Some(cause),
        }
    }

    fn believes(&mut self, sign: Sign, now: Duration) -> bool {
        if sign != Sign::TokenRefused {
            return true;
        }
        if now.saturating_sub(self.refused_at) > WINDOW && self.state == State::Off {
            self.refusals = 0;
        }
        (self.refusals, self.refused_at) = (self.refusals + 1, now);
        match self.state {
            State::On { cause: Cause::Refusals, since, .. } => now.saturating_sub(since) >= BELIEVED_AFTER,
            State::Off | State::On { .. } => self.refusals < REFUSALS,
        }
    }

    /// Whether almost all of the last ones have failed.
    fn count(&mut self, failed: bool, now: Duration) -> bool {
        if now.saturating_sub(self.ended_at) > WINDOW {
            self.counted = 0;
        }
        self.ended = self.ended << 1 | u32::from(failed);
        (self.counted, self.ended_at) = ((self.counted + 1).min(u32::BITS), now);
        self.counted == u32::BITS && self.ended.count_ones() >= FAILURES
    }

    fn put_on(&mut self, cause: Cause, now: Duration) -> Option<News> {
        if self.state != State::Off {
            return None;
        }
        self.state = State::On { cause, since: now, trial_at: now + FIRST, span: FIRST };
        Some(News::On(cause))
    }

    fn release(&mut self) -> Option<News> {
        self.count(false, self.ended_at);
        self.refusals = 0;
        self.lift()
    }

    fn lift(&mut self) -> Option<News> {
        let was = std::mem::take(&mut self.state);
        if was == State::Off {
            return None;
        }
        self.counted = 0;
        Some(News::Off)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_thousand_connections_with_one_broken_secret_cost_few_calls() {
        let (mut brake, mut calls, mut alerts) = (Brake::default(), 0, 0);
        for second in 0..600 {
            for _ in 0..1000 {
                if !matches!(brake.ask(at(second)), Pass::Stop(..)) {
                    calls += 1;
                    let verdict = brake.heard(Sign::ClientRefused, at(second));
                    alerts += u32::from(verdict.news == Some(News::On(Cause::Client)));
                }
            }
        }
        assert_eq!((calls, alerts), (4, 1), "at 0, 60, 180 and 420 seconds");
        assert_eq!(brake.heard(Sign::Tokens, at(600)).news, Some(News::Off));
        assert_eq!(brake.ask(at(600)), Pass::Go);
    }

    #[test]
    fn one_refusal_after_the_other_is_not_believed_for_long() {
        let mut brake = Brake::default();
        let refuse = |brake: &mut Brake, second| brake.heard(Sign::TokenRefused, at(second));
        for second in 1..REFUSALS as u64 {
            assert_eq!(refuse(&mut brake, second), Verdict { news: None, is_believed: true });
        }
        let verdict = refuse(&mut brake, 9);
        assert_eq!(verdict, Verdict { news: Some(News::On(Cause::Refusals)), is_believed: false });
        assert!(matches!(brake.ask(at(10)), Pass::Stop(..)));
        assert_eq!(brake.ask(at(69)), Pass::Trial);
        assert_eq!(refuse(&mut brake, 70), Verdict { news: None, is_believed: false }, "and stays on");
        assert!(brake.heard(Sign::TokenRefused, at(9 + 86_400)).is_believed, "nobody has mended it in a day");
        assert_eq!(brake.heard(Sign::Tokens, at(90_000)).news, Some(News::Off));
        assert!(refuse(&mut brake, 90_001).is_believed);
    }

    #[test]
    fn refusals_among_successes_are_of_their_owners() {
        let mut brake = Brake::default();
        for second in 0..1000 {
            let sign = if second % 4 == 3 { Sign::Tokens } else { Sign::TokenRefused };
            assert_eq!(brake.heard(sign, at(second)), Verdict { news: None, is_believed: true });
        }
        let mut seldom = Brake::default();
        for day in 1..100 {
            assert!(seldom.heard(Sign::TokenRefused, at(day * 86_400)).is_believed);
        }
        let mut spent = Brake::default();
        assert!((0..100).all(|second| spent.heard(Sign::SpentRefused, at(second)).news.is_none()));
    }

    #[test]
    fn a_sudden_share_of_failures_puts_it_on_and_an_answer_takes_it_off() {
        let mut brake = Brake::default();
        let found = (0..100).find(|second| {
            let sign = if second % 16 == 0 { Sign::Tokens } else { Sign::Failed };
            brake.heard(sign, at(*second)).news == Some(News::On(Cause::Failures))
        });
        assert_eq!(found, Some(31), "30 of 32");
        assert_eq!(brake.ask(at(100)), Pass::Trial);
        assert_eq!(
            brake.heard(Sign::TokenRefused, at(101)),
            Verdict { news: Some(News::Off), is_believed: true }
        );
        let mut half = Brake::default();
        let signs = [Sign::Failed, Sign::Failed, Sign::Failed, Sign::Tokens];
        assert!((0..1000).all(|second| half.heard(signs[second % 4], at(second as u64)).news.is_none()));
    }
}
