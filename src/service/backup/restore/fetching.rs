//! Fetching: the objects of a set become files again.
//!
//! The hard problem: a download of gigabytes is interrupted, and nothing of it may be believed before it was verified. The
//! answer: each object is written where it belongs and noted down once its digest and its seals hold; what was not noted
//! is cut off and fetched again.
//!
//! Never writes outside of the directories that it was given, whatever a manifest says.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokenkeep_client::wire::to_body;

use super::choosing::Set;
use crate::crypto::age::{self, Identity};
use crate::crypto::digest::Measured;
use crate::os::durable;
use crate::os::private_file;
use crate::service::backup::BackupError;
use crate::service::backup::manifest::{Holds, Object};
use crate::service::backup::repository::{Reader, Repository};
use crate::store::journal::segment;

/// Says, in the directory, that a restore is under way in it, and how far it has come.
const PROGRESS: &str = "restore.json";
const LONGEST: usize = 4 << 20;

/// Where a restore puts things.
#[derive(Debug, Clone, Copy)]
pub(super) struct Into<'a> {
    pub(super) state: &'a Path,
    pub(super) audit: &'a Path,
}

/// How far a restore has come.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Progress {
    set: String,
    at: Option<String>,
    parts: u64,
    /// Objects that are there, counted over all parts.
    done: usize,
}

/// Fetches all that goes into files; told before each object how many bytes of how many are there.
pub(super) fn fetch(
    repository: &dyn Repository,
    set: &Set,
    at: Option<&str>,
    identities: &[&Identity],
    into: Into<'_>,
    told: &mut dyn FnMut(u64, u64),
) -> Result<u64, BackupError> {
    let mut progress = prepare(set, at, into)?;
    let objects: Vec<&Object> = set.parts.iter().flat_map(|part| &part.manifest.objects).collect();
    let files: Vec<&Object> = objects.into_iter().filter(|object| object.holds != Holds::Header).collect();
    let total = files.iter().map(|object| object.sealed_bytes).sum();
    let mut fetched = 0;
    for (number, object) in files.iter().enumerate() {
        told(fetched, total);
        fetched += object.sealed_bytes;
        if number < progress.done {
            continue;
        }
        let name = format!("{}/{}", set.folder(), object.name);
        let path = place(object, into)?;
        fetch_one(repository, &name, object, identities, &path)?;
        progress.done = number + 1;
        note(into, &progress)?;
    }
    told(fetched, total);
    Ok(fetched)
}

/// Opens a small object in memory.
pub(super) fn open_small(
    repository: &dyn Repository,
    name: &str,
    object: &Object,
    identities: &[&Identity],
    most: u64,
) -> Result<Vec<u8>, BackupError> {
    let mut bytes = Vec::new();
    copy(repository, name, object, identities, &mut |opened| opened.take(most).read_to_end(&mut bytes))?;
    Ok(bytes)
}

fn fetch_one(
    repository: &dyn Repository,
    name: &str,
    object: &Object,
    identities: &[&Identity],
    path: &Path,
) -> Result<(), BackupError> {
    let io = |why: io::Error| BackupError::io(path, &why);
    let file =
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path).map_err(io)?;
    if file.metadata().map_err(io)?.len() < object.from {
        return Err(BackupError::Damaged(format!("{name} does not go on where the part before it ends")));
    }
    // What an interrupted fetch left behind it goes.
    file.set_len(object.from).map_err(io)?;
    let mut file = file;
    io::Seek::seek(&mut file, io::SeekFrom::Start(object.from)).map_err(io)?;
    copy(repository, name, object, identities, &mut |opened| {
        io::copy(opened, &mut file).map(|copied| usize::try_from(copied).unwrap_or(usize::MAX))
    })?;
    durable::sync_data(&file).map_err(io)?;
    sync(path.parent().unwrap_or(path))
}

