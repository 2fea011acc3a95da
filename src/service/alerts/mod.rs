//! Alerts: what the outbox holds is brought to the webhook, and an admin sees how that goes.
//!
//! The hard problem: the receiver is down exactly when there is something to say. The answer: an event leaves the outbox
//! only when the receiver has taken it, whatever happens in between; the receiver tells repeats apart by their id.
//!
//! Never an event in whose way stands another thing's.

mod delivery;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokenkeep_client::problem::Code;
use tokenkeep_client::wire::{AlertOut, AlertTestOut, AlertsOut};
use tokio::task::JoinSet;

pub use delivery::{UnsignedError, examine};

use crate::crypto::random;
use crate::domain::action::Action;
use crate::domain::event::queue::{Next, Trouble};
use crate::domain::event::webhook::Webhook;
use crate::net::outbound::Door;
use crate::store::Key;
use crate::vault::Vault;
use crate::vault::ask::Ask;
use crate::vault::caller::Caller;
use crate::vault::outbox::{Outgoing, Pending};
use crate::vault::refusal::Refusal;
use crate::vault::request_id::RequestId;
use delivery::Delivered;

/// How many that wait are shown.
const SHOWN: usize = 200;

/// Tells of events.
pub struct Alerts {
    vault: Arc<Vault>,
    door: Door,
    webhook: RwLock<Option<Arc<Webhook>>>,
}

impl Alerts {
    /// Over this vault, by this way out. Nobody is told before [`Alerts::tell_to`].
    #[must_use]
    pub fn new(vault: Arc<Vault>, door: Door) -> Arc<Self> {
        Arc::new(Self { vault, door, webhook: RwLock::default() })
    }

    /// Tells this one from now on, of so many events that wait at the most; none: nobody.
    pub fn tell_to(&self, webhook: Option<Webhook>, bound: usize) {
        let is_somebody = webhook.is_some();
        *self.webhook.write().unwrap_or_else(PoisonError::into_inner) = webhook.map(Arc::new);
        if is_somebody {
            self.vault.keep_events(bound);
        } else {
            self.vault.keep_no_events();
        }
    }

    fn webhook(&self) -> Option<Arc<Webhook>> {
        self.webhook.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Delivers for as long as the daemon runs.
    pub async fn run(self: Arc<Self>) {
        let mut out = JoinSet::new();
        loop {
            let wait = match self.webhook() {
                None => None,
                Some(webhook) => match self.vault.next_event() {
                    Next::Send(sequence, key) => {
                        let alerts = Arc::clone(&self);
                        out.spawn(async move { alerts.deliver(&webhook, sequence, key).await });
                        continue;
                    }
                    Next::Wait(wait) => wait,
                },
            };
            tokio::select! {
                () = self.vault.event_news() => {}
                () = pause(wait) => {}
                Some(_) = out.join_next() => {}
            }
        }
    }

    async fn deliver(&self, webhook: &Arc<Webhook>, sequence: u64, key: Key) {
        let outgoing = match self.vault.outgoing(sequence, key) {
            Ok(Some(outgoing)) => outgoing,
            Err(refusal) if refusal.code == Code::NotReady => {
                self.failed(sequence, "unread", Trouble::Down(None), refusal.code.as_str().to_owned());
                return;
            }
            // Gone, with its org or by itself, or damaged: said where it was opened.
            Ok(None) | Err(_) => return self.vault.event_lost(sequence),
        };
        let delivered = self.send(webhook, &outgoing).await;
        if delivered.is_success() {
            return self.vault.event_delivered(&outgoing).await;
        }
        if outgoing.event.is_too_old(self.vault.moment()) {
            return self.vault.event_given_up(&outgoing).await;
        }
        self.failed(sequence, outgoing.event.kind.as_str(), delivered.trouble(), delivered.to_string());
    }

    fn failed(&self, sequence: u64, kind: &str, trouble: Trouble, why: String) {
        let chance = f64::from(u32::from_be_bytes(random::bytes())) / f64::from(u32::MAX);
        let pause = self.vault.event_failed(sequence, trouble, why.clone(), chance);
        tracing::warn!(kind, sequence, why, again_in = pause.as_secs(), "an event was not delivered");
    }

    async fn send(&self, webhook: &Arc<Webhook>, outgoing: &Outgoing) -> Delivered {
        let (door, webhook) = (self.door.clone(), Arc::clone(webhook));
        let (id, body, now) = (outgoing.id.clone(), outgoing.body.clone(), self.vault.moment());
        let sent = tokio::task::spawn_blocking(move || delivery::send(&door, &webhook, &id, now, body));
        sent.await.unwrap_or(Delivered::Unended)
    }

    /// What waits, and what came of it so far.
    ///
    /// # Errors
    /// The door's; the store cannot be read.
    pub async fn list(&self, caller: &Caller, request: RequestId) -> Result<AlertsOut, Refusal> {
        let permit = self.vault.admit(caller, Ask::new(&request, Action::AlertRead))?;
        let listed = self.vault.pending_events(SHOWN).map(|pending| AlertsOut {
            webhook: self.webhook().map(|webhook| webhook.address.host().to_string()),
            waiting: self.vault.events_waiting() as u64,
            items: pending.into_iter().map(shown).collect(),
        });
        permit.settle(listed, |_| None).await
    }

    /// Sends an event that tells nothing, now, and says what came back.
    ///
    /// # Errors
    /// The door's; `not_found` where there is no webhook. What does not work is a result, not an error.
    pub async fn test(&self, caller: &Caller, request: RequestId) -> Result<AlertTestOut, Refusal> {
        let permit = self.vault.admit(caller, Ask::new(&request, Action::AlertTest))?;
        let tested = match self.webhook() {
            None => Err(Refusal::new(Code::NotFound, "no webhook is configured; add one to [alerts]")),
            Some(webhook) => match self.vault.test_event() {
                Ok(outgoing) => {
                    let delivered = self.send(&webhook, &outgoing).await;
                    Ok(AlertTestOut {
                        id: outgoing.id,
                        delivered: delivered.is_success(),
                        status: delivered.status(),
                        detail: delivered.to_string(),
                    })
                }
                Err(refusal) => Err(refusal),
            },
        };
        permit.settle(tested, |_| None).await
    }
}

fn shown(pending: Pending) -> AlertOut {
    let Pending { outgoing, failures, last, due_in } = pending;
    let data = outgoing.event.data;
    AlertOut {
        id: outgoing.id,
        sequence: outgoing.sequence,
        kind: outgoing.event.kind.as_str().to_owned(),
        timestamp: outgoing.event.at,
        org: data.org,
        provider: data.provider,
        name: data.name,
        failures,
        last_failure: last,
        next_in: due_in.as_secs(),
    }
}

/// For this span; none: for ever.
async fn pause(span: Option<Duration>) {
    match span {
        Some(span) => tokio::time::sleep(span).await,
        None => std::future::pending().await,
    }
}
