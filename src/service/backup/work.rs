//! The work itself: ship what has changed; begin a set, verify, drill, remove.
//!
//! The hard problem: to begin a set takes minutes, and what happens meanwhile must go out within one. The answer: two lanes.
//! One ships, turn by turn, into the set there is; the other does what takes long, and hands over the new set when it is
//! whole.
//!
//! Never two pieces of one lane at once, and never a lock held over the network that anybody on the event loop may wait for.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokenkeep_client::moment::Moment;
use tokenkeep_client::wire::BackupSet;
use tokio::runtime::Handle;

use super::course::Course;
use super::drill::Drill;
use super::journal::{self, Reached};
use super::kept::{self, Spans};
use super::manifest::{Journal, Place};
use super::repository::Repository;
use super::shipping::{Beginning, SPOOL, Shipping};
use super::standing::Standing;
use super::{BackupError, Settings, Task, retention, sets};
use crate::chain::Mark;
use crate::crypto::age::Identity;
use crate::crypto::{hex, random};
use crate::domain::event::{Event, Kind};
use crate::store::embedded::EmbeddedStore;
use crate::store::snapshot::Snapshot;
use crate::vault::Vault;
use crate::vault::kept::KeptKeys;

/// How long it is left in peace after a failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often it is looked at which keys the sets need, for `doctor`.
const LOOK_AGAIN: Duration = Duration::from_secs(3600);

/// What works.
pub(super) struct Work {
    vault: Arc<Vault>,
    store: Arc<EmbeddedStore>,
    state: PathBuf,
    settings: Settings,
    repository: Box<dyn Repository>,
    standing: Arc<Standing>,
    /// How far it has come. Held for no longer than it takes to look: the event loop does.
    course: Mutex<Option<Course>>,
    /// Held by the piece that makes the course go on, for as long as that takes.
    going_on: Mutex<()>,
    /// Held by whoever reads what all sets need.
    reading: Arc<tokio::sync::Mutex<()>>,
}

/// What a piece did: in words, or nothing worth them.
type Done = Result<Option<String>, BackupError>;

impl Work {
    pub(super) fn new(
        (vault, store): (&Arc<Vault>, &Arc<EmbeddedStore>),
        state: &Path,
        settings: Settings,
        repository: Box<dyn Repository>,
        standing: &Arc<Standing>,
    ) -> Arc<Self> {
        // What a daemon that died had on its way.
        drop(std::fs::remove_dir_all(state.join(SPOOL)));
        let course = Course::load(state);
        if let Some(course) = &course {
            standing.goes_on(&course.set, course.shipped_at);
            standing.proved(course.drilled_at.unwrap_or(course.first_at));
        }
        Arc::new(Self {
            vault: Arc::clone(vault),
            store: Arc::clone(store),
            state: state.to_owned(),
            settings,
            repository,
            standing: Arc::clone(standing),
            course: Mutex::new(course),
            going_on: Mutex::new(()),
            reading: Arc::default(),
        })
    }