/// Opens an object, and sees that it is the one that the manifest names, of the length that it names.
pub(super) fn copy(
    repository: &dyn Repository,
    name: &str,
    object: &Object,
    identities: &[&Identity],
    take: &mut dyn FnMut(&mut dyn Read) -> io::Result<usize>,
) -> Result<(), BackupError> {
    let mut measured = Measured::new(Reader::new(repository, name));
    let mut opened = age::open(identities, &mut measured).map_err(|why| BackupError::of_age(name, why))?;
    let copied = take(&mut opened).map_err(|why| BackupError::reading(name, why))?;
    drop(opened);
    let (_, sealed, sum) = measured.finish();
    let is_it = sealed == object.sealed_bytes && sum == object.sha256 && copied as u64 == object.bytes;
    is_it.then_some(()).ok_or_else(|| BackupError::Damaged(format!("{name} is not what its manifest says")))
}

fn place(object: &Object, into: Into<'_>) -> Result<PathBuf, BackupError> {
    let file = &object.file;
    let is_plain = !file.is_empty()
        && !file.starts_with('.')
        && file.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
    let refused = || BackupError::Damaged(format!("{} would go to a place of its own choice", object.name));
    match object.holds {
        Holds::Journal if segment::first_in_name(file).is_some() => Ok(into.state.join("journal").join(file)),
        Holds::Audit if is_plain && file.ends_with(".jsonl") => Ok(into.audit.join(file)),
        Holds::Snapshot if is_plain && file.ends_with(".snapshot") => {
            Ok(into.state.join("snapshots").join(file))
        }
        _ => Err(refused()),
    }
}

/// The directories, made; or those of the same restore, which was interrupted.
fn prepare(set: &Set, at: Option<&str>, into: Into<'_>) -> Result<Progress, BackupError> {
    let fresh =
        Progress { set: set.folder(), at: at.map(str::to_owned), parts: set.parts.len() as u64, done: 0 };
    let path = into.state.join(PROGRESS);
    if let Ok(text) = private_file::read(&path, LONGEST) {
        let left: Option<Progress> = serde_json::from_slice(&text).ok();
        return match left {
            Some(left) if left.is_of(&fresh) => Ok(left),
            _ => Err(BackupError::NotEmpty(format!(
                "{} holds another restore that did not end; remove what is in it",
                into.state.display()
            ))),
        };
    }
    for directory in [into.state, into.audit] {
        let is_empty = fs::read_dir(directory).map_or(true, |mut entries| entries.next().is_none());
        if !is_empty {
            let what = format!("{} is not empty; name an empty directory", directory.display());
            return Err(BackupError::NotEmpty(what));
        }
    }
    for directory in [into.state.to_owned(), into.state.join("journal"), into.audit.to_owned()] {
        make(&directory)?;
    }
    if set.parts.iter().flat_map(|part| &part.manifest.objects).any(|object| object.holds == Holds::Snapshot)
    {
        make(&into.state.join("snapshots"))?;
    }
    note(into, &fresh)?;
    Ok(fresh)
}

impl Progress {
    /// Whether it is of the same restore, however far.
    fn is_of(&self, other: &Self) -> bool {
        (&self.set, &self.at, self.parts) == (&other.set, &other.at, other.parts)
    }
}

fn make(directory: &Path) -> Result<(), BackupError> {
    let made = match DirBuilder::new().mode(0o700).create(directory) {
        Err(why) if why.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    };
    made.map_err(|why| BackupError::io(directory, &why))?;
    private_file::judge_directory(directory).map_err(|why| BackupError::Io(why.to_string()))?;
    sync(directory.parent().unwrap_or(directory))
}

fn note(into: Into<'_>, progress: &Progress) -> Result<(), BackupError> {
    let path = into.state.join(PROGRESS);
    private_file::replace(&path, &to_body(progress), 0o600).map_err(|why| BackupError::Io(why.to_string()))
}

/// The restore is over.
pub(super) fn forget(into: Into<'_>) -> Result<(), BackupError> {
    let path = into.state.join(PROGRESS);
    fs::remove_file(&path).map_err(|why| BackupError::io(&path, &why))?;
    sync(into.state)
}

pub(super) fn sync(directory: &Path) -> Result<(), BackupError> {
    durable::sync_directory(directory).map_err(|why| BackupError::io(directory, &why))
}
