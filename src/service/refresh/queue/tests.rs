//! The order of the queue, what holds a lane up, and that it holds up no other.

use super::*;

const NOW: Duration = Duration::from_secs(1_800_000_000);

fn queue(places: usize, per_second: u32) -> Queue {
    Queue::new(Pace { places, rate: Rate::new(per_second, 1).expect("a rate") })
}

fn provider(name: &str) -> ProviderId {
    ProviderId::parse(name).expect("valid")
}

fn blind(number: u64) -> Blind {
    let mut blind = [0; 32];
    blind[16..24].copy_from_slice(&number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
    blind
}

/// Due so many seconds from now.
fn put(queue: &mut Queue, name: &str, number: u64, seconds: u64) {
    queue.put(&provider(name), &blind(number), NOW.as_secs() + seconds);
}

fn seconds(seconds: u64) -> Duration {
    NOW + Duration::from_secs(seconds)
}

#[test]
fn what_is_due_first_comes_first_and_nothing_before_its_time() {
    let mut queue = queue(10, 1000);
    put(&mut queue, "one", 1, 30);
    put(&mut queue, "one", 2, 10);
    assert_eq!((queue.take(seconds(9)), queue.next_at()), (None, Some(seconds(10))));
    assert_eq!(queue.take(seconds(31)).map(|taken| taken.blind), Some(blind(2)));
    put(&mut queue, "one", 1, 90);
    assert_eq!(queue.take(seconds(89)), None, "it was put off");
    put(&mut queue, "one", 1, 20);
    assert_eq!(queue.take(seconds(89)).map(|taken| taken.blind), Some(blind(1)));
    assert_eq!((queue.next_at(), queue.is_empty()), (None, true));
}

#[test]
fn a_lane_has_so_many_places_and_each_is_given_back() {
    let mut queue = queue(2, 1000);
    (0..3).for_each(|number| put(&mut queue, "one", number, 0));
    assert!(queue.take(seconds(1)).is_some() && queue.take(seconds(2)).is_some());
    assert_eq!((queue.take(seconds(3)), queue.next_at()), (None, None), "a place is waited for, not a time");
    queue.give_back(&provider("one"));
    assert!(queue.take(seconds(4)).is_some());
}

/// Of 1,000 lanes' worth of trouble in one, the other notices nothing.
#[test]
fn a_provider_that_is_stuck_holds_up_no_other() {
    let mut queue = queue(4, 100);
    (0..1000).for_each(|number| put(&mut queue, "stuck", number, 0));
    (0..50).for_each(|number| put(&mut queue, "quick", number, 0));
    put(&mut queue, "held", 0, 0);
    queue.hold(&provider("held"), seconds(500));
    let (mut stuck, mut quick) = (0, Vec::new());
    for step in 0..100 {
        let now = seconds(0) + Duration::from_millis(100 * step);
        while let Some(taken) = queue.take(now) {
            if taken.provider == provider("quick") {
                quick.push(now - NOW);
                queue.give_back(&taken.provider);
            } else {
                stuck += 1;
            }
        }
    }
    assert_eq!((stuck, quick.len()), (4, 50), "its places are taken, and no more than those");
    assert!(*quick.last().expect("some") < Duration::from_secs(6), "{quick:?}");
    let held = queue.take(seconds(500)).expect("now");
    assert_eq!(held.provider, provider("held"));
}

#[test]
fn a_lane_begins_no_faster_than_its_rate() {
    let mut queue = queue(1000, 5);
    (0..1000).for_each(|number| put(&mut queue, "one", number, 0));
    let mut begun = 0;
    for step in 0..10_000 {
        while queue.take(seconds(0) + Duration::from_millis(step)).is_some() {
            begun += 1;
        }
    }
    assert!((49..=51).contains(&begun), "{begun} in 10 s");
    assert!(queue.next_at().expect("more") <= seconds(0) + Duration::from_millis(10_200));
}
