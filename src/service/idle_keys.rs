//! The keys of orgs that nobody asks for are let go of: a task that does nothing else.
//!
//! Never ends by itself, and touches no key that is in use.

use std::sync::Arc;

use tokio::time::{MissedTickBehavior, interval};

use crate::vault::Vault;

/// Lets go of what is idle, again and again.
pub async fn let_go(vault: Arc<Vault>) {
    let mut turns = interval(vault.idle_turn());
    // After a pause of the whole machine, one turn is as good as many.
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        vault.let_go_of_idle_keys();
    }
}
