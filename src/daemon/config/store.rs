//! `[store]`: how the files of the store are kept.
//!
//! Never a setting that could lose a record.

use super::reading::Reading;
use super::{ConfigError, Store, written};
use crate::store::embedded::Sizes;

/// Longer segments are read whole into memory, one at a time.
const LONGEST_SEGMENT: usize = 64;

/// A terabyte of journal.
const LATEST_SNAPSHOT: usize = 1 << 20;

/// Opening a record costs some microseconds: beyond this, the scrub would be what the daemon does.
const FASTEST_SCRUB: usize = 10_000;

impl Default for Store {
    fn default() -> Self {
        // A million records in less than three hours, for a fiftieth of a core at most.
        Self { sizes: Sizes::default(), scrub_per_second: 100 }
    }
}

impl Reading<'_> {
    pub(super) fn store(&self, written: &written::Store) -> Result<Store, ConfigError> {
        let usual = Store::default();
        let mebibytes = |bytes: u64| usize::try_from(bytes >> 20).unwrap_or(usize::MAX);
        let Sizes { segment_bytes, snapshot_after } = usual.sizes;
        let segment =
            self.count_within(written.segment_mib.as_ref(), mebibytes(segment_bytes), LONGEST_SEGMENT)?;
        let after = self.count_within(
            written.snapshot_after_mib.as_ref(),
            mebibytes(snapshot_after),
            LATEST_SNAPSHOT,
        )?;
        let scrub = written.scrub_per_second.as_ref();
        Ok(Store {
            sizes: Sizes { segment_bytes: (segment as u64) << 20, snapshot_after: (after as u64) << 20 },
            scrub_per_second: self.count_within(scrub, usual.scrub_per_second, FASTEST_SCRUB)?,
        })
    }
}
