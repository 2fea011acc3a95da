//! The boot lease is renewed while the store changes: a task that does nothing else.
//!
//! A copy of the files that is put back is noticed if the lease was renewed since it was made; so it is renewed soon
//! after each change, and not where there was none.
//!
//! Never ends by itself.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::vault::Vault;

/// A small file, written and synced: nothing beside what a busy store writes, and a minute is less than anybody needs to
/// copy a store and put it back.
const TURN: Duration = Duration::from_secs(60);

/// Renews it, again and again.
pub async fn keep(vault: Arc<Vault>) {
    let mut turns = interval(TURN);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        let vault = Arc::clone(&vault);
        // It waits for the disk.
        drop(tokio::task::spawn_blocking(move || vault.renew_lease()).await);
    }
}
