//! Revokes deleted connections at their providers (RFC 7009, or the provider's own way).
//!
//! The hard problem: a provider may be away for days, the daemon may be killed between any two steps, and the grant must
//! end all the same. The answer: what is to be done stands in durable notes (`vault/revocations`); here is only when.
//! Asking twice does no harm, so a note goes only after the provider has answered.
//!
//! Never keeps a token between two attempts.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokenkeep_client::secret::RefreshToken;
use tokenkeep_client::wire::RevocationState;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::crypto::random;
use crate::domain::provider::client::{OAuthClient, Revocation, RevocationWay};
use crate::domain::refresh::answer::Heard;
use crate::domain::revocation::{Impossible, Setback, Verdict, has_ended, judge, wait};
use crate::net::outbound::{Answer, Deadlines, Door, OutboundError};
use crate::service::oauth::token_request::{Revoked, revocation_request};
use crate::store::Key;
use crate::vault::Vault;
use crate::vault::refusal::Refusal;
use crate::vault::request_id::RequestIds;
use crate::vault::revocations::{Due, Revoking, Told};

/// A caller that deletes is not kept waiting longer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Requests at once, over all providers: deleting a tenant of thousands must not be a flood.
const AT_ONCE: usize = 4;
/// Longest answer that is read; what comes is a few bytes, or an error page.
const LONGEST_ANSWER: usize = 64 * 1024;
/// Between two tries to keep what came, or to open a note.
const KEEPING: Duration = Duration::from_secs(30);

/// Revokes what the notes of a vault say.
#[derive(Clone)]
pub struct Revoker(Arc<Office>);

struct Office {
    /// The vault names it, too: neither keeps the other alive.
    vault: Weak<Vault>,
    door: Door,
    requests: RequestIds,
    queue: Mutex<Queue>,
    woken: Notify,
    places: Arc<Semaphore>,
}

#[derive(Default)]
struct Queue {
    due: BTreeSet<(Instant, Key)>,
    /// When each note stands there.
    at: HashMap<Key, Instant>,
    /// Who waits for which note.
    told: HashMap<Key, watch::Sender<Option<RevocationState>>>,
}

impl Queue {
    /// At this time, and no more at another.
    fn put(&mut self, note: Key, at: Instant) {
        if let Some(before) = self.at.insert(note, at) {
            self.due.remove(&(before, note));
        }
        self.due.insert((at, note));
    }

    /// The first, if it is due; else when it is.
    fn take(&mut self, now: Instant) -> Result<Key, Option<Instant>> {
        match self.due.first().copied() {
            Some((at, note)) if at <= now => {
                self.due.remove(&(at, note));
                self.at.remove(&note);
                Ok(note)
            }
            first => Err(first.map(|(at, _)| at)),
        }
    }
}

/// How an attempt ended.
enum Attempt {
    Again(Duration),
    Over(RevocationState),
}

impl Revoker {
    /// Over this vault, by this way out; from now on deletions are told to it.
    #[must_use]
    pub fn of(vault: &Arc<Vault>, door: Door) -> Self {
        let revoker = Self(Arc::new(Office {
            vault: Arc::downgrade(vault),
            door,
            requests: RequestIds::new(),
            queue: Mutex::default(),
            woken: Notify::new(),
            places: Arc::new(Semaphore::new(AT_ONCE)),
        }));
        vault.revoke_by(Arc::new(revoker.clone()));
        revoker
    }

    /// Finds what an earlier life has left, then acts on each note when it is due, until the daemon ends.
    pub async fn run(&self) {
        self.find();
        loop {
            let Ok(place) = Arc::clone(&self.0.places).acquire_owned().await else { return };
            let note = self.next().await;
            let office = Arc::clone(&self.0);
            tokio::spawn(async move { office.handle(note, place).await });
        }
    }

    fn find(&self) {
        let Some(vault) = self.0.vault.upgrade() else { return };
        let (mut after, mut found) = (None, 0);
        loop {
            let (page, last) = match vault.survey_revocations(after.as_ref()) {
                Ok(page) => page,
                Err(refusal) => {
                    tracing::error!(code = refusal.code.as_str(), "revocations could not be looked for");
                    return;
                }
            };
            found += page.len();
            let now = vault.moment();
            for waiting in page {
                let span = Duration::from_secs(waiting.next_at.unix().saturating_sub(now.unix()));
                self.0.queue().put(waiting.note, Instant::now() + span);
            }
            match last {
                Some(last) => after = Some(last),
                None => break,
            }
        }
        if found > 0 {
            tracing::info!(found, "revocations that are still to be done were found");
        }
    }

    /// Waits for the next note that is due.
    async fn next(&self) -> Key {
        loop {
            let woken = self.0.woken.notified();
            let taken = self.0.queue().take(Instant::now());
            match taken {
                Ok(note) => return note,
                Err(Some(at)) => tokio::select! { () = sleep_until(at) => {}, () = woken => {} },
                Err(None) => woken.await,
            }
        }
    }
}

impl Revoking for Revoker {
    fn begin(&self, note: Key, not_before: Duration) -> Told {
        let mut told = {
            let mut queue = self.0.queue();
            queue.put(note, Instant::now() + not_before);
            let told = queue.told.entry(note).or_insert_with(|| watch::channel(None).0);
            told.subscribe()
        };
        self.0.woken.notify_one();
        Box::pin(async move {
            match timeout(PATIENCE, told.wait_for(Option::is_some)).await {
                Ok(Ok(state)) => state.unwrap_or(RevocationState::Pending),
                Ok(Err(_)) | Err(_) => RevocationState::Pending,
            }
        })
    }
}

