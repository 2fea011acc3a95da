//! The rotation of org keys: new keys first, then everything under the old ones sealed anew, part by part, until nothing is left.
//!
//! The hard problem: it goes on for minutes beside those who are served, and may be killed at any moment. The answer: it keeps
//! nothing in its head that matters. What is left to do is what the store says; after a start it looks, and goes on. It takes one
//! processor at the most, seals the next part while the last one becomes durable, and keeps to so many records a second.
//!
//! Never ends while a record that opens is under a former key.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokenkeep_client::ids::OrgId;
use tokenkeep_client::problem::Code;
use tokenkeep_client::wire::{OrgKeysOut, OrgRotationIn, OrgRotationOut, RetireIn, RetireOut};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::backup::Backups;
use crate::crypto::key::KeyId;
use crate::domain::action::Action;
use crate::vault::Vault;
use crate::vault::ask::Ask;
use crate::vault::caller::Caller;
use crate::vault::refusal::Refusal;
use crate::vault::request_id::{RequestId, RequestIds};
use crate::vault::retirement::{Asked, Fate};
use crate::vault::rotation::{Part, Scope, Walk};

/// A tenth of what a core seals anew: nobody who is served should feel it.
pub const USUAL_RATE: u64 = 5_000;

/// Beyond this, a limit is none.
pub const HIGHEST_RATE: u64 = 1_000_000;

/// Where room is short or the audit log is low, it waits so long and goes on.
const PAUSE: Duration = Duration::from_secs(5);

/// How often it is looked at while it lands, or waits for its rate.
const LOOK: Duration = Duration::from_millis(50);

/// The life of org keys at run time.
pub struct OrgRotation {
    vault: Arc<Vault>,
    backups: Option<Arc<Backups>>,
    running: AtomicBool,
    /// Something was begun since the run looked last.
    begun: AtomicBool,
    /// The daemon stops: what is left is for the next life.
    stopping: AtomicBool,
    rate: AtomicU64,
    progress: Mutex<Progress>,
}

#[derive(Debug, Default)]
struct Progress {
    new_keys: u64,
    found: u64,
    done: u64,
    error: Option<String>,
}

/// A part, sealed on a thread of its own; and where the walk goes on.
type Sealing = JoinHandle<(Walk, Result<Option<Part>, Refusal>)>;

impl OrgRotation {
    /// Over this vault, which has these backups.
    #[must_use]
    pub fn new(vault: Arc<Vault>, backups: Option<Arc<Backups>>) -> Arc<Self> {
        let rate = AtomicU64::new(USUAL_RATE);
        Arc::new(Self {
            vault,
            backups,
            running: AtomicBool::new(false),
            begun: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            rate,
            progress: Mutex::default(),
        })
    }

    /// Goes on with what a life before has left.
    pub fn resume(self: &Arc<Self>) {
        match self.vault.rotation_begun() {
            Ok(None) => {}
            Ok(Some(begun)) => {
                self.rate.store(begun.records_per_second, Ordering::Relaxed);
                tracing::info!("a rotation of org keys goes on");
                self.start();
            }
            Err(refusal) => {
                tracing::error!(
                    code = refusal.code.as_str(),
                    "whether org keys are being rotated is unknown"
                );
            }
        }
    }

    /// How it goes, without counting anything.
    #[must_use]
    pub fn progress(&self) -> OrgRotationOut {
        let progress = self.noted();
        OrgRotationOut {
            running: self.running.load(Ordering::SeqCst),
            new_keys: progress.new_keys,
            found: progress.found,
            done: progress.done,
            records_per_second: self.rate.load(Ordering::Relaxed),
            error: progress.error.clone(),
        }
    }

    /// What is under each key; of one org, or of all those before the current ones.
    ///
    /// # Errors
    /// The door's; `not_found`; the store cannot be read.
    pub async fn status(
        &self,
        caller: &Caller,
        request: RequestId,
        org: Option<OrgId>,
    ) -> Result<OrgKeysOut, Refusal> {
        let ask = Ask::new(&request, Action::KeyRead);
        let permit = self.vault.admit(caller, org.as_ref().map_or(ask, |org| ask.of(org)))?;
        let (vault, progress, of) = (Arc::clone(&self.vault), self.progress(), org.clone());
        let asked = self.ask_backups().await;
        let counted = apart(move || vault.describe_org_keys(of.as_ref(), progress, &asked)).await;
        permit.settle(counted.and_then(|out| out), |_| None).await
    }

