//! Which event is sent next: the oldest that is due, of each thing one at a time, and none while the receiver is down.
//!
//! The hard problem: a receiver that is down must not be asked by ten thousand events each by itself, one event that it
//! will never take must not stand before all others, and yet what happened to one connection must be told in its order.
//! The answer: each event has its own growing pause, the receiver as a whole has one too, and an event waits for the older
//! ones of its own subject alone.
//!
//! Never reads a clock, and never draws a number: both are arguments.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

/// The first pause of an event; each further one is four times as long.
const FIRST: Duration = Duration::from_secs(1);
/// The longest pause of an event.
const LONGEST: Duration = Duration::from_secs(3600);
/// The longest pause of the receiver as a whole.
const LONGEST_OUTAGE: Duration = Duration::from_secs(60);
/// What a receiver asks for with `Retry-After` is heeded up to this.
const LONGEST_WISH: Duration = Duration::from_secs(3600);
/// To a receiver that is well, so many events are on their way at once.
const AT_ONCE: usize = 4;

/// An event that waits, told from others by the sequence under which it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting<K> {
    /// Where it is kept.
    pub key: K,
    /// How often it was sent in vain in this life.
    pub failures: u32,
    /// What came of the last time.
    pub last: Option<String>,
    /// Not before.
    pub due_at: Duration,
    is_out: bool,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next<K> {
    /// Send this one; it is out until it is settled or has failed.
    Send(u64, K),
    /// Nothing before this span is over; none: before there is news.
    Wait(Option<Duration>),
}

/// Why an event was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The receiver is well and does not want this one.
    Refused,
    /// The receiver is not well; when it wishes to be asked again.
    Down(Option<Duration>),
}

/// The events that wait, oldest first.
#[derive(Debug, Clone)]
pub struct Queue<K> {
    waiting: BTreeMap<u64, Waiting<K>>,
    outage: u32,
    silent_until: Duration,
}

impl<K> Default for Queue<K> {
    fn default() -> Self {
        Self { waiting: BTreeMap::new(), outage: 0, silent_until: Duration::ZERO }
    }
}

impl<K: Copy> Queue<K> {
    /// One more, due at once.
    pub fn add(&mut self, sequence: u64, key: K) {
        let new = Waiting { key, failures: 0, last: None, due_at: Duration::ZERO, is_out: false };
        self.waiting.entry(sequence).or_insert(new);
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Those that wait, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &Waiting<K>)> {
        self.waiting.iter().map(|(sequence, waiting)| (*sequence, waiting))
    }

    /// The oldest that is not on its way, taken off.
    pub fn drop_oldest(&mut self) -> Option<(u64, Waiting<K>)> {
        let oldest =
            self.waiting.iter().find(|(_, waiting)| !waiting.is_out).map(|(sequence, _)| *sequence)?;
        self.waiting.remove(&oldest).map(|waiting| (oldest, waiting))
    }

    /// Puts one back that was taken off.
    pub fn put_back(&mut self, sequence: u64, waiting: Waiting<K>) {
        self.waiting.insert(sequence, waiting);
    }

    /// What is to be sent now. `subject` tells what an event is about.
    pub fn next<S: std::hash::Hash + Eq>(&mut self, now: Duration, subject: impl Fn(&K) -> S) -> Next<K> {
        let out = self.waiting.values().filter(|waiting| waiting.is_out).count();
        // One at a time is enough to find out that it is back.
        if out >= if self.outage > 0 { 1 } else { AT_ONCE } {
            return Next::Wait(None);
        }
        if now < self.silent_until {
            return Next::Wait(Some(self.silent_until - now));
        }
        let (mut seen, mut soonest) = (HashSet::new(), None::<Duration>);
        for (sequence, waiting) in &mut self.waiting {
            if !seen.insert(subject(&waiting.key)) || waiting.is_out {
                continue;
            }
            if waiting.due_at <= now {
                waiting.is_out = true;
                return Next::Send(*sequence, waiting.key);
            }
            soonest = Some(soonest.map_or(waiting.due_at, |soonest| soonest.min(waiting.due_at)));
        }
        Next::Wait(soonest.map(|due_at| due_at - now))
    }

    /// It was taken, or given up.
    pub fn settled(&mut self, sequence: u64) {
        self.waiting.remove(&sequence);
    }

    /// The receiver is well.
    pub fn receiver_is_well(&mut self) {
        self.outage = 0;
        self.silent_until = Duration::ZERO;
    }

    /// It was not taken. `chance` is from 0 to 1. Gives the pause of this event.
    pub fn failed(
        &mut self,
        sequence: u64,
        now: Duration,
        trouble: Trouble,
        why: String,
        chance: f64,
    ) -> Duration {
        if let Trouble::Down(wish) = trouble {
            self.outage = self.outage.saturating_add(1);
            let pause =
                grown(FIRST, 2, self.outage, LONGEST_OUTAGE).max(wish.unwrap_or_default().min(LONGEST_WISH));
            self.silent_until = now + spread(pause, chance);
        }
        let Some(waiting) = self.waiting.get_mut(&sequence) else { return Duration::ZERO };
        waiting.failures = waiting.failures.saturating_add(1);
        waiting.last = Some(why);
        waiting.is_out = false;
        let pause = spread(grown(FIRST, 4, waiting.failures, LONGEST), chance);
        waiting.due_at = now + pause;
        pause
    }

