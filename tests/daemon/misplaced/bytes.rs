//! The same by hand, in the bytes of the files: the index is made anew, the journal is refused.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Attacker, furnished, others_are_unaffected};
use serde_json::json;

use crate::kit::Request;
use crate::kit::files;
use crate::kit::vault::write_private;

/// Swaps the two texts wherever they stand in the files; how often that was.
fn swap_in(files: &[PathBuf], one: &[u8], other: &[u8]) -> usize {
    assert_eq!(one.len(), other.len(), "so that nothing else moves");
    let mut swapped = 0;
    for path in files {
        let mut bytes = fs::read(path).unwrap();
        let mut at = 0;
        while let Some(found) = next(&bytes[at..], one, other) {
            at += found;
            let is_one = bytes[at..].starts_with(one);
            bytes[at..at + one.len()].copy_from_slice(if is_one { other } else { one });
            at += one.len();
            swapped += 1;
        }
        write_private(path, &bytes);
    }
    swapped
}

fn next(hay: &[u8], one: &[u8], other: &[u8]) -> Option<usize> {
    match (files::find(hay, one), files::find(hay, other)) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// What the index has for a record: 36 bytes that begin with its revision and have the length of its value at 12 (docs/storage.md).
fn pointer_in(files: &[PathBuf], (revision, value): &(u64, Vec<u8>)) -> Vec<u8> {
    let (revision, length) = (revision.to_le_bytes(), u32::try_from(value.len()).unwrap().to_le_bytes());
    let is_it = |bytes: &&[u8]| bytes.starts_with(&revision) && bytes[12..16] == length;
    let found =
        files.iter().find_map(|path| fs::read(path).unwrap().windows(36).find(is_it).map(<[u8]>::to_vec));
    found.expect("the index points to the record")
}

fn all_below(directory: &Path) -> Vec<PathBuf> {
    files::below(directory).into_iter().map(|(path, _)| path).collect()
}

#[test]
fn records_swapped_in_the_files_of_the_index_are_healed_from_the_journal() {
    let mut vault = furnished();
    let attacker = Attacker::enter(&vault);
    let (one, two) = (attacker.revised(("acme", "one")), attacker.revised(("acme", "two")));
    drop(attacker);
    let index = all_below(&vault.state().join("index"));
    let swapped = swap_in(&index, &pointer_in(&index, &one), &pointer_in(&index, &two));
    assert!(swapped >= 2, "both stand in the index: {swapped}");
    vault.start();
    for name in ["one", "two"] {
        assert_eq!(vault.access_token("acme", &format!("github/{name}")), format!("at-acme-{name}"));
    }
    assert!(vault.said().contains("index"), "it is said: {}", vault.said());
    others_are_unaffected(&vault);
}

#[test]
fn records_swapped_in_the_journal_are_refused_with_their_place() {
    let mut vault = furnished();
    let attacker = Attacker::enter(&vault);
    let (one, two) = (attacker.read(("acme", "one")), attacker.read(("acme", "two")));
    drop(attacker);
    let journal = vault.journal_files();
    assert_eq!(swap_in(&journal, &one, &two), 2);
    let name = journal[0].file_name().unwrap().to_str().unwrap().to_owned();
    vault.start_in_vain().with(74, &["journal damaged", &name, "at byte", "restore"]);
    assert_eq!(swap_in(&journal, &one, &two), 2);
    vault.start();
    // The same bytes in another file: for all that is known, it was put back from somewhere.
    assert_eq!(vault.get("/v1/status").json()["quarantine"]["reason"], "restored");
    vault.admin().send(&Request::post("/admin/v1/connections/release", &json!({ "all": true }))).is(200);
    others_are_unaffected(&vault);
}

/// In the journal as in the index: there is nothing left that could tell, but the seals and the chain.
#[test]
fn records_swapped_everywhere_are_refused_all_the_same() {
    let mut vault = furnished();
    let attacker = Attacker::enter(&vault);
    let (one, two) = (attacker.revised(("acme", "one")), attacker.revised(("beta", "one")));
    drop(attacker);
    let everything: Vec<PathBuf> =
        all_below(vault.state()).into_iter().filter(|path| !path.ends_with("lock")).collect();
    let index = all_below(&vault.state().join("index"));
    // "acme" and "beta" are of one length, so the records are.
    assert_eq!(swap_in(&everything, &one.1, &two.1), 2);
    assert!(swap_in(&index, &pointer_in(&index, &one), &pointer_in(&index, &two)) >= 2);
    vault.start_in_vain().with(74, &["journal damaged"]);
}