    /// Begins a rotation, or finds one that does the same; goes on by itself.
    ///
    /// # Errors
    /// The door's; `invalid_request`, `not_found` (the org), `conflict`, `storage_full`.
    pub async fn begin(
        self: &Arc<Self>,
        caller: &Caller,
        request: RequestId,
        wanted: OrgRotationIn,
    ) -> Result<OrgRotationOut, Refusal> {
        let ask = Ask::new(&request, Action::KeyRotate).on("org keys");
        let ask = wanted.org.as_ref().map_or(ask, |org| ask.of(org));
        let (scope, rate) = match judged(&wanted) {
            Ok(judged) => judged,
            Err(refusal) => {
                self.vault.record_refused(caller, ask, &refusal)?;
                return Err(refusal);
            }
        };
        let permit = self.vault.admit_change(caller, ask)?;
        let is_joined = scope == Scope::All && self.running.load(Ordering::SeqCst);
        let usual = self.rate.load(Ordering::Relaxed);
        let begun = match is_joined {
            true => Ok(None),
            false => self.vault.begin_rotation(&permit, &scope, rate.unwrap_or(usual)).await,
        };
        if begun.is_ok() {
            self.rate.store(rate.unwrap_or(usual), Ordering::Relaxed);
            if matches!((&begun, &scope), (Ok(Some(_)), Scope::Org(_))) {
                self.noted().new_keys += 1;
            }
            self.start();
        }
        match begun {
            Ok(Some(mark)) => permit.settle_change(Ok((self.progress(), mark)), |_| None).await,
            Ok(None) => permit.settle(Ok(self.progress()), |_| None).await,
            Err(refusal) => permit.settle(Err(refusal), |_| None).await,
        }
    }

    /// Retires a key that nothing needs.
    ///
    /// # Errors
    /// The door's; `invalid_request`, `not_found`, `conflict`, `storage_full`.
    pub async fn retire(
        &self,
        caller: &Caller,
        request: RequestId,
        wanted: RetireIn,
    ) -> Result<RetireOut, Refusal> {
        let ask = Ask::new(&request, Action::KeyRetire);
        let Some(id) = KeyId::parse(&wanted.id) else {
            let refusal = Refusal::invalid("id is the id of a key: 16 lower-case hex digits");
            self.vault.record_refused(caller, ask, &refusal)?;
            return Err(refusal);
        };
        let fate = if wanted.destroy { Fate::Destroyed } else { Fate::Retired };
        let permit = self.vault.admit_change(caller, ask.on(&wanted.id))?;
        // Read before anything is held: it may take a while.
        let asked = self.ask_backups().await;
        match self.vault.retire_key(&permit, id, fate, &asked).await {
            Ok((out, Some(mark))) => permit.settle_change(Ok((out, mark)), |_| None).await,
            Ok((out, None)) => permit.settle(Ok(out), |_| None).await,
            Err(refusal) => permit.settle(Err(refusal), |_| None).await,
        }
    }

    async fn ask_backups(&self) -> Asked {
        let Some(backups) = &self.backups else { return Ok(None) };
        backups.kept_keys().await.map(Some).map_err(|why| why.to_string())
    }

