//! Refreshing ahead of time: who is due is looked at, and refreshed if it is so.
//!
//! The hard problem: what was true when a connection was put into the queue may not be true when it is due, and what
//! fails must neither be forgotten nor tried again at once. The answer: the queue only says when to look; the record
//! says what is due; every flight that ends without a token set puts its connection back, at the moment that its outcome
//! asks for; and where a provider refuses our client, its whole lane waits for the brake.
//!
//! Never sends anything that a read would not have sent.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokenkeep_client::ids::ProviderId;
use tokenkeep_client::moment::Moment;
use tokio::sync::Notify;

use super::gate::BRAKED;
use super::queue::{Blind, Pace, Queue, Taken};
use super::{Connection, Engine, Refresh, Settings};
use crate::domain::refresh::schedule::{Limits, OVERDUE_SPREAD, Standing, Timing, Use, chance};
use crate::domain::refresh::{Custody, Terms};
use crate::vault::Vault;
use crate::vault::custody::Surveyed;
use crate::vault::refusal::Refusal;
use crate::vault::tokens::Wanted;

/// The queue is looked at so often at least: a machine that slept wakes up late.
const LONGEST_NAP: Duration = Duration::from_secs(5);
/// What fails for no fault of the provider's is tried again after this.
const LATER: Duration = Duration::from_secs(60);
/// A record that does not open is looked at again after this.
const MUCH_LATER: Duration = Duration::from_secs(3600);
/// The brake is asked again after this at the latest where it does not say.
const HELD: Duration = Duration::from_secs(1);

/// What is to be done ahead of time.
pub(super) struct Ahead {
    queue: Mutex<Queue>,
    /// Something has changed in it that may be due before what was waited for.
    stir: Notify,
    timing: Timing,
    started_at: Moment,
}

impl Ahead {
    pub(super) fn new(settings: &Settings, started_at: Moment) -> Self {
        let pace = Pace { places: (settings.concurrency / 2).max(1), rate: settings.rate };
        Self { queue: Mutex::new(Queue::new(pace)), stir: Notify::new(), timing: settings.timing, started_at }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing is under way, nor about to be. If it is about to be, that is not waited for.
    #[cfg(test)]
    pub(super) fn is_idle(&self, now: Duration) -> bool {
        self.stir.notify_one();
        let queue = self.queue();
        queue.taken() == 0 && queue.next_at().is_none_or(|at| at > now)
    }

    fn put(&self, provider: &ProviderId, blind: &Blind, at: Moment) {
        self.queue().put(provider, blind, at.unix());
        self.stir.notify_one();
    }
}

impl Refresh {
    /// Refreshes ahead of time, for as long as it is let.
    pub async fn work_ahead(self) {
        let mut edition = None;
        loop {
            let Some(vault) = self.0.vault.upgrade() else { return };
            let standing = vault.edition();
            if edition.replace(standing).is_some_and(|before| before != standing) {
                // Other rules: other moments, and what a provider was held for may be mended.
                self.0.ahead.queue().release();
                let again = self.clone();
                tokio::spawn(async move { again.recover().await });
            }
            let now = vault.since_epoch();
            drop(vault);
            loop {
                let Some(taken) = self.0.ahead.queue().take(now) else { break };
                let visitor = Visitor { refresh: self.clone(), provider: taken.provider.clone() };
                tokio::spawn(async move { visitor.visit(&taken).await });
            }
            let next = self.0.ahead.queue().next_at();
            let nap = next.map_or(LONGEST_NAP, |at| at.saturating_sub(now).min(LONGEST_NAP));
            tokio::select! {
                () = tokio::time::sleep(nap.max(Duration::from_millis(1))) => {}
                () = self.0.ahead.stir.notified() => {}
            }
        }
    }

    /// The time is another: each connection is given its moment anew, and what is overdue by it is spread.
    pub async fn requeue(&self) {
        self.0.ahead.queue().clear();
        self.recover().await;
    }
}

/// Has a place in a lane, and gives it back however it ends.
struct Visitor {
    refresh: Refresh,
    provider: ProviderId,
}

impl Visitor {
    async fn visit(&self, taken: &Taken) {
        let engine = &self.refresh.0;
        let Some(vault) = engine.vault.upgrade() else { return };
        let now = vault.moment();
        let found = match vault.survey_at(&taken.blind) {
            Ok(Some(found)) => found,
            // Deleted, or without a refresh token by now.
            Ok(None) => return,
            Err(_) => return engine.ahead.put(&taken.provider, &taken.blind, now.after(MUCH_LATER)),
        };
        match engine.due(&vault, &found, now) {
            None => {}
            Some(due) if due > now => engine.ahead.put(&found.id.provider, &found.blind, due),
            Some(_) => {
                drop(vault);
                let wanted = Wanted::OtherThan(found.generation);
                let mut flight = self.refresh.join((found.org, found.id), wanted);
                drop(flight.wait_for(Option::is_some).await);
            }
        }
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        let ahead = &self.refresh.0.ahead;
        ahead.queue().give_back(&self.provider);
        ahead.stir.notify_one();
    }
}

impl Engine {
    /// Puts a connection where it belongs in the queue. What is overdue is spread: nobody is waiting for it.
    pub(super) fn schedule(&self, found: &Surveyed) {
        let Some(vault) = self.vault.upgrade() else { return };
        let now = vault.moment();
        let Some(due) = self.due(&vault, found, now) else { return };
        let at = match found.custody {
            Custody::Settled if due <= now => {
                // A draw of its own: that of its place in the jitter has been used.
                let spread = OVERDUE_SPREAD.mul_f64(chance(seed(found), found.generation + 1));
                now.after(spread)
            }
            // A leeway runs.
            _ => due,
        };
        self.ahead.put(&found.id.provider, &found.blind, at);
    }

    /// A flight has ended without a token set.
    pub(super) fn put_off(&self, (org, id): &Connection, refusal: &Refusal) {
        let Some(vault) = self.vault.upgrade() else { return };
        let now = vault.since_epoch();
        let wait = refusal.retry_after.map(Duration::from_secs);
        let is_braked = refusal.reason == Some(BRAKED);
        if is_braked {
            self.ahead.queue().hold(&id.provider, now + wait.unwrap_or(HELD));
        }
        let Ok(Some(found)) = vault.survey_of(org, id) else { return };
        let now = vault.moment();
        let Some(due) = self.due(&vault, &found, now) else { return };
        // Where the brake is on, it is the lane that waits.
        let later = if is_braked { now } else { now.after(wait.unwrap_or(LATER)) };
        self.ahead.put(&id.provider, &found.blind, if due <= now { later } else { due });
    }

    fn due(&self, vault: &Vault, found: &Surveyed, now: Moment) -> Option<Moment> {
        let provider = vault.client_of(&found.id.provider)?;
        let client = provider.client.as_ref()?;
        if found.is_held {
            // Nothing is sent before somebody has released it; then it is found here.
            return Some(now.after(MUCH_LATER.mul_f64(1.0 + chance(seed(found), found.generation))));
        }
        let timing = &self.ahead.timing;
        let in_use =
            Use::of(found.created_at, found.life, found.read_by, self.ahead.started_at, timing.unread, now);
        let standing = Standing {
            custody: &found.custody,
            life: found.life,
            chance: chance(seed(found), found.generation),
        };
        standing.due(&Terms::of(client), &Limits::of(client), timing, in_use, now)
    }
}

/// Bits of its own that are as good as random.
fn seed(found: &Surveyed) -> [u8; 4] {
    let [.., a, b, c, d] = found.blind;
    [a, b, c, d]
}
