//! Restores: a set becomes a state directory again, as it was at a second.
//!
//! ```text
//! choose a set -> fetch and open its objects -> cut both logs at that second -> open everything -> vault.json, in quarantine
//! ```
//!
//! The hard problem: what is put back must be proved before anybody relies on it. The answer: the logs are opened by the
//! very code that opens them in a daemon, each link and the digest of the store are compared, and each sealed value is
//! opened once with the root keys. Without `vault.json`, which comes last, no daemon starts on the directory.
//!
//! Asks no provider anything, and never touches a directory that has something else in it.

mod choosing;
mod cutting;
mod erasing;
mod fetching;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use tokenkeep_client::moment::Moment;

pub use choosing::{Set, begun_at, read, read_part};

use self::cutting::{Bounds, Kept};
use self::fetching::Into;
use super::BackupError;
use super::manifest::{Holds, Manifest};
use super::repository::Repository;
use crate::audit;
use crate::chain::Mark;
use crate::clock::SystemClock;
use crate::crypto::age::Identity;
use crate::crypto::key_list::RootKeys;
use crate::store::embedded::{self, EmbeddedStore};
use crate::store::{Store, Witness};
use crate::vault::backup::BackupKeys;
use crate::vault::header::{FILE_NAME, Header, VaultKeys};
use crate::vault::place::OrgBlind;
use crate::vault::proof::{self, Proof};

/// Longest that a header may be.
const LONGEST_HEADER: u64 = 64 * 1024;
/// A restore reads each record once: there is nothing to keep at hand.
const LITTLE: u64 = 8 << 20;

/// What is to be put back, and where.
pub struct Wanted<'a> {
    /// Where the backups are.
    pub repository: &'a dyn Repository,
    /// Of which vault; the only one where left out.
    pub vault: Option<&'a str>,
    /// Which set; the newest that had begun by then where left out.
    pub set: Option<&'a str>,
    /// The last second of it that is wanted; all there is where left out.
    pub at: Option<Moment>,
    /// Open the objects.
    pub identities: &'a [&'a Identity],
    /// Open the vault.
    pub root_keys: &'a RootKeys,
    /// Becomes the state directory: empty, or not there.
    pub state: &'a Path,
    /// Becomes the audit directory, likewise.
    pub audit: &'a Path,
}

/// How far a restore has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// So many bytes of so many are fetched.
    Fetched(u64, u64),
    /// Both logs are being read, link by link.
    Reading,
    /// So many records were opened.
    Opened(u64),
}

/// What was put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Of which vault, in hex.
    pub vault: String,
    /// From which set.
    pub set: String,
    /// When that set was begun.
    pub set_begun_at: Moment,
    /// The last change.
    pub change: Mark,
    /// When it was written, in microseconds since 1970; none where there is no change at all.
    pub written_at: Option<u64>,
    /// The last entry of the audit log.
    pub entry: u64,
    /// What was opened.
    pub proof: Proof,
    /// Records and digest of the store.
    pub tally: (u64, u128),
    /// Orgs that were deleted later, and are deleted again.
    pub erased: u64,
    /// How much was fetched.
    pub bytes: u64,
}

/// What stands in a set, its keys open.
struct Source {
    set: Set,
    header: Vec<u8>,
    environment: String,
    keys: VaultKeys,
    backup: BackupKeys,
}

/// Puts a vault back.
///
/// # Errors
/// See [`BackupError`]. What is in the directory then is no vault yet; the same restore goes on where it ended.
pub fn restore(
    wanted: &Wanted<'_>,
    now: Moment,
    told: &mut dyn FnMut(Step),
) -> Result<Restored, BackupError> {
    let (source, restored) = unpack(wanted, Erasing::Again, told)?;
    let path = wanted.state.join(FILE_NAME);
    let (mut header, _) = open_header(&path, &source.header, wanted.root_keys)?;
    header.put_back(now).map_err(|why| BackupError::Io(why.to_string()))?;
    fetching::forget(Into { state: wanted.state, audit: wanted.audit })?;
    Ok(restored)
}

