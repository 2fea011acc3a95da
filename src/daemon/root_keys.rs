//! The root keys, from their configured source: waited for at boot, read again when an admin says so.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::config::{Config, RootKey};
use crate::crypto::key_list::{KeyListError, RootKeys};
use crate::crypto::random;
use crate::crypto::root_key::patience::{Patience, fetch};
use crate::crypto::root_key::{RootKeySource, SourceError};
use crate::service::rotation::ReadRootKeys;

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

/// Waits for the root keys, patiently.
///
/// # Errors
/// See [`RootKeyError`].
pub(super) fn await_at_boot(config: &Config) -> Result<RootKeys, RootKeyError> {
    read(&config.root_key, &Patience::within(config.root_key_wait))
}

/// Reads the root keys again, once.
#[must_use]
pub(super) fn reader(config: &Config) -> Arc<ReadRootKeys> {
    let source = config.root_key.clone();
    Arc::new(move || read(&source, &Patience::NONE).map_err(|why| why.to_string()))
}

/// Names the source.
#[must_use]
pub(super) fn describe(config: &Config) -> String {
    source(&config.root_key).map_or_else(|why| why.to_string(), |source| source.describe())
}

fn source(root_key: &RootKey) -> Result<Box<dyn RootKeySource>, SourceError> {
    root_key.source(std::env::var_os("CREDENTIALS_DIRECTORY").map(Into::into))
}

fn read(root_key: &RootKey, patience: &Patience) -> Result<RootKeys, RootKeyError> {
    let source = source(root_key).map_err(RootKeyError::of)?;
    let random = || u64::from_be_bytes(random::bytes());
    let text = fetch(&Said(&*source), patience, &std::thread::sleep, &random).map_err(RootKeyError::of)?;
    RootKeys::parse(&text).map_err(RootKeyError::NotAList)
}

/// A source whose failures in passing stand in the log: whoever starts the daemon sees why it waits.
struct Said<'a>(&'a dyn RootKeySource);

impl RootKeySource for Said<'_> {
    fn read(&self) -> Result<Zeroizing<Vec<u8>>, SourceError> {
        self.0.read().inspect_err(|why| {
            if why.is_retryable() {
                tracing::warn!("the root key is not to be had yet: {why}");
            }
        })
    }

    fn describe(&self) -> String {
        self.0.describe()
    }
}
