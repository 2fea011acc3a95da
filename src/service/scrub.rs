//! The scrub's pace: so many records a second, round and round; a small vault rests between rounds.
//!
//! Never ends by itself, and never hurries.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::vault::Vault;

/// Looks at a tenth of them every tenth of a second: no read waits for more than a few.
const PART: u32 = 10;
/// After a round, and after a look that failed. Damage is a matter of weeks; an idle host is to stay idle.
const REST: Duration = Duration::from_secs(3600);

/// Opens so many records a second, again and again.
pub async fn run(vault: Arc<Vault>, per_second: usize) {
    let parts = u32::try_from(per_second).unwrap_or(PART).clamp(1, PART);
    let mut turns = interval(Duration::from_secs(1) / parts);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut after = None;
    loop {
        turns.tick().await;
        if let Err(refusal) = vault.scrub(&mut after, per_second.div_ceil(parts as usize)) {
            tracing::warn!(code = refusal.code.as_str(), "the scrub could not read the store");
        } else if after.is_some() {
            continue;
        }
        sleep(REST).await;
    }
}