    pub(super) fn describe(&self) -> String {
        self.repository.describe()
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    fn folder(&self) -> String {
        hex::encode(&self.vault.backup_keys().vault_id)
    }

    fn course(&self) -> MutexGuard<'_, Option<Course>> {
        self.course.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For a thread that may wait.
    fn alone(&self) -> MutexGuard<'_, ()> {
        self.going_on.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn sets(&self) -> Result<Vec<BackupSet>, BackupError> {
        Ok(sets::list(&*self.repository, &self.folder())?.iter().map(sets::shape).collect())
    }

    pub(super) async fn one_reader(&self) -> tokio::sync::OwnedMutexGuard<()> {
        Arc::clone(&self.reading).lock_owned().await
    }

    /// What the sets that are kept need of the keys.
    pub(super) fn kept_keys(&self) -> Result<KeptKeys, BackupError> {
        let spans = Spans { keep: self.settings.keep, every: self.settings.every };
        let open = |sealed: &str| self.vault.open_key_counts(sealed);
        let kept = kept::keys_of(
            &*self.repository,
            &self.folder(),
            &self.vault.backup_keys().manifests,
            spans,
            open,
        )?;
        // A mount that is away looks like a place in which nothing ever was.
        let current = self.standing.set();
        if !current.as_deref().is_some_and(|set| kept.has(set)) {
            let set = current.unwrap_or_else(|| "a first set".to_owned());
            return Err(BackupError::Absent(format!("{}: {set} is not there, or not yet", self.describe())));
        }
        Ok(kept)
    }

    /// For `doctor`, which must not wait: looked at now and then.
    async fn look_at_keys(self: &Arc<Self>) {
        match kept::read_in_time(self).await {
            Ok(kept) => self.standing.keeps(kept),
            Err(why) => tracing::warn!(%why, "what the kept backups need of the keys could not be read"),
        }
    }

    /// Ships what has changed.
    pub(super) async fn ship_turn(self: &Arc<Self>) {
        if self.has_changed() {
            self.standing.falls_behind();
            self.piece("ship", Self::ship).await;
        }
    }

    /// Does what takes long and is due.
    pub(super) async fn long_turn(self: &Arc<Self>) {
        let asked = self.standing.take(Task::Create);
        if asked || (self.is_set_due() && self.standing.may_try("create", PATIENCE)) {
            self.piece("create", Self::create).await;
            self.piece("retain", Self::retain).await;
            self.look_at_keys().await;
        } else if self.standing.wants_keys(LOOK_AGAIN) {
            self.look_at_keys().await;
        }
        if self.standing.take(Task::Verify) {
            self.piece("verify", Self::verify).await;
        }
        let asked = self.standing.take(Task::Drill);
        if asked || (self.is_drill_due() && self.standing.may_try("drill", 10 * PATIENCE)) {
            self.piece("drill", Self::drill).await;
        }
    }

    /// Does one piece, and says what came of it.
    async fn piece(self: &Arc<Self>, what: &'static str, piece: fn(&Self) -> Done) {
        let (work, begun_at) = (Arc::clone(self), Instant::now());
        self.standing.begins(what);
        let unended = |_| Err(BackupError::Io(format!("{what} did not end")));
        let done = tokio::task::spawn_blocking(move || piece(&work)).await.unwrap_or_else(unended);
        let is_news = !matches!(done, Ok(None));
        let done = done.map(Option::unwrap_or_default);
        let now = self.vault.moment();
        self.standing.ended(what, now, begun_at.elapsed(), &done);
        match &done {
            Ok(detail) if is_news => tracing::info!(what, detail, "backup"),
            Ok(_) => {}
            Err(why) => tracing::error!(what, %why, "a backup failed; it is tried again"),
        }
        let reason = done.map(drop).map_err(|why| why.reason());
        self.tell(what, reason, now).await;
        // What is shipped each minute is not written down: it would be what is shipped in the next.
        if what != "ship" && is_news {
            self.vault.record_backup(what, reason).await;
        }
    }

    /// Tells whoever is to be told: once, and once when it is over.
    async fn tell(&self, what: &'static str, reason: Result<(), &'static str>, now: Moment) {
        let event = match reason {
            Err(reason) if self.standing.is_to_be_told(what, now) => {
                let reason = if what == "drill" { "drill_failed" } else { reason };
                Event::new(Kind::BackupFailed, now).because(reason)
            }
            Ok(()) if self.standing.is_over(what) => Event::new(Kind::BackupRecovered, now).because(what),
            _ => return,
        };
        self.vault.tell(event).await;
    }

    /// Whatever keeps it from being held: it may be that nothing ends in the other lane.
    pub(super) async fn look_for_a_late_drill(&self) {
        let now = self.vault.moment();
        if self.standing.is_late_drill_to_be_told(self.settings.drill, now) {
            tracing::error!("no drill has succeeded for too long: nobody knows what the backups are worth");
            self.vault.tell(Event::new(Kind::BackupFailed, now).because("drill_late")).await;
        }
    }

    fn is_set_due(&self) -> bool {
        let course = self.course();
        let Some(course) = course.as_ref() else { return true };
        let age = Duration::from_secs(self.vault.moment().unix().saturating_sub(course.begun_at.unix()));
        age >= self.settings.every || course.incarnation != self.vault.environment_and_incarnation().1
    }

    fn is_drill_due(&self) -> bool {
        let course = self.course();
        let Some(course) = course.as_ref() else { return false };
        let since = course.drilled_at.unwrap_or(course.first_at);
        Duration::from_secs(self.vault.moment().unix().saturating_sub(since.unix())) >= self.settings.drill
    }

    fn has_changed(&self) -> bool {
        self.course().as_ref().is_some_and(|course| {
            course.journal.sequence < self.vault.journal_head().sequence
                || course.audit.sequence < self.vault.audit().health().head.sequence
        })
    }

    fn shipping(&self) -> Shipping<'_> {
        Shipping {
            vault: &self.vault,
            state: &self.state,
            repository: &*self.repository,
            recipients: &self.settings.recipients,
        }
    }

