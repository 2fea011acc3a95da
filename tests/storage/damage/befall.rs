//! What befalls files.
//!
//! Never leaves a file as it was and says that it did something.

use std::fs;
use std::path::{Path, PathBuf};

use crate::chance::Chance;
use crate::power_cut::below;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Damage {
    BitFlip,
    Deletion,
    /// An older copy of a file, over it, or where it was.
    OldCopy,
    Swap,
    Truncation,
    ZeroedPage,
}

pub(crate) const ALL: [Damage; 6] = [
    Damage::BitFlip,
    Damage::ZeroedPage,
    Damage::Truncation,
    Damage::Deletion,
    Damage::Swap,
    Damage::OldCopy,
];

/// Which part of the state a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Audit,
    Header,
    Index,
    Journal,
    Lease,
    Snapshot,
    Other,
}

impl Part {
    pub(crate) fn of(name: &Path) -> Self {
        let text = name.to_string_lossy();
        match text.as_ref() {
            "vault.json" => Self::Header,
            "lease.json" => Self::Lease,
            _ if text.ends_with(".jsonl") => Self::Audit,
            _ if text.ends_with(".journal") => Self::Journal,
            _ if text.ends_with(".snapshot") => Self::Snapshot,
            _ if text.starts_with("index/") => Self::Index,
            _ => Self::Other,
        }
    }
}

const PAGE: usize = 4096;

/// Does it to a file below `state`, taking the older one from below `old`. Says to which, and to which other.
pub(crate) fn befall(
    damage: Damage,
    state: &Path,
    old: &Path,
    names: &[PathBuf],
    chance: &mut Chance,
) -> Option<Vec<PathBuf>> {
    // Each part as often as any other, however many files it has.
    let mut parts: Vec<Part> = names.iter().map(|name| Part::of(name)).collect();
    parts.sort_unstable();
    parts.dedup();
    let part = parts[chance.below(parts.len() as u64) as usize];
    let of_part: Vec<&PathBuf> = names.iter().filter(|name| Part::of(name) == part).collect();
    let name = of_part[chance.below(of_part.len() as u64) as usize];
    let file = state.join(name);
    let bytes = fs::read(&file).unwrap();
    // Where something stands: the rest of a segment is zeros.
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let somewhere = |chance: &mut Chance| chance.below(end.max(1) as u64) as usize;
    let mut touched = vec![name.clone()];
    match damage {
        Damage::BitFlip => {
            let (mut bytes, at) = (bytes, somewhere(chance));
            *bytes.get_mut(at)? ^= 1 << chance.below(8);
            fs::write(&file, bytes).unwrap();
        }
        Damage::ZeroedPage => {
            let (mut zeroed, at) = (bytes.clone(), somewhere(chance) / PAGE * PAGE);
            let upto = zeroed.len().min(at + PAGE);
            zeroed.get_mut(at..upto)?.fill(0);
            if zeroed == bytes {
                return None;
            }
            fs::write(&file, zeroed).unwrap();
        }
        Damage::Truncation => {
            if bytes.is_empty() {
                return None;
            }
            fs::write(&file, &bytes[..somewhere(chance)]).unwrap();
        }
        Damage::Deletion => fs::remove_file(&file).unwrap(),
        Damage::Swap => {
            let others: Vec<&PathBuf> = names
                .iter()
                .filter(|other| *other != name && (chance.once_in(2) || Part::of(other) == part))
                .collect();
            let other = *others.get(chance.below(others.len().max(1) as u64) as usize)?;
            let theirs = fs::read(state.join(other)).unwrap();
            if theirs == bytes {
                return None;
            }
            fs::write(&file, theirs).unwrap();
            fs::write(state.join(other), bytes).unwrap();
            touched.push(other.clone());
        }
        Damage::OldCopy => {
            let olds: Vec<PathBuf> = below(old).into_iter().map(|(name, _)| name).collect();
            // Most segments and snapshots of then are gone by now: those are put back too.
            let differs = |name: &&PathBuf| {
                Part::of(name) == part && fs::read(old.join(name)).ok() != fs::read(state.join(name)).ok()
            };
            let olds: Vec<&PathBuf> = olds.iter().filter(differs).collect();
            let name = *olds.get(chance.below(olds.len().max(1) as u64) as usize)?;
            fs::copy(old.join(name), state.join(name)).unwrap();
            touched = vec![name.clone()];
        }
    }
    Some(touched)
}
