//! Which set a restore takes, and what stands in it.
//!
//! The hard problem: what is listed may be half written, half removed, or somebody else's. The answer: a set is what its
//! manifests say, from the first on without a gap; what they are worth, the keys tell afterwards.
//!
//! Never takes a set that began after the moment that is asked for.

use tokenkeep_client::moment::Moment;

use crate::service::backup::BackupError;
use crate::service::backup::manifest::{self, LONGEST, Tagged};
use crate::service::backup::repository::{Repository, read_small};

/// A set, as far as it is there.
#[derive(Debug, Clone)]
pub struct Set {
    /// The folder of its vault.
    pub vault: String,
    /// Its folder in there.
    pub name: String,
    /// Its parts, in order, from the first; at least one.
    pub parts: Vec<Tagged>,
}

impl Set {
    /// Where its objects are.
    #[must_use]
    pub fn folder(&self) -> String {
        format!("{}/{}", self.vault, self.name)
    }

    /// When it was begun.
    #[must_use]
    pub fn begun_at(&self) -> Moment {
        self.parts.first().map_or_else(zero, |part| part.manifest.made_at)
    }

    /// When its last part was made.
    #[must_use]
    pub fn ended_at(&self) -> Moment {
        self.parts.last().map_or_else(zero, |part| part.manifest.made_at)
    }
}

fn zero() -> Moment {
    std::time::UNIX_EPOCH.into()
}

/// The vault whose backups are meant: the one that is named, or the only one.
pub(super) fn vault(repository: &dyn Repository, named: Option<&str>) -> Result<String, BackupError> {
    let found = repository.folders("")?;
    let vaults: Vec<String> = found.into_iter().filter(|name| is_vault(name)).collect();
    match (named, vaults.as_slice()) {
        (Some(named), vaults) if vaults.iter().any(|vault| vault == named) => Ok(named.to_owned()),
        (Some(_), _) | (None, []) => {
            Err(BackupError::Absent(format!("{}: no backup of such a vault", repository.describe())))
        }
        (None, [only]) => Ok(only.clone()),
        (None, several) => Err(BackupError::Absent(format!(
            "backups of {} vaults are there, name one with --vault: {}",
            several.len(),
            several.join(", ")
        ))),
    }
}

fn is_vault(name: &str) -> bool {
    name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// How many of the sets that had begun by then are looked at. The newest is the one, but for a set whose beginning was the
/// last thing that a daemon did.
const LOOKED_AT: usize = 3;

/// The set that is meant: the one that is named, or of those that had begun by then the one that reaches closest to it.
pub(super) fn set(
    repository: &dyn Repository,
    vault: &str,
    named: Option<&str>,
    at: Option<Moment>,
) -> Result<Set, BackupError> {
    let (mut oldest, mut best): (_, Option<(Moment, Set)>) = (None, None);
    let mut looked_at = 0;
    for name in repository.folders(vault)?.into_iter().rev() {
        if named.is_some_and(|named| named != name) {
            continue;
        }
        let Some(begun_at) = begun_at(repository, vault, &name)? else { continue };
        oldest = Some(begun_at);
        if at.is_some_and(|at| begun_at > at) {
            continue;
        }
        let gone = || BackupError::Damaged(format!("{vault}/{name}: its first part is gone"));
        let found = match read(repository, vault, &name).and_then(|found| found.ok_or_else(gone)) {
            Ok(found) => found,
            // What is wrong with an older one is its own matter.
            Err(_) if best.is_some() => continue,
            Err(why) => return Err(why),
        };
        let reaches = at.map_or(found.ended_at(), |at| found.ended_at().min(at));
        if best.as_ref().is_none_or(|(before, _)| reaches > *before) {
            best = Some((reaches, found));
        }
        looked_at += 1;
        if looked_at == LOOKED_AT {
            break;
        }
    }
    best.map(|(_, set)| set).ok_or_else(|| {
        BackupError::Absent(match oldest {
            Some(oldest) => format!("no backup is as old as that: the oldest begins at {oldest}"),
            None => format!("{}: there is no whole backup of this vault", repository.describe()),
        })
    })
}

/// A set with all of its parts; none where not even the first is there.
///
/// # Errors
/// The repository's; a part is missing in between, or is none.
pub fn read(repository: &dyn Repository, vault: &str, name: &str) -> Result<Option<Set>, BackupError> {
    let mut numbers: Vec<u64> = repository
        .objects(&format!("{vault}/{name}"))?
        .iter()
        .filter_map(|object| manifest::part_in_name(&object.name))
        .collect();
    numbers.sort_unstable();
    if numbers.first() != Some(&1) {
        return Ok(None);
    }
    let mut parts = Vec::with_capacity(numbers.len());
    for (number, expected) in numbers.into_iter().zip(1..) {
        let gone = || BackupError::Damaged(format!("{vault}/{name}: part {expected} is gone"));
        let part = if number == expected { read_part(repository, vault, name, number)? } else { None };
        parts.push(part.ok_or_else(gone)?);
    }
    Ok(Some(Set { vault: vault.to_owned(), name: name.to_owned(), parts }))
}

/// The manifest of a part; none where it is not there.
///
/// # Errors
/// The repository's; it is none.
pub fn read_part(
    repository: &dyn Repository,
    vault: &str,
    set: &str,
    part: u64,
) -> Result<Option<Tagged>, BackupError> {
    use crate::service::backup::repository::RepositoryError::Absent;
    let name = format!("{vault}/{set}/{}", manifest::name(part));
    let text = match read_small(repository, &name, LONGEST) {
        Err(Absent(_)) => return Ok(None),
        text => text?,
    };
    let tagged = Tagged::parse(&text);
    tagged
        .map(Some)
        .ok_or_else(|| BackupError::Damaged(format!("{name} is no manifest that this program reads")))
}

/// When a set was begun; none where it has no first part.
///
/// # Errors
/// The repository's.
pub fn begun_at(repository: &dyn Repository, vault: &str, name: &str) -> Result<Option<Moment>, BackupError> {
    Ok(read_part(repository, vault, name, 1)?.map(|part| part.manifest.made_at))
}
