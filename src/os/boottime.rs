//! The time since the machine started, its sleep included (clock_gettime(2), CLOCK_BOOTTIME): nobody sets it.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Since the machine started.
#[must_use]
pub fn since_boot() -> Duration {
    // It cannot fail: the clock is there since Linux 2.6.39, and the place is a good one.
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from)
}
