//! The one clock. Handed in, so that tests move it.
//!
//! The hard problem: the time of day is set, by people and by programs, and a jump of an hour would end every token that
//! lives for one, all at once. The answer: the daemon counts on from the time at which it started, by a clock that nobody
//! sets, and follows the time of day as long as that goes along. Where it jumps, that is told, and the daemon goes on
//! counting; a new time that has stood for ten minutes is taken.
//!
//! Never jumps with the time of day.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Tells the time.
pub trait Clock: Send + Sync + 'static {
    /// Wall-clock time.
    fn now(&self) -> SystemTime;
}

/// The system's clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// What is further away than this is a jump: time servers correct less, and leap seconds too.
const JUMP: Duration = Duration::from_secs(10);
/// A new time that has stood for so long is the time.
const TAKEN_AFTER: Duration = Duration::from_secs(600);

/// Counts on from the time at which it was made.
pub struct SteadyClock {
    /// Since the machine started, what it slept included; nobody sets it.
    counted: Box<dyn Fn() -> Duration + Send + Sync>,
    /// Microseconds from 1970 to when that was nought.
    origin: AtomicU64,
    jumped: Mutex<Option<Jumped>>,
}

/// A jump that was seen and not taken.
#[derive(Debug, Clone, Copy)]
struct Jumped {
    by: i128,
    seen_at: Duration,
}

/// What became of the time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It is back where it was.
    Back,
    /// It has jumped, by so many seconds, and is not followed yet.
    Jumped(i64),
    /// It has stood for long enough, and is followed now: by so many seconds.
    Taken(i64),
}

impl SteadyClock {
    /// Begins at this time of day.
    #[must_use]
    pub fn new(wall: SystemTime, counted: Box<dyn Fn() -> Duration + Send + Sync>) -> Self {
        let origin = micros(wall.duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(counted()));
        Self { counted, origin: AtomicU64::new(origin), jumped: Mutex::new(None) }
    }

    /// Compares itself with the time of day, and follows it where it may. To be called every second or so.
    pub fn follow(&self, wall: SystemTime) -> Option<Turn> {
        let counted = (self.counted)();
        let wall = micros(wall.duration_since(UNIX_EPOCH).unwrap_or_default());
        let off =
            i128::from(wall) - i128::from(micros(counted)) - i128::from(self.origin.load(Ordering::Relaxed));
        let is_jump = |by: i128| by.unsigned_abs() > JUMP.as_micros();
        let mut jumped = self.jumped.lock().unwrap_or_else(PoisonError::into_inner);
        if !is_jump(off) {
            self.shift(off);
            return jumped.take().map(|_| Turn::Back);
        }
        match *jumped {
            Some(seen) if !is_jump(seen.by - off) => {
                if counted.saturating_sub(seen.seen_at) < TAKEN_AFTER {
                    return None;
                }
                self.shift(off);
                *jumped = None;
                Some(Turn::Taken(seconds(off)))
            }
            _ => {
                *jumped = Some(Jumped { by: off, seen_at: counted });
                Some(Turn::Jumped(seconds(off)))
            }
        }
    }

    fn shift(&self, by: i128) {
        let origin = i128::from(self.origin.load(Ordering::Relaxed)) + by;
        self.origin.store(u64::try_from(origin).unwrap_or(0), Ordering::Relaxed);
    }
}

impl Clock for SteadyClock {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_micros(self.origin.load(Ordering::Relaxed)) + (self.counted)()
    }
}

fn micros(span: Duration) -> u64 {
    span.as_micros().try_into().unwrap_or(u64::MAX)
}

fn seconds(micros: i128) -> i64 {
    i64::try_from(micros / 1_000_000).unwrap_or(i64::MAX)
}

/// A clock that stands until it is moved.
#[derive(Debug)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// Stands at `at`.
    #[must_use]
    pub fn at(at: SystemTime) -> Self {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(AtomicU64::new(micros(since)))
    }

    /// Moves on.
    pub fn advance(&self, span: Duration) {
        self.0.fetch_add(micros(span), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_micros(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const NOON: Duration = Duration::from_secs(1_800_000_000);
    const HOUR: i64 = 3600;

    /// A steady clock beside a time of day that a test sets.
    struct Day {
        passed: Arc<ManualClock>,
        steady: SteadyClock,
        set_by: i64,
    }

    impl Day {
        fn new() -> Self {
            let passed = Arc::new(ManualClock::at(UNIX_EPOCH));
            let counted = Arc::clone(&passed);
            let counted = move || counted.now().duration_since(UNIX_EPOCH).unwrap_or_default();
            Self { passed, steady: SteadyClock::new(UNIX_EPOCH + NOON, Box::new(counted)), set_by: 0 }
        }

        /// A second at a time. Gives what was told, and when.
        fn pass(&mut self, seconds: u64) -> Vec<(u64, Turn)> {
            (0..seconds)
                .filter_map(|second| {
                    self.passed.advance(Duration::from_secs(1));
                    let passed = self.passed.now().duration_since(UNIX_EPOCH).unwrap_or_default();
                    let wall = (UNIX_EPOCH + NOON + passed).checked_add(Duration::ZERO)?;
                    let set = Duration::from_secs(self.set_by.unsigned_abs());
                    let wall = if self.set_by < 0 { wall - set } else { wall + set };
                    self.steady.follow(wall).map(|turn| (second, turn))
                })
                .collect()
        }

        fn ahead(&self) -> i64 {
            let passed = self.passed.now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let shown = self.steady.now().duration_since(UNIX_EPOCH).unwrap_or_default();
            shown.as_secs() as i64 - (NOON + passed).as_secs() as i64
        }
    }

    #[test]
    fn a_jump_is_told_once_and_taken_when_it_has_stood() {
        for by in [HOUR, -HOUR] {
            let mut day = Day::new();
            assert_eq!(day.pass(1000), []);
            day.set_by = by;
            assert_eq!((day.pass(600), day.ahead()), (vec![(0, Turn::Jumped(by))], 0));
            assert_eq!((day.pass(1), day.ahead()), (vec![(0, Turn::Taken(by))], by));
            assert_eq!(day.pass(1000), []);
        }
    }

    #[test]
    fn a_jump_that_is_mended_changes_nothing() {
        let mut day = Day::new();
        day.set_by = HOUR;
        assert_eq!(day.pass(300), [(0, Turn::Jumped(HOUR))]);
        day.set_by = 2 * HOUR;
        assert_eq!(day.pass(599), [(0, Turn::Jumped(2 * HOUR))], "another one begins anew");
        day.set_by = 0;
        assert_eq!((day.pass(100), day.ahead()), (vec![(0, Turn::Back)], 0));
    }

    #[test]
    fn small_corrections_are_followed() {
        let mut day = Day::new();
        day.set_by = 7;
        assert_eq!((day.pass(1), day.ahead()), (vec![], 7));
        day.set_by = -3;
        assert_eq!((day.pass(1), day.ahead()), (vec![], -3));
    }
}
