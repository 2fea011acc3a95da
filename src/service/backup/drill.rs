//! The drill: the newest set becomes a store again, beside the live one, and is held against it.
//!
//! The hard problem: nobody knows what a backup is worth until it is needed. The answer: what a person would do is done, once
//! a week, with the one identity that this machine has: all objects are fetched and opened, both logs are read link by
//! link, each sealed value is opened with the live keys, and the store must have the digest that the live journal has at
//! that change.
//!
//! Never leaves anything behind, and never makes anything that a daemon would start on.

use std::fs;
use std::io;
use std::path::Path;

use super::BackupError;
use super::course::Course;
use super::journal::{self, Reached};
use super::repository::Repository;
use super::restore::{Restored, Wanted, rehearse};
use crate::chain::Mark;
use crate::crypto::hex;
use crate::os::space;
use crate::vault::Vault;

/// Where it is held, in the state directory.
const SCRATCH: &str = "drill";
/// Left to those who are served.
const SPARE: u64 = 256 << 20;

/// What a drill needs.
pub(super) struct Drill<'a> {
    pub(super) vault: &'a Vault,
    pub(super) state: &'a Path,
    pub(super) repository: &'a dyn Repository,
    pub(super) course: &'a Course,
}

impl Drill<'_> {
    /// Holds it.
    pub(super) fn hold(&self) -> Result<Restored, BackupError> {
        let scratch = self.state.join(SCRATCH);
        clear(&scratch)?;
        let held = self.in_scratch(&scratch);
        clear(&scratch)?;
        let restored = held?;
        self.compare(&restored)?;
        Ok(restored)
    }

    fn in_scratch(&self, scratch: &Path) -> Result<Restored, BackupError> {
        let lost =
            || BackupError::Keys("what opens the newest set here is lost; the next set has its own".into());
        let identity = self.vault.open_drill_identity(&self.course.drill_identity).ok_or_else(lost)?;
        if !self.course.is_opened_by(&identity) {
            return Err(lost());
        }
        self.has_room()?;
        crate::os::private_file::create_directory(scratch).map_err(|why| BackupError::Io(why.to_string()))?;
        let root_keys = self.vault.root_keys_for_proof();
        let wanted = Wanted {
            repository: self.repository,
            vault: Some(&hex::encode(&self.vault.backup_keys().vault_id)),
            set: Some(&self.course.set),
            at: None,
            identities: &[&identity],
            root_keys: &root_keys,
            state: &scratch.join("state"),
            audit: &scratch.join("audit"),
        };
        rehearse(&wanted, &mut |_| {})
    }

    /// A drill that fills the disk would be worse than none.
    fn has_room(&self) -> Result<(), BackupError> {
        let size = |path: &Path| size_of(path).unwrap_or(0);
        let needed = 2 * (size(&self.state.join("journal")) + size(&self.state.join("snapshots")))
            + size(self.vault.audit().directory())
            + SPARE;
        let free = space::free(self.state).map_err(|why| BackupError::io(self.state, &why))?;
        if free >= needed {
            return Ok(());
        }
        let what = format!("a drill needs {needed} bytes beside the state, and {free} are free");
        Err(BackupError::Io(what))
    }

    /// Whether the live journal says the same of the store at that change.
    fn compare(&self, restored: &Restored) -> Result<(), BackupError> {
        if restored.change.sequence == 0 {
            return Ok(());
        }
        let identity = &self.vault.backup_keys().journal;
        let directory = self.state.join("journal");
        let live = journal::find(&directory, identity, restored.change.sequence)?;
        let gone = || {
            BackupError::Absent(format!("change {} is no longer in the journal", restored.change.sequence))
        };
        let live = live.ok_or_else(gone)?;
        agree(&live, &restored.change, restored.tally)
    }
}

/// What was restored must be what the live journal says of the store at that change.
fn agree(live: &Reached, change: &Mark, tally: (u64, u128)) -> Result<(), BackupError> {
    if live.mark == *change && (live.tally.records, live.tally.digest) == tally {
        return Ok(());
    }
    let sequence = live.mark.sequence;
    Err(BackupError::Damaged(format!("change {sequence} restores to another state than the live one")))
}

fn size_of(directory: &Path) -> io::Result<u64> {
    let mut size = 0;
    for entry in fs::read_dir(directory)? {
        size += entry?.metadata()?.len();
    }
    Ok(size)
}

fn clear(scratch: &Path) -> Result<(), BackupError> {
    match fs::remove_dir_all(scratch) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => Err(BackupError::io(scratch, &why)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::index::tally::Tally;

    #[test]
    fn another_state_than_the_live_one_fails_a_drill() {
        let mark = Mark { sequence: 7, chain: [1; 32] };
        let live = Reached { mark, written_at: 5, tally: Tally { records: 3, digest: 9 } };
        agree(&live, &mark, (3, 9)).expect("the same");
        let other = Mark { chain: [2; 32], ..mark };
        for (change, tally) in [(mark, (2, 9)), (mark, (3, 8)), (other, (3, 9))] {
            let refused = agree(&live, &change, tally).expect_err("another");
            assert!(matches!(refused, BackupError::Damaged(_)), "{refused:?}");
        }
    }
}
