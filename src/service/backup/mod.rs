//! Backups: sets that open without this machine, shipped while the vault works, and drills that prove them
//! (docs/backup.md).
//!
//! ```text
//! VAULT/SET/part-00000001.json    a whole state: a snapshot, both logs, vault.json
//! VAULT/SET/part-00000002.json    what came after it, within the minute
//! VAULT/SET/00000002-00-journal-1f2e3d4c.age    an object of a part, sealed
//! ```
//!
//! The hard problem: a backup is only as good as what is left when the machine is gone. The answer: each change goes out
//! within a minute; a set holds all that a restore needs; what was written is read back; and a drill restores it as a
//! person would.
//!
//! Never keeps a caller waiting: what cannot be shipped is shipped later, and said.

mod course;
mod drill;
mod fault;
mod journal;
mod kept;
pub mod manifest;
pub mod repository;
pub mod restore;
mod retention;
mod sets;
mod shipping;
mod standing;
mod work;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokenkeep_client::wire::{BackupsOut, Finding};
use tokio::sync::Notify;
use tokio::time::{Interval, MissedTickBehavior, interval};

pub use self::fault::BackupError;
use self::repository::Repository;
use self::repository::directory::Directory;
use self::repository::s3;
use self::standing::Standing;
use self::work::Work;
use crate::crypto::age::Recipient;
use crate::crypto::hex;
use crate::domain::action::Action;
use crate::net::outbound::Door;
use crate::store::embedded::EmbeddedStore;
use crate::vault::Vault;
use crate::vault::ask::Ask;
use crate::vault::caller::Caller;
use crate::vault::kept::KeptKeys;
use crate::vault::refusal::Refusal;
use crate::vault::request_id::RequestId;

/// Where backups go, for whom, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where to.
    pub place: Place,
    /// Who can open them.
    pub recipients: Vec<Recipient>,
    /// How often a new set is begun.
    pub every: Duration,
    /// How often what has changed is shipped.
    pub ship: Duration,
    /// How long a set is kept.
    pub keep: Duration,
    /// How often a drill is held.
    pub drill: Duration,
}

/// Where backups go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A bucket.
    Bucket(s3::Settings),
    /// A directory that is there.
    Directory(PathBuf),
}

impl Place {
    /// The directory, where it is one.
    #[must_use]
    pub fn directory(&self) -> Option<&Path> {
        match self {
            Self::Bucket(_) => None,
            Self::Directory(path) => Some(path),
        }
    }

    /// The bucket, where it is one.
    #[must_use]
    pub fn bucket(&self) -> Option<&s3::Settings> {
        match self {
            Self::Bucket(settings) => Some(settings),
            Self::Directory(_) => None,
        }
    }

    /// What keeps them, by this door out; none where the region of a bucket has no endpoint.
    #[must_use]
    pub fn repository(&self, door: &Door) -> Option<Box<dyn Repository>> {
        match self {
            Self::Bucket(settings) => Some(Box::new(s3::Bucket::new(settings.clone(), door)?)),
            Self::Directory(path) => Some(Box::new(Directory::new(path.clone()))),
        }
    }
}

/// How often it is looked whether something that takes long is due.
const LOOK: Duration = Duration::from_secs(30);

/// What an admin may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// A new set.
    Create,
    /// A drill.
    Drill,
    /// All objects are read.
    Verify,
}

/// The backups of a vault.
pub struct Backups {
    vault: Arc<Vault>,
    work: Arc<Work>,
    standing: Arc<Standing>,
    asked: Notify,
    ship: Duration,
}

impl Backups {
    /// Of this vault, by these settings.
    #[must_use]
    pub fn new(
        (vault, store): (&Arc<Vault>, &Arc<EmbeddedStore>),
        state: &Path,
        settings: Settings,
        repository: Box<dyn Repository>,
    ) -> Arc<Self> {
        vault.meters().backup().configured();
        let standing = Arc::new(Standing::new(Arc::clone(vault.meters())));
        let ship = settings.ship;
        let work = Work::new((vault, store), state, settings, repository, &standing);
        Arc::new(Self { vault: Arc::clone(vault), work, standing, asked: Notify::new(), ship })
    }

    /// Ships, begins sets, drills and removes, for as long as the daemon runs.
    pub async fn run(self: Arc<Self>) {
        tokio::join!(self.ship_again_and_again(), self.do_what_is_due());
    }

    async fn ship_again_and_again(&self) {
        let mut turns = every(self.ship);
        loop {
            turns.tick().await;
            self.work.ship_turn().await;
            self.work.look_for_a_late_drill().await;
        }
    }

    async fn do_what_is_due(&self) {
        let mut turns = every(LOOK.min(self.ship));
        loop {
            tokio::select! {
                _ = turns.tick() => {}
                () = self.asked.notified() => {}
            }
            self.work.long_turn().await;
        }
    }

    /// What `doctor` says of them.
    #[must_use]
    pub fn examine(&self) -> Vec<Finding> {
        let (now, root) = (self.vault.moment(), self.vault.root_keys_for_proof());
        self.standing.examine(self.work.settings(), now, &root)
    }

    /// What the sets that are kept need of the keys: read now, from where they are.
    ///
    /// # Errors
    /// The repository does not answer in time, or what is in it cannot be told; the first set of all is being begun.
    pub async fn kept_keys(&self) -> Result<KeptKeys, BackupError> {
        kept::read_in_time(&self.work).await
    }

    /// The backups there are, and how it goes.
    ///
    /// # Errors
    /// The door's; `not_ready` where the repository does not answer.
    pub async fn list(&self, caller: &Caller, request: RequestId) -> Result<BackupsOut, Refusal> {
        let permit = self.vault.admit(caller, Ask::new(&request, Action::BackupRead))?;
        permit.settle(self.describe().await, |_| None).await
    }

    /// Begins a task; it goes on by itself. Beginning it twice is one.
    ///
    /// # Errors
    /// The door's.
    pub async fn begin(
        &self,
        caller: &Caller,
        request: RequestId,
        task: Task,
    ) -> Result<BackupsOut, Refusal> {
        let permit = self.vault.admit(caller, Ask::new(&request, Action::BackupMake).on(task.as_str()))?;
        self.standing.ask(task);
        self.asked.notify_one();
        permit.settle(Ok(self.shape(Vec::new())), |_| None).await
    }

    async fn describe(&self) -> Result<BackupsOut, Refusal> {
        let work = Arc::clone(&self.work);
        let unended = |_| Err(BackupError::Io("the repository could not be read".into()));
        let listed = tokio::task::spawn_blocking(move || work.sets()).await.unwrap_or_else(unended);
        let unread = |why: BackupError| {
            let code = tokenkeep_client::problem::Code::NotReady;
            Refusal {
                reason: Some(why.reason()),
                ..Refusal::new(code, format!("the backups cannot be listed: {why}"))
            }
        };
        Ok(self.shape(listed.map_err(unread)?))
    }

    fn shape(&self, items: Vec<tokenkeep_client::wire::BackupSet>) -> BackupsOut {
        BackupsOut {
            repository: self.work.describe(),
            vault: hex::encode(&self.vault.backup_keys().vault_id),
            set: self.standing.set(),
            behind_seconds: self.standing.behind(self.vault.moment()),
            running: self.standing.running().map(str::to_owned),
            last: self.standing.runs(),
            items,
        }
    }
}

fn every(span: Duration) -> Interval {
    let mut turns = interval(span);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    turns
}

impl Task {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Drill => "drill",
            Self::Verify => "verify",
        }
    }
}
