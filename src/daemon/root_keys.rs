//! The root keys, from their configured source: waited for at boot, read again when an admin says so.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use zeroize::Zeroizing;

use super::config::{Config, RootKey};
use crate::crypto::key_list::{KeyListError, RootKeys};
use crate::crypto::random;
use crate::crypto::root_key::patience::{Patience, fetch};
use crate::crypto::root_key::{Reach, RootKeySource, SourceError};
use crate::net::outbound::Door;
use crate::os::service_manager::ServiceManager;
use crate::service::rotation::{ReadRootKeys, Unread};

/// Why there are no root keys.
#[derive(Debug)]
pub(super) enum RootKeyError {
    /// Not to be had, however long one waits.
    Absent(SourceError),
    /// What came is no key list.
    NotAList(KeyListError),
    /// The source is not safe to use.
    Refused(SourceError),
    /// What was configured cannot be a source.
    Unusable(SourceError),
}

impl RootKeyError {
    fn of(why: SourceError) -> Self {
        if why.is_unsafe() {
            Self::Refused(why)
        } else if why.is_retryable() {
            Self::Absent(why)
        } else {
            Self::Unusable(why)
        }
    }

    /// In one word, for the audit log.
    fn reason(&self) -> &'static str {
        match self {
            Self::Absent(why) | Self::Refused(why) | Self::Unusable(why) => why.reason(),
            Self::NotAList(_) => "source_not_a_key_list",
        }
    }
}

impl fmt::Display for RootKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent(why) | Self::Refused(why) | Self::Unusable(why) => write!(f, "root key: {why}"),
            Self::NotAList(why) => write!(f, "root key: {why}"),
        }
    }
}

impl std::error::Error for RootKeyError {}

/// A reading may take as long as the longest deadline of a source (300 s), and the pause after it 30 s.
const READING: Duration = Duration::from_secs(360);

/// Waits for the root keys, patiently, and says so.
///
/// # Errors
/// See [`RootKeyError`].
pub(super) fn await_at_boot(config: &Config, manager: &ServiceManager) -> Result<RootKeys, RootKeyError> {
    let source = source(&config.root_key, &config.door)?;
    let awaited = Awaited { source, attempts: AtomicU32::new(0), manager };
    read(&awaited, &Patience::within(config.root_key_wait))
}

/// Reads the root keys again, once.
#[must_use]
pub(super) fn reader(config: &Config) -> Arc<ReadRootKeys> {
    let (root_key, door) = (config.root_key.clone(), config.door.clone());
    Arc::new(move || {
        let unread = |why: RootKeyError| Unread { why: why.to_string(), reason: why.reason() };
        if let RootKey::Exec { .. } = root_key {
            let why = "source = \"exec\" runs a program, and a running daemon runs none; restart it";
            return Err(Unread { why: why.to_owned(), reason: "source_runs_a_program" });
        }
        let source = source(&root_key, &door).map_err(unread)?;
        read(&*source, &Patience::NONE).map_err(unread)
    })
}

/// Names the source.
#[must_use]
pub(super) fn describe(config: &Config) -> String {
    source(&config.root_key, &config.door).map_or_else(|why| why.to_string(), |source| source.describe())
}

/// What [`reader`] touches.
#[must_use]
pub(super) fn reach(config: &Config) -> Reach {
    source(&config.root_key, &config.door).map(|source| source.reach()).unwrap_or_default()
}

fn source(root_key: &RootKey, door: &Door) -> Result<Box<dyn RootKeySource>, RootKeyError> {
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(Into::into);
    root_key.source(door, credentials).map_err(RootKeyError::of)
}

fn read(source: &dyn RootKeySource, patience: &Patience) -> Result<RootKeys, RootKeyError> {
    let random = || u64::from_be_bytes(random::bytes());
    let text = fetch(source, patience, &std::thread::sleep, &random).map_err(RootKeyError::of)?;
    RootKeys::parse(&text).map_err(RootKeyError::NotAList)
}

/// A source that somebody waits for: the service manager hears how it goes, and is asked for more time.
struct Awaited<'a> {
    source: Box<dyn RootKeySource>,
    attempts: AtomicU32,
    manager: &'a ServiceManager,
}

impl RootKeySource for Awaited<'_> {
    fn read(&self) -> Result<Zeroizing<Vec<u8>>, SourceError> {
        let attempt = self.attempts.fetch_add(1, Ordering::Relaxed) + 1;
        if attempt == 1 {
            self.manager.not_yet("reading the root key", READING);
        }
        self.source.read().inspect_err(|why| {
            if why.is_retryable() {
                let status = format!("waiting for the root key (attempt {attempt}): {why}");
                self.manager.not_yet(&status, READING);
                tracing::warn!(attempt, %why, "waiting for the root key");
            }
        })
    }

    fn reach(&self) -> Reach {
        self.source.reach()
    }

    fn describe(&self) -> String {
        self.source.describe()
    }
}