    /// Ends it after the part that is under way, and waits for that, so long at the most.
    pub async fn land(&self, deadline: Duration) {
        self.stopping.store(true, Ordering::SeqCst);
        let until = Instant::now() + deadline;
        while self.running.load(Ordering::SeqCst) && Instant::now() < until {
            tokio::time::sleep(LOOK).await;
        }
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    fn noted(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(self: &Arc<Self>) {
        self.begun.store(true, Ordering::SeqCst);
        if !self.running.swap(true, Ordering::SeqCst) {
            self.noted().error = None;
            let rotation = Arc::clone(self);
            tokio::spawn(async move { rotation.run().await });
        }
    }

    async fn run(self: Arc<Self>) {
        loop {
            self.begun.store(false, Ordering::SeqCst);
            if let Err(refusal) = self.run_once().await {
                if self.is_stopping() {
                    break;
                }
                let may_pass = [Code::StorageFull, Code::AuditUnavailable].contains(&refusal.code);
                tracing::error!(
                    code = refusal.code.as_str(),
                    may_pass,
                    "the rotation of org keys was held up"
                );
                self.noted().error = Some(format!("{}: {}", refusal.code.as_str(), refusal.detail));
                if !may_pass {
                    break;
                }
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            self.noted().error = None;
            if !self.begun.load(Ordering::SeqCst) {
                break;
            }
        }
        self.running.store(false, Ordering::SeqCst);
        // Begun between the last look and this one: nobody else would run it.
        if self.begun.load(Ordering::SeqCst) && !self.is_stopping() && self.noted().error.is_none() {
            self.start();
        }
    }

    /// New keys for who is to have one; then walks, until one finds nothing.
    async fn run_once(&self) -> Result<(), Refusal> {
        let (task, requests) = (self.vault.task("rotation"), RequestIds::new());
        let request = requests.next();
        let ask = Ask::new(&request, Action::KeyRotate).on("org keys");
        while self.vault.rotation_begun()?.is_some_and(|begun| begun.wants_keys) {
            let permit = self.vault.admit_change(&task, ask)?;
            match self.vault.make_new_keys(&permit).await {
                Ok(Some(made)) => {
                    let count = permit.settle_change(Ok(made), |count| Some(*count)).await?;
                    self.noted().new_keys += count;
                }
                Ok(None) => permit.settle(Ok(()), |()| Some(0)).await?,
                Err(refusal) => return permit.settle(Err(refusal), |()| None).await,
            }
        }
        self.walk_until_nothing_is_left(&task, &request).await?;
        let permit = self.vault.admit_change(&task, ask)?;
        match self.vault.end_rotation(&permit).await {
            Ok(Some(mark)) => permit.settle_change(Ok(((), mark)), |()| None).await,
            Ok(None) => permit.settle(Ok(()), |()| None).await,
            Err(refusal) => permit.settle(Err(refusal), |()| None).await,
        }
    }

    async fn walk_until_nothing_is_left(&self, task: &Caller, request: &RequestId) -> Result<(), Refusal> {
        loop {
            let vault = Arc::clone(&self.vault);
            let counted = apart(move || -> Result<_, Refusal> {
                let Some(walk) = vault.walk()? else { return Ok(None) };
                let found = vault.count_walk(&walk)?;
                Ok((found > 0).then_some((walk, found)))
            });
            let Some((walk, found)) = counted.await?? else { return Ok(()) };
            {
                let mut progress = self.noted();
                (progress.found, progress.done) = (found, 0);
            }
            let unopened = self.walk(task, request, walk).await?;
            if unopened > 0 {
                let detail = format!(
                    "{unopened} records do not open and stay under their old key, which cannot be retired; audit and log \
                     say more, a backup may have them whole"
                );
                return Err(Refusal::new(Code::Integrity, detail));
            }
        }
    }

    /// One walk. Gives how many records do not open.
    async fn walk(&self, task: &Caller, request: &RequestId, walk: Walk) -> Result<u64, Refusal> {
        let mut sealing = self.seal(walk);
        let (begun_at, mut kept) = (Instant::now(), 0_u64);
        loop {
            let unended = |_| Refusal::new(Code::Internal, "sealing anew did not end");
            let (walk, part) = sealing.await.map_err(unended)?;
            let Some(part) = part? else { return Ok(walk.unopened) };
            // The next part is sealed while this one becomes durable.
            sealing = self.seal(walk);
            if part.is_empty() {
                continue;
            }
            let count = part.len() as u64;
            self.keep(task, request, part).await?;
            kept += count;
            self.noted().done += count;
            // Looked at again and again: who is in a hurry says so while it runs.
            let due = || {
                let rate = self.rate.load(Ordering::Relaxed).clamp(1, HIGHEST_RATE);
                begun_at + Duration::from_millis(kept.saturating_mul(1000) / rate)
            };
            while Instant::now() < due() && !self.is_stopping() {
                tokio::time::sleep_until(due().min(Instant::now() + LOOK)).await;
            }
            if self.is_stopping() {
                return Err(Refusal::new(Code::NotReady, "the daemon stops; it goes on at the next start"));
            }
        }
    }

    fn seal(&self, mut walk: Walk) -> Sealing {
        let vault = Arc::clone(&self.vault);
        tokio::task::spawn_blocking(move || {
            let part = vault.seal_next(&mut walk);
            (walk, part)
        })
    }

    /// All of a part by one commit; where somebody wrote one of its records meanwhile, each by its own.
    async fn keep(&self, task: &Caller, request: &RequestId, part: Part) -> Result<(), Refusal> {
        let ask = Ask::new(request, Action::KeyRotate).on("records");
        let (keys, count) = (part.keys(), part.len() as u64);
        let permit = self.vault.admit_change(task, ask)?;
        match self.vault.keep_part(&permit, part).await {
            Ok(Some(mark)) => {
                return permit.settle_change(Ok((count, mark)), |count| Some(*count)).await.map(drop);
            }
            Ok(None) => permit.settle(Ok(()), |()| Some(0)).await?,
            Err(refusal) => return permit.settle(Err(refusal), |()| None).await,
        }
        self.vault.keep_each(task, ask, &keys).await
    }
}

fn judged(wanted: &OrgRotationIn) -> Result<(Scope, Option<u64>), Refusal> {
    let rate = wanted.records_per_second;
    if rate.is_some_and(|rate| !(1..=HIGHEST_RATE).contains(&rate)) {
        return Err(Refusal::invalid("records_per_second is 1 to 1000000"));
    }
    match (&wanted.org, wanted.all) {
        (Some(org), false) => Ok((Scope::Org(org.clone()), rate)),
        (None, true) => Ok((Scope::All, rate)),
        _ => Err(Refusal::invalid("name one org, or say all")),
    }
}

/// Counting many records must not hold up those who are served.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Refusal::new(Code::Internal, "counting what is under a key did not end"))
}