    /// Begins a set: a whole state first.
    fn create(&self) -> Done {
        let now = self.vault.moment();
        // Counted before the snapshot is made: a rotation of keys may go on meanwhile, and what is in there is to be counted.
        let root_keys = self.shipping().root_keys_in_use()?.into_iter().collect();
        let org_keys =
            self.vault.seal_key_counts().map_err(|why| BackupError::Io(why.detail.into_owned()))?;
        let beginning = Beginning { snapshot: self.snapshot()?, org_keys };
        let mut fresh = Course { root_keys, ..self.fresh(now, beginning.snapshot.as_ref())? };
        let shipped = self.shipping().ship(&mut fresh, Some(&beginning), now)?;
        let manifest = shipped.ok_or_else(|| BackupError::Absent("there is nothing to back up".into()))?;
        let _alone = self.alone();
        let before = self.course().clone();
        if let Some(mut before) = before {
            (fresh.first_at, fresh.drilled_at) = (before.first_at, before.drilled_at);
            // What came between its last part and the beginning of this set: without it, those seconds would be in none.
            if let Err(why) = self.shipping().ship(&mut before, None, self.vault.moment()) {
                tracing::warn!(%why, set = before.set, "the last part of the set before could not be shipped");
            }
        }
        let kept = fresh.keep(&self.state);
        self.standing.proved(fresh.drilled_at.unwrap_or(fresh.first_at));
        self.standing.shipped(&fresh.set, now, manifest.sealed_bytes());
        let detail = format!("set {}, up to change {}", fresh.set, manifest.journal.sequence);
        self.store.backed_up(fresh.journal.sequence);
        *self.course() = Some(fresh);
        kept.map_err(|why| BackupError::Io(why.to_string()))?;
        Ok(Some(detail))
    }

    /// A set of which nothing is shipped yet.
    fn fresh(&self, now: Moment, snapshot: Option<&Snapshot>) -> Result<Course, BackupError> {
        let identity = Identity::generate()?;
        let (_, incarnation) = self.vault.environment_and_incarnation();
        let stamp = now.to_string().replace(['-', ':'], "");
        // The one that goes on after the snapshot; the first of all where there is none.
        let next = snapshot.map_or(1, |snapshot| snapshot.at.sequence + 1);
        let segments = journal::segments(&self.state.join("journal"))?;
        let first = segments.into_iter().rfind(|first| *first <= next);
        let Reached { mark, written_at, tally } = Reached::NOTHING;
        Ok(Course {
            set: format!("{stamp}-{incarnation}-{}", hex::encode(&random::bytes::<2>())),
            incarnation,
            begun_at: now,
            shipped_at: now,
            first_at: now,
            drilled_at: None,
            part: 0,
            before: String::new(),
            journal: Journal::new(&mark, written_at, &tally),
            segment: first.unwrap_or(1),
            offset: 0,
            audit: Place::from(Mark::START),
            audit_file: None,
            header: String::new(),
            root_keys: BTreeSet::new(),
            drill_identity: self.vault.seal_drill_identity(&identity),
            drill_recipient: identity.recipient().to_string(),
        })
    }