/// As [`restore`], for a look: nothing that a daemon would start on is made of it.
///
/// # Errors
/// As [`restore`].
pub fn rehearse(wanted: &Wanted<'_>, told: &mut dyn FnMut(Step)) -> Result<Restored, BackupError> {
    unpack(wanted, Erasing::Not, told).map(|(_, restored)| restored)
}

/// Whether orgs that were deleted later are deleted again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Erasing {
    Again,
    Not,
}

fn unpack(
    wanted: &Wanted<'_>,
    erasing: Erasing,
    told: &mut dyn FnMut(Step),
) -> Result<(Source, Restored), BackupError> {
    let source = source(wanted)?;
    let into = Into { state: wanted.state, audit: wanted.audit };
    let at = wanted.at.map(|at| at.to_string());
    let mut fetched = |done, total| told(Step::Fetched(done, total));
    let bytes = fetching::fetch(
        wanted.repository,
        &source.set,
        at.as_deref(),
        wanted.identities,
        into,
        &mut fetched,
    )?;
    told(Step::Reading);
    let kept = cut(&source, wanted, into)?;
    let deleted = match (erasing, kept) {
        (Erasing::Again, Some(kept)) => erasing::deleted_after(wanted, &source, kept.written_at)?,
        _ => BTreeSet::new(),
    };
    let restored = look(&source, wanted, kept, &deleted, told)?;
    let restored = Restored { bytes, ..restored };
    Ok((source, restored))
}

/// Finds the set, opens its header, and holds its manifests against the keys in there.
fn source(wanted: &Wanted<'_>) -> Result<Source, BackupError> {
    let vault = choosing::vault(wanted.repository, wanted.vault)?;
    let set = choosing::set(wanted.repository, &vault, wanted.set, wanted.at)?;
    let header = header_of(wanted, &set)?;
    let (opened, keys) = open_header(&wanted.state.join(FILE_NAME), &header, wanted.root_keys)?;
    let no_room = |_| BackupError::NoRoom;
    let backup = BackupKeys::new(opened.vault_id, &keys).map_err(no_room)?;
    authenticate(&set, &backup, opened.environment())?;
    let environment = opened.environment().to_owned();
    Ok(Source { set, header, environment, keys, backup })
}

/// The header as it stood last: that of the moment asked for, as far as that can be told.
fn header_of(wanted: &Wanted<'_>, set: &Set) -> Result<Vec<u8>, BackupError> {
    let by_then = |manifest: &Manifest| wanted.at.is_none_or(|at| manifest.made_at <= at);
    let parts = set.parts.iter().map(|part| &part.manifest);
    let held = parts.filter(|manifest| manifest.part == 1 || by_then(manifest));
    let mut headers =
        held.flat_map(|manifest| &manifest.objects).filter(|object| object.holds == Holds::Header);
    let absent = || BackupError::Damaged(format!("{} holds no {FILE_NAME}", set.folder()));
    let object = headers.next_back().ok_or_else(absent)?;
    let name = format!("{}/{}", set.folder(), object.name);
    fetching::open_small(wanted.repository, &name, object, wanted.identities, LONGEST_HEADER)
}

#[derive(Deserialize)]
struct Stamped {
    environment: String,
}

fn open_header(path: &Path, text: &[u8], root: &RootKeys) -> Result<(Header, VaultKeys), BackupError> {
    let damaged = || BackupError::Damaged(format!("{FILE_NAME} makes no sense"));
    let Stamped { environment } = serde_json::from_slice(text).map_err(|_| damaged())?;
    Header::parse(path.to_owned(), text, &environment, root).map_err(|why| BackupError::Keys(why.to_string()))
}