    /// All are due: the receiver, or the way to it, is another one.
    pub fn begin_anew(&mut self) {
        self.receiver_is_well();
        for waiting in self.waiting.values_mut() {
            waiting.due_at = Duration::ZERO;
        }
    }
}

/// The span after so many failures, from 1.
fn grown(first: Duration, factor: u32, failures: u32, longest: Duration) -> Duration {
    let times = factor.checked_pow(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    first.saturating_mul(times).min(longest)
}

/// Up to half of it on top.
fn spread(span: Duration, chance: f64) -> Duration {
    span + span.mul_f64(chance.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Keys are `(subject, number)`.
    fn queue(keys: &[(u8, u8)]) -> Queue<(u8, u8)> {
        let mut queue = Queue::default();
        for (sequence, key) in (1..).zip(keys) {
            queue.add(sequence, *key);
        }
        queue
    }

    fn next(queue: &mut Queue<(u8, u8)>, now: Duration) -> Next<(u8, u8)> {
        queue.next(now, |key| key.0)
    }

    #[test]
    fn of_one_thing_the_older_is_told_first_and_others_do_not_wait_for_it() {
        let mut queue = queue(&[(1, 0), (1, 1), (2, 0)]);
        assert_eq!(next(&mut queue, SECOND), Next::Send(1, (1, 0)));
        assert_eq!(next(&mut queue, SECOND), Next::Send(3, (2, 0)));
        assert_eq!(next(&mut queue, SECOND), Next::Wait(None));
        let pause = queue.failed(1, SECOND, Trouble::Refused, "status 400".into(), 0.0);
        assert_eq!(pause, SECOND);
        assert_eq!(next(&mut queue, SECOND), Next::Wait(Some(SECOND)), "not the younger one");
        queue.settled(3);
        assert_eq!(next(&mut queue, 2 * SECOND), Next::Send(1, (1, 0)));
        queue.settled(1);
        assert_eq!(next(&mut queue, 2 * SECOND), Next::Send(2, (1, 1)));
    }

    #[test]
    fn a_receiver_that_is_down_is_asked_by_one_at_growing_pauses() {
        let mut queue = queue(&[(1, 0), (2, 0), (3, 0)]);
        let (mut now, mut asked) = (Duration::ZERO, 0);
        while now < Duration::from_secs(3600) {
            match next(&mut queue, now) {
                Next::Send(sequence, _) => {
                    asked += 1;
                    assert_eq!(
                        next(&mut queue, now),
                        if asked == 1 { Next::Send(2, (2, 0)) } else { Next::Wait(None) }
                    );
                    if asked == 1 {
                        queue.failed(2, now, Trouble::Down(None), String::new(), 0.0);
                    }
                    queue.failed(sequence, now, Trouble::Down(None), String::new(), 0.0);
                }
                Next::Wait(Some(span)) => now += span,
                Next::Wait(None) => unreachable!("nothing is out"),
            }
        }
        assert!((12..40).contains(&asked), "{asked} in an hour");
        queue.begin_anew();
        assert!(matches!(next(&mut queue, now), Next::Send(1, _)));
    }

    #[test]
    fn one_that_is_never_taken_does_not_stop_the_others() {
        let mut queue = queue(&[(1, 0)]);
        let (mut now, mut refused) = (Duration::ZERO, 0);
        for sequence in 2..1000 {
            queue.add(sequence, (2, 0));
            while let Next::Send(out, _) = next(&mut queue, now) {
                if out == 1 {
                    refused += 1;
                    queue.failed(1, now, Trouble::Refused, String::new(), 0.5);
                } else {
                    queue.receiver_is_well();
                    queue.settled(out);
                }
            }
            assert_eq!(queue.len(), 1);
            now += Duration::from_secs(60);
        }
        assert!((15..25).contains(&refused), "{refused} in 16 hours");
    }

    #[test]
    fn what_the_receiver_wishes_is_heeded_within_bounds() {
        let mut queue = queue(&[(1, 0)]);
        for (wish, wait) in [(90, 90), (0, 2), (1_000_000, 3600)] {
            let now = Duration::from_secs(100_000);
            queue.waiting.values_mut().for_each(|waiting| waiting.due_at = Duration::ZERO);
            queue.failed(1, now, Trouble::Down(Some(Duration::from_secs(wish))), String::new(), 0.0);
            queue.waiting.values_mut().for_each(|waiting| waiting.due_at = Duration::ZERO);
            assert_eq!(next(&mut queue, now), Next::Wait(Some(Duration::from_secs(wait))));
        }
    }

    #[test]
    fn the_oldest_goes_first_and_never_one_that_is_on_its_way() {
        let mut queue = queue(&[(1, 0), (2, 0)]);
        assert_eq!(next(&mut queue, SECOND), Next::Send(1, (1, 0)));
        let (sequence, waiting) = queue.drop_oldest().expect("one");
        assert_eq!(sequence, 2);
        assert!(queue.drop_oldest().is_none());
        queue.put_back(sequence, waiting);
        assert_eq!(queue.len(), 2);
    }
}
