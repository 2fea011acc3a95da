//! Telling: an event goes into the commit of the change that it tells of, or into one of its own where there is none.
//!
//! The hard problem: who tells of something must never be kept from it by the telling. The answer: an event that rides along
//! adds nothing that can fail by itself, and one of its own that cannot be kept is said in the log, and no more.
//!
//! Never tells what nobody is to hear: without a webhook nothing is kept.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokenkeep_client::ids::{ConnectionId, ConnectionName, ProviderId};
use tokenkeep_client::wire::{ConnectionOut, ConnectionState};

use super::Vault;
use super::ask::Ask;
use super::door::Became;
use super::orgs::Org;
use super::outbox::Outbox;
use super::place::{Field, event_key, org_key, place, vault_event_key};
use super::record::RecordWriter;
use super::refusal::Refusal;
use super::request_id::RequestIds;
use super::sealed::Sealed;
use crate::chain::Mark;
use crate::crypto::random;
use crate::domain::action::Action;
use crate::domain::event::queue::Waiting;
use crate::domain::event::{Data, Event, Kind, News, news_of_storing};
use crate::domain::refresh::Custody;
use crate::metrics::Delivery;
use crate::store::{Batch, Change, Key, Record};

/// An event on its way into a commit. What had to give way for it comes back if the commit does not come about.
pub(super) struct Telling {
    outbox: Arc<Outbox>,
    key: Key,
    record: Vec<u8>,
    gave_way: Option<Box<(u64, Waiting<Key>)>>,
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
        (event.data.since, event.data.ends_at) = (news.since, news.ends_at);
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
        let sealed = Sealed::of(sealing, &place(self.vault_id, &key, Field::Event), 1, &text);
        let record = RecordWriter::new(1).section(Field::Event, &sealed).finish();
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
        match self.commit(batch).await {
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
        let sealed = Sealed::of(
            &self.system_key,
            &place(self.vault_id, &key, Field::Alarm),
            1,
            provider.as_str().as_bytes(),
        );
        let record = RecordWriter::new(1).section(Field::Alarm, &sealed).finish();
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

    /// At a start: that the vault is a restored or copied one, while it is held to be.
    pub async fn tell_of_quarantine(&self) {
        if let Some(reason) = self.quarantined_for() {
            self.tell(Event::new(Kind::VaultQuarantined, self.now()).because(reason)).await;
        }
    }
}
