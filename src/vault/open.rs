//! Opening a vault: one straight recipe from the root keys to a store that may be served.
//!
//! The hard problem: two logs, each of which may have lost its tail. The answer: each says how long the other
//! must be; what is shorter than that is damage and refused, what is longer is a crash and mended.
//!
//! Never makes a new vault where there was one.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, RwLock};
use std::time::Instant;

use super::Vault;
use super::application_keys::ApplicationKeys;
use super::ask::Ask;
use super::backup::BackupKeys;
use super::census::Census;
use super::door::Became;
use super::former_keys::FormerKeys;
use super::header::{FILE_NAME, Header, HeaderError, VaultKeys};
use super::last_reads::LastReads;
use super::lease::Lease;
use super::open_orgs::{Bounds, OpenOrgs};
use super::outbox::Outbox;
use super::place::Blind;
use super::quarantine::Quarantine;
use super::request_id::RequestIds;
use super::rules::Standing;
use super::scrub::Scrub;
use super::stored::Stored;
use crate::audit::{self, AuditError, Log, Sync};
use crate::chain::Mark;
use crate::clock::Clock;
use crate::crypto::key::KeyId;
use crate::crypto::key_list::RootKeys;
use crate::domain::action::Action;
use crate::domain::policy::Policy;
use crate::domain::provider::Providers;
use crate::store::embedded::{self, EmbeddedStore};
use crate::store::{State, Store, Unwitnessed, Witness};

/// What a vault is opened with.
pub struct Options {
    /// Holds the header, the journal and the index.
    pub state_directory: PathBuf,
    /// Holds the audit log.
    pub audit_directory: PathBuf,
    /// When reads are synced.
    pub audit_sync: Sync,
    /// Must be the one stamped into the store.
    pub environment: String,
    /// All that are in use must be among them.
    pub root_keys: RootKeys,
    /// Who may do what.
    pub policy: Policy,
    /// Which issuers may hold tokens.
    pub providers: Providers,
    /// What applications have sealed by themselves is opened with these.
    pub application_keys: ApplicationKeys,
    /// How many org keys are kept open, and for how long.
    pub org_keys: Bounds,
    /// The machine, in words that no other one has (`os::identity`).
    pub machine: String,
    /// The daemon's own user.
    pub own_uid: u32,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// How the store keeps its files.
    pub store: embedded::Sizes,
    /// How long the store keeps segments that its snapshots cover.
    pub retention: embedded::Retention,
    /// Told how far the making of an index has come.
    pub progress: embedded::Progress,
}

/// Why a vault does not open.
#[derive(Debug)]
pub enum OpenError {
    /// The audit log's own.
    Audit(audit::OpenError),
    /// The audit log cannot be written.
    AuditUnavailable(AuditError),
    /// The audit log cannot be read.
    AuditUnreadable(audit::ReadError),
    /// The audit log is shorter than the journal says.
    AuditCutOff(Mark),
    /// The header's own.
    Header(HeaderError),
    /// A log that was there is not.
    LogMissing(&'static str),
    /// The root key list lacks a key in use.
    RootKeyMissing {
        /// Which.
        id: KeyId,
        /// How many keys it wraps.
        count: u64,
    },
    /// The store's own.
    Store(embedded::OpenError),
    /// The store opened and cannot be read, and why where it knows.
    Unreadable(Option<String>),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Audit(why) => why.fmt(f),
            Self::AuditUnavailable(why) => why.fmt(f),
            Self::AuditUnreadable(why) => why.fmt(f),
            Self::AuditCutOff(mark) => write!(
                f,
                "the audit log is cut off or replaced: the journal has seen its entry {} and it does not; \
                 restore the audit directory from a backup",
                mark.sequence
            ),
            Self::Header(why) => why.fmt(f),
            Self::LogMissing(what) => write!(
                f,
                "{what} is missing, and {FILE_NAME} says that it was there; restore the state directory from a backup"
            ),
            Self::RootKeyMissing { id, count } => write!(
                f,
                "the root key list lacks key {id}, which still wraps {count} keys; put that key back into the list"
            ),
            Self::Store(why) => why.fmt(f),
            Self::Unreadable(Some(why)) => write!(f, "the store opened and cannot be read: {why}"),
            Self::Unreadable(None) => f.write_str("the store opened and cannot be read; the log says why"),
        }
    }
}

impl std::error::Error for OpenError {}

