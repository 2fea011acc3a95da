//! The time of day is watched: a jump is told, and only one that stands is followed.
//!
//! Never ends by itself.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::{MissedTickBehavior, interval};

use super::refresh::Refresh;
use crate::clock::{SteadyClock, Turn};

/// Watches it, again and again.
pub async fn watch(clock: Arc<SteadyClock>, refresh: Refresh) {
    let mut turns = interval(Duration::from_secs(1));
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        if let Some(turn) = clock.follow(SystemTime::now()) {
            tell(turn);
            if matches!(turn, Turn::Taken(_)) {
                let refresh = refresh.clone();
                tokio::spawn(async move { refresh.requeue().await });
            }
        }
    }
}

fn tell(turn: Turn) {
    match turn {
        Turn::Back => tracing::info!("the clock of this host is back where it was"),
        Turn::Jumped(seconds) => tracing::error!(
            seconds,
            "the clock of this host has jumped: it is not followed for ten minutes, and no token ends for it; look at \
             its time server"
        ),
        Turn::Taken(seconds) => tracing::error!(
            seconds,
            "the clock of this host has stood at its new time for ten minutes, and is followed now; what has ended by \
             it is refreshed little by little"
        ),
    }
}