impl Office {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn handle(&self, note: Key, place: OwnedSemaphorePermit) {
        let Some(vault) = self.vault.upgrade() else { return };
        let attempt = self.attempt(&vault, &note).await;
        drop(place);
        let told = self.queue().told.remove(&note);
        let state = match attempt {
            Attempt::Over(state) => state,
            Attempt::Again(pause) => {
                self.queue().put(note, Instant::now() + pause);
                self.woken.notify_one();
                RevocationState::Pending
            }
        };
        if let Some(told) = told {
            told.send_replace(Some(state));
        }
    }

    async fn attempt(&self, vault: &Vault, note: &Key) -> Attempt {
        let request = self.requests.next();
        let due = match vault.begin_revocation(request, note).await {
            Ok(Some(due)) => due,
            Ok(None) => return Attempt::Over(RevocationState::Done),
            Err(refusal) => return put_off(&refusal),
        };
        let attempts = due.attempts;
        let verdict = self.carry_out(vault, due).await;
        let pause = match verdict {
            Verdict::Later { wish, .. } => wait(attempts.saturating_add(1), wish, chance()),
            Verdict::Done | Verdict::Impossible(_) => Duration::ZERO,
        };
        loop {
            match vault.end_revocation(request, note, verdict, pause).await {
                Ok(()) => break,
                // Asked again: the note stands, and asking twice does no harm.
                Err(refusal) if matches!(verdict, Verdict::Later { .. }) => return put_off(&refusal),
                Err(refusal) => {
                    tracing::error!(
                        code = refusal.code.as_str(),
                        "that a token is revoked could not be kept"
                    );
                    sleep(KEEPING).await;
                }
            }
        }
        match verdict {
            Verdict::Done => Attempt::Over(RevocationState::Done),
            Verdict::Impossible(why) => {
                tracing::warn!(why = why.as_str(), "a provider does not revoke a token");
                Attempt::Over(RevocationState::Impossible)
            }
            Verdict::Later { .. } => Attempt::Again(pause),
        }
    }

    /// Asks for every token of a note, the current one first. What the provider says of that one counts; the others
    /// only must not be left unsaid.
    async fn carry_out(&self, vault: &Vault, due: Due) -> Verdict {
        let provider = vault.client_of(&due.id.provider);
        let Some(client) = provider.as_ref().and_then(|provider| provider.client.as_ref()) else {
            // It was taken out of the configuration, and may come back.
            return Verdict::Later { setback: Setback::Client, wish: None };
        };
        if has_ended(due.since, client, vault.moment()) {
            return Verdict::Done;
        }
        let Some(revocation) = &client.revocation else { return Verdict::Impossible(Impossible::NoWay) };
        let shows_access_token = matches!(revocation.way, RevocationWay::Bearer | RevocationWay::GitHub);
        let tokens: Vec<Option<&RefreshToken>> = match due.refresh.as_slice() {
            [] => vec![None],
            _ if shows_access_token => vec![None],
            tokens => tokens.iter().map(Some).collect(),
        };
        let mut first = None;
        for refresh in tokens {
            let revoked = Revoked { access: &due.access, refresh };
            let verdict = self.ask(client, revocation, &revoked, vault).await;
            if matches!(verdict, Verdict::Later { .. }) {
                return verdict;
            }
            first.get_or_insert(verdict);
        }
        first.unwrap_or(Verdict::Done)
    }

    async fn ask(
        &self,
        client: &OAuthClient,
        revocation: &Revocation,
        revoked: &Revoked<'_>,
        vault: &Vault,
    ) -> Verdict {
        let request = match revocation_request(client, revocation, revoked, vault.moment().into()) {
            Ok(request) => request,
            Err(why) => {
                tracing::error!(%why, "our client cannot prove itself at a provider, so nothing is revoked there");
                return Verdict::Later { setback: Setback::Client, wish: None };
            }
        };
        let (door, endpoint, roots) =
            (self.door.clone(), revocation.endpoint.host().clone(), client.roots.clone());
        let asked = tokio::task::spawn_blocking(move || {
            door.exchange(&endpoint, &roots, request, LONGEST_ANSWER, Deadlines::REMOTE)
        });
        let answered = asked.await.unwrap_or(Err(OutboundError::NotHttp));
        let heard = match &answered {
            Ok(Answer { status, retry_after, body, .. }) => {
                Heard::Answer { status: *status, retry_after: *retry_after, body }
            }
            Err(why) => {
                tracing::warn!(%why, "a provider gave no answer to a revocation");
                Heard::Nothing
            }
        };
        judge(&heard, &|word| client.meaning(word), revocation.way)
    }
}

/// Nothing was sent, or nothing that counts: the note stands as it is.
fn put_off(refusal: &Refusal) -> Attempt {
    tracing::error!(
        code = refusal.code.as_str(),
        "a revocation could not be begun or kept; it is tried again"
    );
    Attempt::Again(KEEPING)
}

/// From 0 to 1.
fn chance() -> f64 {
    f64::from(u32::from_be_bytes(random::bytes())) / f64::from(u32::MAX)
}
