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
use tokenkeep_client::ids::{ConnectionId, ConnectionName, ProviderId};
use tokenkeep_client::wire::{ConnectionOut, ConnectionState};
use tokio::sync::Notify;

use super::Vault;
use super::ask::Ask;
use super::door::Became;
use super::orgs::Org;
use super::place::{Field, OrgBlind, Table, event_key, org_key, place, subject_of_event, vault_event_key};
use super::record::RecordWriter;
use super::refusal::Refusal;
use super::request_id::RequestIds;
use crate::chain::Mark;
use crate::crypto::seal::seal;
use crate::crypto::{hex, random};
use crate::domain::action::Action;
use crate::domain::event::queue::{Next, Queue, Trouble, Waiting};
use crate::domain::event::{Data, Event, Kind, News, news_of_storing};
use crate::domain::refresh::Custody;
use crate::metrics::Delivery;
use crate::store::{Batch, Change, Key, Record};

/// How many events wait at the most, where nothing else is configured.
pub const USUAL_BOUND: usize = 10_000;

/// Records looked at in one go.
const PAGE: usize = 1024;

/// What waits, and what was told.
pub(super) struct Outbox {
    is_open: AtomicBool,
    bound: AtomicUsize,
    queue: Mutex<Queue<Key>>,
    braked: Mutex<BTreeSet<ProviderId>>,
    news: Notify,
}

/// An event on its way into a commit. What had to give way for it comes back if the commit does not come about.
pub(super) struct Telling {
    outbox: Arc<Outbox>,
    key: Key,
    record: Vec<u8>,
    gave_way: Option<Box<(u64, Waiting<Key>)>>,
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