/// Whether the manifests are this vault's, and none is missing between the first and the last.
fn authenticate(set: &Set, keys: &BackupKeys, environment: &str) -> Result<(), BackupError> {
    let mut before = String::new();
    for part in &set.parts {
        let says = &part.manifest;
        let is_ours = part.is_genuine(&keys.manifests)
            && says.vault_id == crate::crypto::hex::encode(&keys.vault_id)
            && says.environment == environment
            && says.set == set.name
            && says.before == before;
        if !is_ours {
            let what = format!("{}: part {} was not written by this vault", set.folder(), says.part);
            return Err(BackupError::Damaged(what));
        }
        before = part.tag();
    }
    Ok(())
}

fn cut(source: &Source, wanted: &Wanted<'_>, into: Into<'_>) -> Result<Option<Kept>, BackupError> {
    let Some(last) = source.set.parts.last().map(|part| &part.manifest) else { return Ok(None) };
    let second = |at: Moment| at.unix().saturating_add(1).saturating_mul(1_000_000);
    let bounds = Bounds {
        until: wanted.at.map_or(u64::MAX, second),
        change: last.journal.sequence,
        entry: last.audit.sequence,
    };
    let of_journal = cutting::journal(&into.state.join("journal"), &source.backup.journal, bounds)?;
    let of_snapshot = cutting::snapshot(&into.state.join("snapshots"), &source.backup.journal)?;
    let kept = of_journal.into_iter().chain(of_snapshot).max_by_key(|kept| kept.change.sequence);
    let change = kept.map_or(0, |kept| kept.change.sequence);
    cutting::audit(into.audit, &source.keys.audit, source.backup.vault_id, change)?;
    Ok(kept)
}

/// What the journal is told of the audit log: what stands in it.
struct Still(Mark);

impl Witness for Still {
    fn durable_head(&self) -> Mark {
        self.0
    }
}

/// Opens everything, as a daemon would at its start, and each value beyond.
fn look(
    source: &Source,
    wanted: &Wanted<'_>,
    kept: Option<Kept>,
    deleted: &BTreeSet<OrgBlind>,
    told: &mut dyn FnMut(Step),
) -> Result<Restored, BackupError> {
    let damaged = |why: &dyn std::fmt::Display| BackupError::Damaged(why.to_string());
    let clock = Arc::new(SystemClock);
    let (log, found) = audit::Log::open(audit::Options {
        directory: wanted.audit.to_owned(),
        vault: source.backup.vault_id,
        key: source.keys.audit.clone(),
        sync: audit::Sync::DEFAULT,
        clock: clock.clone(),
    })
    .map_err(|why| damaged(&why))?;
    let options = embedded::Options {
        overtaken: found.overtaken,
        cache_bytes: LITTLE,
        index_cache_bytes: LITTLE,
        ..embedded::Options::new(
            wanted.state.to_owned(),
            source.backup.vault_id,
            source.keys.journal.clone(),
            Arc::new(Still(found.head)),
            found.journal,
            clock,
        )
    };
    let (store, opened) = EmbeddedStore::open(options).map_err(|why| damaged(&why))?;
    if !log.contains(opened.witnessed).map_err(|why| damaged(&why))? {
        return Err(BackupError::Damaged("the journal has seen entries of another audit log".into()));
    }
    log.close();
    let keys =
        proof::Keys { vault_id: source.backup.vault_id, system: &source.keys.system, root: wanted.root_keys };
    let erased = if deleted.is_empty() { 0 } else { erasing::delete(&store, &keys, deleted)? };
    let proven = proof::prove(&store, &keys, &mut |records| told(Step::Opened(records)));
    let health = store.health();
    let tally = store.tally();
    store.close();
    Ok(Restored {
        vault: source.set.vault.clone(),
        set: source.set.name.clone(),
        set_begun_at: source.set.begun_at(),
        change: health.head,
        written_at: kept.map(|kept| kept.written_at),
        entry: found.head.sequence,
        proof: proven.map_err(|why| BackupError::Keys(why.to_string()))?,
        tally: (tally.records, tally.digest),
        erased,
        bytes: 0,
    })
}