impl Vault {
    /// Opens the vault, or makes it where there is none.
    ///
    /// # Errors
    /// See [`OpenError`]. Nothing that is there is overwritten.
    pub async fn open(options: Options) -> Result<(Arc<Self>, Arc<EmbeddedStore>), OpenError> {
        let now = options.clock.now().into();
        let directory = &options.state_directory;
        let opened =
            Header::open(directory, &options.environment, &options.root_keys).map_err(OpenError::Header)?;
        let (header, keys) = match opened {
            Some(opened) => opened,
            None => {
                refuse_headless(&options)?;
                Header::create(directory, &options.environment, &options.root_keys, now)
                    .map_err(OpenError::Header)?
            }
        };
        let no_room = |_| OpenError::Header(HeaderError::NoRoom);
        let backup = BackupKeys::new(header.vault_id, &keys).map_err(no_room)?;
        let VaultKeys { system, index, journal, audit } = keys;
        let (log, audit_found) = Log::open(audit::Options {
            directory: options.audit_directory.clone(),
            vault: header.vault_id,
            key: audit,
            sync: options.audit_sync,
            clock: Arc::clone(&options.clock),
        })
        .map_err(OpenError::Audit)?;
        let log = Arc::new(log);
        // A new log has its opening line and no entry.
        if header.is_complete() && audit_found.head.sequence <= 1 {
            return Err(OpenError::LogMissing("the audit log"));
        }
        let witness: Arc<dyn Witness> = log.clone();
        let clock = Arc::clone(&options.clock);
        let (store, store_found) = EmbeddedStore::open(embedded::Options {
            overtaken: audit_found.overtaken,
            progress: options.progress,
            segment_bytes: options.store.segment_bytes,
            snapshot_after: options.store.snapshot_after,
            retention: options.retention,
            ..embedded::Options::new(
                directory.clone(),
                header.vault_id,
                journal,
                witness,
                audit_found.journal,
                clock,
            )
        })
        .map_err(OpenError::Store)?;
        if !log.contains(store_found.witnessed).map_err(OpenError::AuditUnreadable)? {
            return Err(OpenError::AuditCutOff(store_found.witnessed));
        }
        let store = Arc::new(store);
        let quarantine = Quarantine::of(&header);
        let lease = Lease::new(directory, header.vault_id, &index, &options.machine).map_err(no_room)?;
        let vault = Arc::new(Self {
            vault_id: header.vault_id,
            own_uid: options.own_uid,
            started: Instant::now(),
            clock: options.clock,
            application_keys: options.application_keys,
            rules: Standing::new(options.policy, options.providers),
            store: Stored::new(store.clone() as Arc<dyn Store>),
            audit: log,
            header: Mutex::new(header),
            system_key: system,
            blind: Blind::new(index),
            root_keys: RwLock::new(Arc::new(options.root_keys)),
            key_change: tokio::sync::RwLock::new(()),
            open_orgs: OpenOrgs::new(options.org_keys.most),
            former_keys: FormerKeys::new(),
            org_keys: options.org_keys,
            last_reads: LastReads::new(),
            outbox: Outbox::new(),
            census: Census::new(),
            scrub: Scrub::default(),
            lease: Mutex::new(lease),
            quarantine,
            renewal: OnceLock::new(),
            revoking: OnceLock::new(),
            meters: Arc::default(),
            backup,
        });
        let read = vault.check_root_keys();
        let read = read.and_then(|()| vault.load_outbox().map_err(|_| OpenError::Unreadable(None)));
        if let Err(OpenError::Unreadable(_)) = read {
            // Its committer looks at the journal for what a reader has missed, and finds out what is damaged.
            drop(store.probe().await);
            return Err(OpenError::Unreadable(match store.health().state {
                State::Failed(why) => Some(why),
                State::Full | State::Ok => None,
            }));
        }
        read?;
        vault.record_start(&store_found.unwitnessed).await.map_err(OpenError::AuditUnavailable)?;
        if !vault.header().is_complete() {
            vault.header().complete().map_err(OpenError::Header)?;
        }
        if let Err(why) = vault.header().vouch() {
            tracing::warn!(%why, "{FILE_NAME} has no tag yet; tried again at the next start");
        }
        vault.renew_lease();
        Ok((vault, store))
    }

    fn check_root_keys(&self) -> Result<(), OpenError> {
        let in_use = self.key_use().map_err(|_| OpenError::Unreadable(None))?;
        match in_use.missing_from(&self.root_keys()) {
            Some((id, count)) => Err(OpenError::RootKeyMissing { id, count }),
            None => Ok(()),
        }
    }

    async fn record_start(&self, unwitnessed: &[Unwitnessed]) -> Result<(), AuditError> {
        for found in unwitnessed {
            self.record_recovered(found)?;
        }
        // Durable with the entry that follows: one sync, however many changes the crash cut off.
        let begun = self.header().is_complete();
        self.record_run(if begun { "start" } else { "create" }).await
    }

    /// Records an act of the daemon itself. It names no place in the journal: a change that is still under way would
    /// count as one that was written down.
    ///
    /// # Errors
    /// The audit log's.
    pub async fn record_run(&self, what: &'static str) -> Result<(), AuditError> {
        let (daemon, request) = (self.task("daemon"), RequestIds::new().next());
        let ask = Ask::new(&request, Action::VaultRun).on(what);
        let entry = self.entry(&daemon, &ask, Became::plain("ok"), None, None);
        self.audit.append_durable(&entry).await.map(|_| ())
    }
}

/// A journal without a header is a vault whose header was taken away, not a new one.
fn refuse_headless(options: &Options) -> Result<(), OpenError> {
    for directory in [options.state_directory.join("journal"), options.audit_directory.clone()] {
        let holds = std::fs::read_dir(&directory).is_ok_and(|mut entries| entries.next().is_some());
        if holds {
            return Err(OpenError::LogMissing(FILE_NAME));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