    fn queue(&self) -> MutexGuard<'_, Queue<Key>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn braked(&self) -> MutexGuard<'_, BTreeSet<ProviderId>> {
        self.braked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Telling {
    /// What it adds to the commit.
    pub(super) fn changes(&mut self) -> impl Iterator<Item = Change> + use<> {
        let gone = self.gave_way.as_ref().map(|gone| Change::Delete(gone.1.key));
        std::iter::once(Change::Put(self.key, std::mem::take(&mut self.record))).chain(gone)
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        if let Some((sequence, waiting)) = self.gave_way.take().map(|gone| *gone) {
            self.outbox.queue().put_back(sequence, waiting);
        }
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
            records.iter().for_each(|(key, record)| queue.add(record.revision, *key));
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

    /// An event to go into the commit of the change that it tells of; none where nobody is to be told.
    pub(super) fn telling(
        &self,
        org: &Org,
        about: &Key,
        id: &ConnectionId,
        generation: u64,
        news: Option<News>,
    ) -> Option<Telling> {
        let news = news?;
        let mut event = Event::of_connection(news.kind, self.now(), &org.id, id, generation);
        event.data.reason = news.reason.map(str::to_owned);
        event.data.since = news.since;
        self.telling_of(Some(org), event_key(about, random::bytes()), &event)
    }

    /// As [`Vault::telling`], for a token set that takes the place of `before`.
    pub(super) fn telling_of_storing(
        &self,
        org: &Org,
        about: &Key,
        id: &ConnectionId,
        before: Option<&Record>,
        out: &ConnectionOut,
    ) -> Result<Option<Telling>, Refusal> {
        let (Some(before), ConnectionState::Active) = (before, out.state) else { return Ok(None) };
        let news = news_of_storing(&self.custody(org, about, before)?, &Custody::Settled);
        Ok(self.telling(org, about, id, out.generation, news))
    }

    fn telling_of(&self, org: Option<&Org>, key: Key, event: &Event) -> Option<Telling> {
        if !self.outbox.is_open.load(Ordering::Relaxed) {
            return None;
        }
        let text = serde_json::to_vec(event).ok()?;
        let sealing = org.map_or(&self.system_key, |org| &org.key);
        let sealed = seal(sealing, &place(self.vault_id, &key, Field::Event), 1, &text);
        let record = RecordWriter::new(1).section(Field::Event, sealing.id(), sealed.as_bytes()).finish();
        let mut queue = self.outbox.queue();
        let is_full = queue.len() >= self.outbox.bound.load(Ordering::Relaxed);
        let gave_way = if is_full { queue.drop_oldest().map(Box::new) } else { None };
        drop(queue);
        Some(Telling { outbox: Arc::clone(&self.outbox), key, record, gave_way })
    }

    /// The commit has come about, there.
    pub(super) fn told(&self, telling: Option<Telling>, at: Mark) {
        let Some(mut telling) = telling else { return };
        if telling.gave_way.take().is_some() {
            self.meters.delivery(Delivery::Dropped);
            tracing::error!(
                "the outbox of alerts is full: its oldest event was dropped; see tokenkeep alert list"
            );
        }
        self.outbox.queue().add(at.sequence, telling.key);
        self.outbox.news.notify_one();
    }

    /// Takes note of an event that belongs to no other change, durably. Whoever tells of something goes on all the same
    /// where that fails: it is said in the log.
    pub async fn tell(&self, event: Event) {
        if let Err(refusal) = self.tell_with(event, Vec::new()).await {
            tracing::error!(
                code = refusal.code.as_str(),
                "an event could not be kept, and nobody will be told of it"
            );
        }
    }

    async fn tell_with(&self, event: Event, more: Vec<Change>) -> Result<(), Refusal> {
        let org = event.data.org.as_ref().map(|org| self.org(org)).transpose()?;
        let Some(telling) = self.telling_of(org.as_deref(), self.key_of(org.as_deref(), &event.data), &event)
        else {
            return Ok(());
        };
        let (task, request) = (self.task("alerts"), RequestIds::new().next());
        let mut ask = Ask::new(&request, Action::AlertTell).on(event.kind.as_str());
        ask.org = event.data.org.as_ref();
        let permit = self.admit_change(&task, ask)?;
        let mut telling = telling;
        let changes = telling.changes().chain(more).collect();
        let batch = Batch { preconditions: Vec::new(), changes, note: self.note(&permit) };
        match self.store.commit(batch).await {
            Ok(mark) => {
                self.told(Some(telling), mark);
                permit.settle_step(Became::plain("ok"), event.data.generation, Some(mark)).await
            }
            Err(why) => permit.settle(Err(why.into()), |()| None).await,
        }
    }

    /// Where an event of its own stands.
    fn key_of(&self, org: Option<&Org>, data: &Data) -> Key {
        let name = random::bytes();
        let connection = data.name.as_deref().and_then(|name| ConnectionName::parse(name).ok());
        match (org, &data.provider, connection) {
            (Some(org), Some(provider), Some(connection)) => {
                let id = ConnectionId { provider: provider.clone(), name: connection };
                event_key(&self.blind.connection(org.blind, &id), name)
            }
            (Some(org), ..) => event_key(&org_key(org.blind), name),
            (None, Some(provider), _) => event_key(&self.blind.alarm(provider), name),
            (None, None, _) => vault_event_key(name),
        }
    }

    /// The brake of a provider is on, for this reason. Told of once, until it is told that it is off.
    pub async fn tell_braked(&self, provider: &ProviderId, reason: &'static str) {
        if !self.outbox.braked().insert(provider.clone()) {
            return;
        }
        let key = self.blind.alarm(provider);
        let sealed = seal(
            &self.system_key,
            &place(self.vault_id, &key, Field::Alarm),
            1,
            provider.as_str().as_bytes(),
        );
        let record =
            RecordWriter::new(1).section(Field::Alarm, self.system_key.id(), sealed.as_bytes()).finish();
        let event = Event::of_provider(Kind::ProviderBraked, self.now(), provider).because(reason);
        self.tell_of_brake(event, Change::Put(key, record)).await;
    }

    /// The brake of a provider is off.
    pub async fn tell_released(&self, provider: &ProviderId) {
        if !self.outbox.braked().remove(provider) {
            return;
        }
        let event = Event::of_provider(Kind::ProviderReleased, self.now(), provider);
        self.tell_of_brake(event, Change::Delete(self.blind.alarm(provider))).await;
    }

    async fn tell_of_brake(&self, event: Event, standing: Change) {
        if let Err(refusal) = self.tell_with(event, vec![standing]).await {
            let code = refusal.code.as_str();
            tracing::error!(code, "an event about a brake could not be kept, and nobody will be told of it");
        }
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
            self.open_section(&org.key, &key, &record.value, Field::Event)?
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
            match self.store.commit(batch).await {
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
