//! How long sets are kept: until nobody can want a second of them any more.
//!
//! A set reaches from its beginning to that of the next one. It goes when that is older than what is kept.
//!
//! Never the newest that is whole, and never one that is being written.

use std::time::Duration;

use tokenkeep_client::moment::Moment;

/// What is known of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) name: String,
    /// When it was begun; none where it has no first part, and so is no set yet, or no more.
    pub(super) begun_at: Option<Moment>,
}

/// Those that go, oldest first. `sets` are in the order of their names, which is that of their beginnings; `current` is
/// being written.
pub(super) fn too_old(sets: &[Known], current: &str, keep: Duration, now: Moment) -> Vec<String> {
    let horizon = now.unix().saturating_sub(keep.as_secs());
    let newest_whole = sets.iter().rposition(|set| set.begun_at.is_some());
    let ends = |at: usize| sets[at + 1..].iter().find_map(|set| set.begun_at);
    let goes = |at: usize, set: &Known| match set.begun_at {
        Some(_) => Some(at) != newest_whole && ends(at).is_some_and(|end| end.unix() < horizon),
        // What a daemon left half done, and what was half removed: the next whole one is its successor.
        None => newest_whole.is_some_and(|newest| at < newest),
    };
    let gone = sets.iter().enumerate().filter(|(at, set)| set.name != current && goes(*at, set));
    gone.map(|(_, set)| set.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, begun_at: Option<u64>) -> Known {
        Known { name: name.into(), begun_at: begun_at.map(|at| Moment::from_unix(at).unwrap()) }
    }

    fn gone(sets: &[Known], now: u64) -> Vec<String> {
        too_old(sets, "current", Duration::from_secs(100), Moment::from_unix(now).unwrap())
    }

    #[test]
    fn a_set_goes_when_its_last_second_is_too_old() {
        let sets = [set("a", Some(0)), set("b", Some(60)), set("c", Some(120))];
        assert!(gone(&sets, 160).is_empty());
        assert_eq!(gone(&sets, 161), ["a"]);
        assert_eq!(gone(&sets, 1_000_000), ["a", "b"]);
    }

    #[test]
    fn the_last_whole_one_stays_whatever_comes() {
        assert!(gone(&[set("a", Some(0))], 1_000_000).is_empty());
        let sets = [set("a", Some(0)), set("half", None)];
        assert!(gone(&sets, 1_000_000).is_empty());
        assert!(gone(&[set("current", Some(0)), set("z", Some(1))], 1_000_000).is_empty());
    }

    #[test]
    fn what_was_left_half_done_goes_once_there_is_a_whole_one_after_it() {
        let sets = [set("half", None), set("b", Some(10)), set("later", None)];
        assert_eq!(gone(&sets, 20), ["half"]);
    }
}
