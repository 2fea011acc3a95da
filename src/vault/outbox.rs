//! The outbox: events that somebody is still to be told of, as durable as the changes that they tell of.
//!
//! The hard problem: a change that is kept and an event that is lost are a connection that is dead and nobody knows. The
//! answer: an event is a record, written in the same commit as the change; it goes when it was delivered, and what is
//! found at a start is delivered then. Its sequence is that of its commit in the journal, so it never repeats, grows, and
//! is the one that the audit log names too.
//!
//! The outbox is bounded. Beyond its bound the oldest event gives way, and that is said in the log and counted.
//!
//! Never a token and never a secret: an event is sealed for the names in it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokenkeep_client::ids::ProviderId;
use tokio::sync::Notify;

use super::Vault;
use super::ask::Ask;
use super::door::Became;
use super::place::{Field, OrgBlind, Table, subject_of_event, vault_event_key};
use super::record::RecordView;
use super::refusal::Refusal;
use super::request_id::RequestIds;
use crate::crypto::{hex, random};
use crate::domain::action::Action;
use crate::domain::event::queue::{Next, Queue, Trouble, Waiting};
use crate::domain::event::{Event, Kind};
use crate::metrics::Delivery;
use crate::store::{Batch, Change, Key, Record};

/// How many events wait at the most, where nothing else is configured.
pub const USUAL_BOUND: usize = 10_000;

/// Records looked at in one go.
const PAGE: usize = 1024;

/// What waits, and what was told.
pub(super) struct Outbox {
    pub(super) is_open: AtomicBool,
    pub(super) bound: AtomicUsize,
    queue: Mutex<Queue<Key>>,
    braked: Mutex<BTreeSet<ProviderId>>,
    pub(super) news: Notify,
}

/// An event as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Grows from event to event; has gaps.
    pub sequence: u64,
    /// The same however often it is sent.
    pub id: String,
    /// What it says.
    pub event: Event,
    /// The same in JSON.
    pub body: Vec<u8>,
    key: Key,
}

/// An event that waits, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// As it will be sent.
    pub outgoing: Outgoing,
    /// How often it was sent in vain since the daemon started.
    pub failures: u32,
    /// What came of the last time.
    pub last: Option<String>,
    /// How long until it is sent, if nothing else stands in its way.
    pub due_in: Duration,
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(flatten)]
    event: &'a Event,
    sequence: u64,
    vault_id: String,
    environment: &'a str,
}

