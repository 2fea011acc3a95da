//! What this side of mTLS shows and trusts: certificate, key, CA.
//!
//! The hard part is that they change while the application runs: certificates that live for hours are
//! the rule where a machine issues them. Credentials from files follow the files. Whoever replaces
//! three files cannot do so at once, so what does not fit together is not taken: the old ones stay in use,
//! and the files are looked at again until they fit.
//!
//! Never half new: certificate, key and CA change together or not at all.

use super::pem::{Unusable, config};
use crate::secret::WipedBytes;
use rustls::ClientConfig;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often the files are looked at, when there is something to ask.
const LOOK: Duration = Duration::from_secs(1);

/// Largest file that is read: no chain of certificates comes near it.
const FILE: u64 = 1 << 20;

/// Certificate, key and CA, ready to be used.
pub struct Credentials {
    config: Arc<ClientConfig>,
    files: Option<Files>,
}

/// The files, and what they looked like when they were read.
struct Files {
    certificate: PathBuf,
    key: PathBuf,
    ca: PathBuf,
    seen: [Stamp; 3],
}

/// Changes whenever a file is written or replaced, also behind a symbolic link.
#[derive(PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

impl Credentials {
    /// From PEM files. They are read again when they change: at most once a second, when there is something
    /// to ask. `certificate` may hold a chain, the own one first; `ca` may hold several.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn from_files(
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
        ca: impl Into<PathBuf>,
    ) -> Result<Self, Unusable> {
        load(certificate.into(), key.into(), ca.into())
    }

    /// From PEM in memory, which the caller wipes. [`Client::replace_credentials`](crate::Client::replace_credentials)
    /// takes new ones.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn from_pem(certificate: &[u8], key: &[u8], ca: &[u8]) -> Result<Self, Unusable> {
        Ok(Self { config: Arc::new(config(certificate, key, ca)?), files: None })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

/// The credentials in use.
pub(super) struct Current {
    credentials: Credentials,
    epoch: u64,
    looked: Instant,
}

impl Current {
    pub(super) fn new(credentials: Credentials) -> Self {
        Self { credentials, epoch: 0, looked: Instant::now() }
    }

    /// The configuration to connect with, and the count of those before it.
    pub(super) fn look(&mut self) -> (Arc<ClientConfig>, u64) {
        if self.looked.elapsed() >= LOOK {
            self.looked = Instant::now();
            if self.credentials.files.as_ref().is_some_and(Files::have_changed) {
                // What cannot be used now may be half written: the next look may find it whole.
                drop(self.reload());
            }
        }
        (Arc::clone(&self.credentials.config), self.epoch)
    }

    /// Reads the files again, whether they have changed or not. Small files, once in a certificate's life:
    /// not worth a thread.
    pub(super) fn reload(&mut self) -> Result<(), Unusable> {
        if let Some(files) = &self.credentials.files {
            let again = load(files.certificate.clone(), files.key.clone(), files.ca.clone())?;
            self.replace(again);
        }
        Ok(())
    }

    pub(super) fn replace(&mut self, credentials: Credentials) {
        self.credentials = credentials;
        self.epoch += 1;
    }
}

impl Files {
    fn have_changed(&self) -> bool {
        // A file that is gone for a moment is being replaced.
        stamps([&self.certificate, &self.key, &self.ca]).is_ok_and(|now| now != self.seen)
    }
}

fn load(certificate: PathBuf, key: PathBuf, ca: PathBuf) -> Result<Credentials, Unusable> {
    // Before they are read: a change in between is seen at the next look.
    let seen = stamps([&certificate, &key, &ca])?;
    let config = config(&read(&certificate)?, &read(&key)?, &read(&ca)?)?;
    Ok(Credentials { config: Arc::new(config), files: Some(Files { certificate, key, ca, seen }) })
}

fn stamps(paths: [&Path; 3]) -> Result<[Stamp; 3], Unusable> {
    let [certificate, key, ca] = paths.map(stamp);
    Ok([certificate?, key?, ca?])
}

fn stamp(path: &Path) -> Result<Stamp, Unusable> {
    let seen = path.metadata().map_err(|error| unreadable(path, error.kind()))?;
    let modified = (seen.mtime(), seen.mtime_nsec());
    Ok(Stamp { device: seen.dev(), inode: seen.ino(), length: seen.len(), modified })
}

/// The whole file, in a buffer that never grows and is wiped.
fn read(path: &Path) -> Result<WipedBytes, Unusable> {
    let file = File::open(path).map_err(|error| unreadable(path, error.kind()))?;
    let length = file.metadata().map_err(|error| unreadable(path, error.kind()))?.len();
    let room = usize::try_from(length.min(FILE)).unwrap_or_default() + 1;
    let mut bytes = WipedBytes::with_capacity(room);
    let read = file.take(room as u64).read_to_end(&mut bytes);
    match read.map_err(|error| unreadable(path, error.kind()))? {
        all if all < room => Ok(bytes),
        _ => Err(unreadable(path, io::ErrorKind::FileTooLarge)),
    }
}

fn unreadable(path: &Path, kind: io::ErrorKind) -> Unusable {
    Unusable::Unreadable { path: path.to_owned(), kind }
}
