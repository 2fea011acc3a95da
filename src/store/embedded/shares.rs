//! Who may take how much of the disk, so that all of it stays within three times the live data (docs/storage.md, "Room").
//!
//! The hard problem: two snapshots are two thirds of that, and what sled takes for the index nobody can foresee. The answer: the
//! journal gets what is left, looked at anew whenever a snapshot is due or begun.
//!
//! Never counts the journal that waits for a backup, nor the segment in use and the one prepared.

/// Of the live data, what the journal may come to while the next snapshot is made, in per cent; and what the index takes. With both, and two
/// snapshots, a fifth of the live data is left to the segment in use and the one prepared, and to what is not removed yet because it was just
/// written.
const JOURNAL: u64 = 40;
const INDEX: u64 = 26;

/// About how long a snapshot of so many records would be, by one of `bytes` bytes that holds `then` records.
pub(crate) fn live(bytes: u64, then: u64, now: u64) -> u64 {
    let live = u128::from(bytes) * u128::from(now) / u128::from(then.max(1));
    u64::try_from(live).unwrap_or(u64::MAX)
}

/// What may be added to so much journal beside so much live data, where the next snapshot is made from one of so many bytes. What there is
/// more of data since then has its room already. sled's file may take more than its part: that comes off the journal's.
pub(crate) fn left_to_journal(live: u64, base: u64, kept: u64, index: u64) -> u64 {
    let part = |per_cent: u64| live / 100 * per_cent;
    let (grown, beyond) = (live.saturating_sub(base), index.saturating_sub(part(INDEX)));
    (part(JOURNAL) + grown).saturating_sub(beyond).saturating_sub(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_index_takes_beyond_its_part_comes_off_the_journal() {
        let live = 1000 << 20;
        let left = |kept: u64, index: u64| left_to_journal(live, live, kept << 20, index << 20) >> 20;
        assert_eq!(left(0, 0), left(0, 259));
        assert!((398..=400).contains(&left(0, 259)), "{}", left(0, 259));
        assert!((297..=300).contains(&left(0, 360)), "{}", left(0, 360));
        assert!((97..=100).contains(&left(200, 360)), "{}", left(200, 360));
        assert_eq!((left(400, 0), left(0, 700)), (0, 0));
        let grown = left_to_journal(live, live / 2, 0, 0) >> 20;
        assert!((898..=900).contains(&grown), "{grown}");
    }

    #[test]
    fn who_has_twice_as_many_records_has_twice_the_live_data() {
        assert_eq!((live(3000, 10, 20), live(3000, 10, 5), live(3000, 0, 7)), (6000, 1500, 21_000));
    }
}