impl Outbox {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            is_open: AtomicBool::new(false),
            bound: AtomicUsize::new(USUAL_BOUND),
            queue: Mutex::default(),
            braked: Mutex::default(),
            news: Notify::new(),
        })
    }

    pub(super) fn queue(&self) -> MutexGuard<'_, Queue<Key>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn braked(&self) -> MutexGuard<'_, BTreeSet<ProviderId>> {
        self.braked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Vault {
    /// Events are kept from now on: somebody is to be told, of so many at once at the most.
    pub fn keep_events(&self, bound: usize) {
        self.outbox.bound.store(bound, Ordering::Relaxed);
        self.outbox.is_open.store(true, Ordering::Relaxed);
        self.outbox.queue().begin_anew();
        self.outbox.news.notify_one();
    }

    /// Nobody is to be told: events are kept no more. Those that wait stay.
    pub fn keep_no_events(&self) {
        self.outbox.is_open.store(false, Ordering::Relaxed);
    }

    /// How many events wait.
    #[must_use]
    pub fn events_waiting(&self) -> usize {
        self.outbox.queue().len()
    }

    /// Takes up what a life before left behind.
    pub(super) fn load_outbox(&self) -> Result<(), Refusal> {
        let mut after = None;
        loop {
            let records = self.store.scan(&[Table::Event as u8], after.as_ref(), PAGE)?;
            let mut queue = self.outbox.queue();
            records.iter().for_each(|(key, record)| queue.add(sequence_of(record), *key));
            drop(queue);
            let Some((last, _)) = records.last() else { break };
            after = Some(*last);
        }
        for (key, record) in self.store.scan(&[Table::Alarm as u8], None, PAGE)? {
            let opened = self.open_section(&self.system_key, &key, &record.value, Field::Alarm)?;
            let provider =
                std::str::from_utf8(opened.expose()).ok().and_then(|id| ProviderId::parse(id).ok());
            self.outbox.braked().extend(provider);
        }
        Ok(())
    }

    /// The providers whose brake is on.
    #[must_use]
    pub fn braked(&self) -> Vec<ProviderId> {
        self.outbox.braked().iter().cloned().collect()
    }

    /// What is to be sent now; it is on its way then, until it is delivered, given up or has failed.
    #[must_use]
    pub fn next_event(&self) -> Next<Key> {
        self.outbox.queue().next(self.uptime(), subject_of_event)
    }

    /// Waits until there may be another one.
    pub async fn event_news(&self) {
        self.outbox.news.notified().await;
    }

    /// The event under this key; none where it is gone, with its org.
    ///
    /// # Errors
    /// `integrity`; the store cannot be read.
    pub fn outgoing(&self, sequence: u64, key: Key) -> Result<Option<Outgoing>, Refusal> {
        let Some(record) = self.store.read(&key)? else { return Ok(None) };
        let blind = OrgBlind::of_record(&key);
        let opened = if blind == OrgBlind::NOBODY {
            self.open_section(&self.system_key, &key, &record.value, Field::Event)?
        } else {
            let org = self.org_in_passing(blind)?;
            self.open_section(&*org, &key, &record.value, Field::Event)?
        };
        let unread = |_| Refusal::integrity("event", &"it is not what was written");
        let event: Event = serde_json::from_slice(opened.expose()).map_err(unread)?;
        let body = self.body_of(&event, sequence)?;
        let id = format!("evt_{}", hex::encode(&key.0[17..]));
        Ok(Some(Outgoing { sequence, id, event, body, key }))
    }

    /// An event that stands nowhere, asked for by an admin.
    ///
    /// # Errors
    /// None that JSON gives.
    pub fn test_event(&self) -> Result<Outgoing, Refusal> {
        let (event, key) = (Event::new(Kind::Test, self.now()), vault_event_key(random::bytes()));
        let body = self.body_of(&event, 0)?;
        let id = format!("evt_{}", hex::encode(&random::bytes::<16>()));
        Ok(Outgoing { sequence: 0, id, event, body, key })
    }

    fn body_of(&self, event: &Event, sequence: u64) -> Result<Vec<u8>, Refusal> {
        let header = self.header();
        let environment = header.environment();
        let body = Body { event, sequence, vault_id: hex::encode(&self.vault_id), environment };
        serde_json::to_vec(&body).map_err(|why| Refusal::integrity("event", &why))
    }

    /// It was delivered.
    pub async fn event_delivered(&self, outgoing: &Outgoing) {
        self.meters.delivery(Delivery::Delivered);
        self.outbox.queue().receiver_is_well();
        self.end_event(outgoing, Became::because("ok", outgoing.event.kind.as_str())).await;
    }

    /// It was not delivered, and is not tried again.
    pub async fn event_given_up(&self, outgoing: &Outgoing) {
        self.meters.delivery(Delivery::Dropped);
        let (kind, sequence) = (outgoing.event.kind.as_str(), outgoing.sequence);
        tracing::error!(
            kind,
            sequence,
            "nobody could be told of an event, and it is too old now: it was dropped"
        );
        self.end_event(outgoing, Became::because("abandoned", "too_old")).await;
    }

    /// It was not delivered, and is tried again after the span that this gives.
    pub fn event_failed(&self, sequence: u64, trouble: Trouble, why: String, chance: f64) -> Duration {
        self.meters.delivery(Delivery::Failed);
        self.outbox.queue().failed(sequence, self.uptime(), trouble, why, chance)
    }

    /// It cannot be opened, or is gone.
    pub fn event_lost(&self, sequence: u64) {
        self.meters.delivery(Delivery::Dropped);
        self.outbox.queue().settled(sequence);
    }

    /// Takes it off the list. Where that cannot be kept, it is sent once more after the next start.
    async fn end_event(&self, outgoing: &Outgoing, became: Became) {
        let (task, request) = (self.task("alerts"), RequestIds::new().next());
        let mut ask = Ask::new(&request, Action::AlertDeliver).on(&outgoing.id);
        ask.org = outgoing.event.data.org.as_ref();
        let ended = async {
            // Not `admit_change`: to take a record away makes room.
            let permit = self.admit(&task, ask)?;
            let batch = Batch {
                preconditions: Vec::new(),
                changes: vec![Change::Delete(outgoing.key)],
                note: self.note(&permit),
            };
            match self.commit(batch).await {
                Ok(mark) => permit.settle_step(became, outgoing.event.data.generation, Some(mark)).await,
                Err(why) => permit.settle(Err(why.into()), |()| None).await,
            }
        };
        if let Err(refusal) = ended.await {
            let code = refusal.code.as_str();
            tracing::warn!(
                code,
                "that an event was delivered could not be kept: it is sent again after a start"
            );
        }
        self.outbox.queue().settled(outgoing.sequence);
        self.outbox.news.notify_one();
    }

    /// Those that wait, oldest first, at most so many.
    ///
    /// # Errors
    /// The store cannot be read. One that does not open is left out, and logged.
    pub fn pending_events(&self, most: usize) -> Result<Vec<Pending>, Refusal> {
        let now = self.uptime();
        let waiting: Vec<(u64, Waiting<Key>)> = {
            let queue = self.outbox.queue();
            queue.iter().take(most).map(|(sequence, waiting)| (sequence, waiting.clone())).collect()
        };
        let pending = waiting.into_iter().filter_map(|(sequence, waiting)| {
            let outgoing = self.outgoing(sequence, waiting.key).ok()??;
            let due_in = waiting.due_at.saturating_sub(now);
            Some(Pending { outgoing, failures: waiting.failures, last: waiting.last, due_in })
        });
        Ok(pending.collect())
    }
}

/// The sequence of an event: that of the commit that brought it, which one that was sealed anew since says as its generation.
pub(super) fn sequence_of(record: &Record) -> u64 {
    let generation = RecordView::parse(&record.value).map_or(1, |view| view.generation());
    if generation > 1 { generation } else { record.revision }
}