    /// A snapshot of all there is; none of a store in which nothing ever was.
    fn snapshot(&self) -> Result<Option<Snapshot>, BackupError> {
        if self.vault.journal_head().sequence == 0 {
            return Ok(None);
        }
        let made = Handle::current().block_on(self.store.snapshot());
        made.map(Some).map_err(|why| BackupError::Io(why.to_string()))
    }

    /// Ships what has changed.
    fn ship(&self) -> Done {
        let now = self.vault.moment();
        let _alone = self.alone();
        let Some(mut course) = self.course().clone() else { return Ok(None) };
        match self.shipping().ship(&mut course, None, now) {
            Ok(manifest) => {
                let bytes = manifest.map_or(0, |manifest| manifest.sealed_bytes());
                *self.course() = Some(course.clone());
                course.keep(&self.state).map_err(|why| BackupError::Io(why.to_string()))?;
                self.standing.shipped(&course.set, now, bytes);
                self.store.backed_up(course.journal.sequence);
                Ok(None)
            }
            Err(why @ BackupError::Damaged(_)) => {
                // What does not go on from there is another life of the vault, or was put back: a new set is begun.
                *self.course() = None;
                Err(why)
            }
            Err(why) => Err(why),
        }
    }

    fn retain(&self) -> Done {
        let folder = self.folder();
        let known = sets::known(&*self.repository, &folder)?;
        let current = self.standing.set().unwrap_or_default();
        let gone = retention::too_old(&known, &current, self.settings.keep, self.vault.moment());
        for set in &gone {
            sets::remove(&*self.repository, &folder, set)?;
        }
        Ok((!gone.is_empty()).then(|| format!("removed {}", gone.join(", "))))
    }

    fn verify(&self) -> Done {
        let (mut objects, mut bytes, mut count) = (0, 0, 0);
        for set in sets::list(&*self.repository, &self.folder())? {
            let found = sets::verify(&*self.repository, &set, self.vault.backup_keys())?;
            (objects, bytes, count) = (objects + found.0, bytes + found.1, count + 1);
        }
        Ok(Some(format!("{count} sets, {objects} objects, {bytes} bytes, all as they were written")))
    }

    fn drill(&self) -> Done {
        let course = self.course().clone();
        let course = course.ok_or_else(|| BackupError::Absent("there is no set yet".into()))?;
        let (vault, state, repository) = (&*self.vault, &*self.state, &*self.repository);
        let begun_at = Instant::now();
        let restored = Drill { vault, state, repository, course: &course }.hold()?;
        let now = self.vault.moment();
        let _alone = self.alone();
        if let Some(course) = self.course().as_mut() {
            course.drilled_at = Some(now);
            course.keep(&self.state).map_err(|why| BackupError::Io(why.to_string()))?;
        }
        let written_at = restored.written_at.map_or_else(|| now.unix(), |micros| micros / 1_000_000);
        let age = now.unix().saturating_sub(written_at);
        self.standing.drilled(now, begun_at.elapsed(), age);
        Ok(Some(format!(
            "{}: {} values in {} records opened, as the live store was at change {}; back in {} ms (RTO), {age} s old (RPO)",
            restored.set,
            restored.proof.values,
            restored.proof.records,
            restored.change.sequence,
            begun_at.elapsed().as_millis(),
        )))
    }
}
