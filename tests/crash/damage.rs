//! What may befall the index between two lives of the daemon: all of it can be made again from the journal.
//!
//! Never touches the journal, the audit log or the header.

use std::fs;
use std::path::{Path, PathBuf};

use crate::chance::Chance;

/// Does one of these to the index in `state`. Says which.
pub(crate) fn befall(state: &Path, chance: &mut Chance) -> &'static str {
    let index = state.join("index");
    if chance.once_in(4) {
        fs::remove_dir_all(&index).unwrap();
        return "index removed";
    }
    let mut files = files(&index);
    files.sort();
    let Some(victim) = files.get(usize::try_from(chance.below(files.len().max(1) as u64)).unwrap()) else {
        return "index empty";
    };
    let mut bytes = fs::read(victim).unwrap();
    let length = bytes.len() as u64;
    let what = match chance.below(4) {
        0 => {
            fs::remove_file(victim).unwrap();
            return "a file of the index removed";
        }
        1 => {
            bytes.truncate(usize::try_from(chance.below(length + 1)).unwrap());
            "a file of the index cut"
        }
        2 => {
            for byte in &mut bytes {
                *byte = chance.below(256).to_le_bytes()[0];
            }
            "a file of the index turned to garbage"
        }
        _ => {
            for _ in 0..16 {
                if let Some(byte) = bytes.get_mut(usize::try_from(chance.below(length.max(1))).unwrap()) {
                    *byte ^= 1 << chance.below(8);
                }
            }
            "bits of the index flipped"
        }
    };
    fs::write(victim, bytes).unwrap();
    what
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}
