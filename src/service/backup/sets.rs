//! The sets there are: listed, read whole, removed.
//!
//! Never opens an object: whether it is the one that was written, its digest tells.

use tokenkeep_client::wire::BackupSet;

use super::BackupError;
use super::manifest::part_in_name;
use super::repository::Repository;
use super::restore::{Set, read};
use super::retention::Known;
use super::shipping::read_back;
use crate::vault::backup::BackupKeys;

/// All that are whole, oldest first.
pub(super) fn list(repository: &dyn Repository, vault: &str) -> Result<Vec<Set>, BackupError> {
    let names = repository.folders(vault)?;
    let read = names.iter().filter_map(|name| read(repository, vault, name).transpose());
    read.collect()
}

/// What a set is, for those who look.
pub(super) fn shape(set: &Set) -> BackupSet {
    let parts = set.parts.iter().map(|part| &part.manifest);
    let last = set.parts.last().map(|part| &part.manifest);
    BackupSet {
        set: set.name.clone(),
        begun_at: set.begun_at(),
        ended_at: last.map_or_else(|| set.begun_at(), |last| last.made_at),
        incarnation: last.map_or(0, |last| last.incarnation),
        parts: set.parts.len() as u64,
        bytes: parts.flat_map(|part| &part.objects).map(|object| object.sealed_bytes).sum(),
        sequence: last.map_or(0, |last| last.journal.sequence),
        records: last.map_or(0, |last| last.journal.records),
        root_keys: last.map_or_else(Vec::new, |last| last.root_keys.clone()),
    }
}

/// Reads every object; how many there were, and how many bytes.
pub(super) fn verify(
    repository: &dyn Repository,
    set: &Set,
    keys: &BackupKeys,
) -> Result<(u64, u64), BackupError> {
    let (mut objects, mut bytes) = (0, 0);
    let mut before = String::new();
    for part in &set.parts {
        let says = &part.manifest;
        if !part.is_genuine(&keys.manifests) || says.set != set.name || says.before != before {
            let what = format!("{}: part {} was not written by this vault", set.folder(), says.part);
            return Err(BackupError::Damaged(what));
        }
        before = part.tag();
        for object in &says.objects {
            let name = format!("{}/{}", set.folder(), object.name);
            read_back(repository, &name, object.sealed_bytes, &object.sha256)?;
            objects += 1;
            bytes += object.sealed_bytes;
        }
    }
    Ok((objects, bytes))
}

/// What is there, sets that are not whole among it.
pub(super) fn known(repository: &dyn Repository, vault: &str) -> Result<Vec<Known>, BackupError> {
    let names = repository.folders(vault)?;
    let known = names.into_iter().map(|name| {
        let begun_at = super::restore::begun_at(repository, vault, &name)?;
        Ok(Known { name, begun_at })
    });
    known.collect()
}

/// Removes a set: its manifests first, from the first on, so that what is left is no set.
pub(super) fn remove(repository: &dyn Repository, vault: &str, set: &str) -> Result<(), BackupError> {
    let folder = format!("{vault}/{set}");
    let mut objects = repository.objects(&folder)?;
    objects.sort_by_key(|object| (part_in_name(&object.name).is_none(), object.name.clone()));
    for object in objects {
        repository.remove(&format!("{folder}/{}", object.name))?;
    }
    Ok(repository.remove_folder(&folder)?)
}
