//! What the sets that are kept need of the keys: their first and last manifests, read anew for each who asks.
//!
//! The hard problem: a set has a manifest for each minute, and there are a hundred sets. The answer: the first says what is under
//! which org key, and the last which root keys were in use up to it. A set of format 1 tells its root keys part by part: there,
//! where the first and the last do not agree, all are read.
//!
//! ```text
//! folders -> for each set: part-00000001.json, a listing, the last part -> KeptKeys
//! ```
//!
//! Never remembers an answer: who throws a key away asks what there is now. Never takes silence for a no.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokenkeep_client::moment::Moment;

use super::BackupError;
use super::manifest::{Manifest, part_in_name};
use super::repository::{Repository, RepositoryError};
use super::restore::{read, read_part};
use super::work::Work;
use crate::crypto::key::KeyId;
use crate::crypto::mac::MacKey;
use crate::vault::kept::{KeptKeys, KeptSet};

/// Whoever asks waits so long.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sets that are read at once: what takes time is the way there.
const AT_ONCE: usize = 4;

/// The first from which on root keys are told for the whole set.
const TELLS_ALL: u32 = 2;

/// How long sets are kept, and how often one is begun.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spans {
    pub(super) keep: Duration,
    pub(super) every: Duration,
}

/// What two manifests say of a set.
struct Read {
    begun_at: Moment,
    root_keys: BTreeSet<KeyId>,
    org_keys: Option<String>,
}

/// Reads them, one who asks after the other, and gives up in time.
pub(super) async fn read_in_time(work: &Arc<Work>) -> Result<KeptKeys, BackupError> {
    let late = || {
        let what = format!("what it keeps could not be read within {} s", PATIENCE.as_secs());
        BackupError::Repository(RepositoryError::Unavailable(what))
    };
    let in_time = async {
        let reader = work.one_reader().await;
        let work = Arc::clone(work);
        let read = tokio::task::spawn_blocking(move || {
            // Held to the end of the reading, also where nobody waits for it any more.
            let _reader = reader;
            work.kept_keys()
        });
        read.await.unwrap_or_else(|_| Err(BackupError::Io("the repository could not be read".into())))
    };
    tokio::time::timeout(PATIENCE, in_time).await.unwrap_or_else(|_| Err(late()))
}

/// What the sets of a vault need.
pub(super) fn keys_of(
    repository: &dyn Repository,
    vault: &str,
    keys: &MacKey,
    spans: Spans,
    open: impl Fn(&str) -> Option<Vec<(KeyId, u32)>>,
) -> Result<KeptKeys, BackupError> {
    let names = repository.folders(vault)?;
    let mut read = Vec::with_capacity(names.len());
    for some in names.chunks(AT_ONCE) {
        let some: Vec<_> = thread::scope(|scope| {
            let reading: Vec<_> = some
                .iter()
                .map(|name| scope.spawn(move || read_set(repository, vault, keys, name)))
                .collect();
            let unended = |_| Err(BackupError::Io("reading a set did not end".into()));
            reading.into_iter().map(|one| one.join().unwrap_or_else(unended)).collect()
        });
        for (name, set) in names[read.len()..].iter().zip(some) {
            read.push(set?.map(|set| (name.clone(), set)));
        }
    }
    let sets: Vec<(String, Read)> = read.into_iter().flatten().collect();
    let mut kept = KeptKeys::default();
    let begun: Vec<Moment> = sets.iter().map(|(_, set)| set.begun_at).collect();
    for (at, (name, set)) in sets.into_iter().enumerate() {
        let ended_at = begun.get(at + 1).copied();
        // The newest goes when there is another one.
        let end = ended_at.map_or_else(|| set.begun_at.unix() + spans.every.as_secs(), Moment::unix);
        let goes_at = Moment::from_unix(end + spans.keep.as_secs()).unwrap_or(set.begun_at);
        let org_keys = set.org_keys.as_deref().and_then(&open);
        kept.add(KeptSet {
            name,
            begun_at: set.begun_at,
            ended_at,
            goes_at,
            root_keys: set.root_keys,
            org_keys,
        });
    }
    Ok(kept)
}

/// One set; none where it has no first part: it cannot be restored, or not yet.
fn read_set(
    repository: &dyn Repository,
    vault: &str,
    keys: &MacKey,
    name: &str,
) -> Result<Option<Read>, BackupError> {
    let genuine = |part: u64| -> Result<Option<Manifest>, BackupError> {
        let Some(tagged) = read_part(repository, vault, name, part)? else { return Ok(None) };
        let is_ours = tagged.is_genuine(keys) && tagged.manifest.set == name;
        let what =
            || BackupError::Damaged(format!("{vault}/{name}: part {part} was not written by this vault"));
        is_ours.then_some(Some(tagged.manifest)).ok_or_else(what)
    };
    let Some(first) = genuine(1)? else { return Ok(None) };
    let objects = repository.objects(&format!("{vault}/{name}"))?;
    let number = objects.iter().filter_map(|object| part_in_name(&object.name)).max().unwrap_or(1);
    let Some(last) = genuine(number)? else {
        // A set that is removed loses its first part first.
        let gone =
            || BackupError::Damaged(format!("{vault}/{name}: part {number} is listed and is not there"));
        return if genuine(1)?.is_none() { Ok(None) } else { Err(gone()) };
    };
    let mut ids: Vec<String> = [&first, &last].into_iter().flat_map(|part| part.root_keys.clone()).collect();
    if first.format < TELLS_ALL && first.root_keys != last.root_keys {
        let all = read(repository, vault, name)?;
        ids.extend(all.into_iter().flat_map(|set| set.parts).flat_map(|part| part.manifest.root_keys));
    }
    let unread = || BackupError::Damaged(format!("{vault}/{name}: what it names as root keys are none"));
    let root_keys = ids.iter().map(|id| KeyId::parse(id)).collect::<Option<_>>().ok_or_else(unread)?;
    Ok(Some(Read { begun_at: first.made_at, root_keys, org_keys: first.org_keys }))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::manifest::{FORMAT, Journal, name};
    use super::super::repository::directory::Directory;
    use super::*;
    use crate::chain::Mark;
    use crate::store::index::tally::Tally;

    const SPANS: Spans = Spans { keep: Duration::from_secs(1000), every: Duration::from_secs(100) };

    fn id(letter: char) -> KeyId {
        KeyId::parse(&letter.to_string().repeat(16)).unwrap()
    }

    /// Puts a part there: of this format, with these root keys.
    fn put(shelf: &Directory, key: &MacKey, (set, part): (&str, u64), format: u32, root_keys: &str) {
        let manifest = Manifest {
            format,
            vault_id: "v".into(),
            environment: "test".into(),
            incarnation: 1,
            set: set.into(),
            part,
            made_at: Moment::from_unix(part).unwrap(),
            before: String::new(),
            journal: Journal::new(&Mark::START, 0, &Tally { records: 0, digest: 0 }),
            audit: Mark::START.into(),
            recipients: Vec::new(),
            root_keys: root_keys.chars().map(|letter| id(letter).to_string()).collect(),
            org_keys: (format == FORMAT && part == 1).then(|| "sealed".into()),
            objects: Vec::new(),
        };
        let mut file = tempfile::tempfile().unwrap();
        let (text, _) = manifest.encode(key);
        file.write_all(&text).unwrap();
        shelf.put(&format!("v/{set}/{}", name(part)), &file, text.len() as u64).unwrap();
    }

    fn kept(shelf: &Directory, key: &MacKey) -> Result<KeptKeys, BackupError> {
        keys_of(shelf, "v", key, SPANS, |sealed| (sealed == "sealed").then(|| vec![(id('e'), 3)]))
    }

    #[test]
    fn what_a_set_of_either_format_needs_is_found() {
        let room = tempfile::tempdir().unwrap();
        let (shelf, key) = (Directory::new(room.path().to_owned()), MacKey::new(&[1; 32]));
        for (part, keys) in [(1, "a"), (2, "b"), (3, "c")] {
            put(&shelf, &key, ("1-old", part), 1, keys);
        }
        put(&shelf, &key, ("2-new", 1), FORMAT, "c");
        put(&shelf, &key, ("2-new", 2), FORMAT, "cd");
        // Not a set yet, or no more.
        put(&shelf, &key, ("3-half", 2), FORMAT, "f");
        let kept = kept(&shelf, &key).unwrap();
        let sets = |letter| kept.root_key(id(letter)).map(|needed| (needed.sets, needed.last_set.as_str()));
        assert_eq!(sets('a'), Some((1, "1-old")));
        assert_eq!(sets('b'), Some((1, "1-old")), "in use between the first part and the last");
        assert_eq!(sets('c'), Some((2, "2-new")));
        assert_eq!(sets('d'), Some((1, "2-new")));
        assert_eq!(sets('f'), None);
        // The old one does not say, the new one does.
        let held = kept.org_key(id('e'), Moment::from_unix(0));
        assert_eq!((held.records, held.sets, held.until), (3, 2, Moment::from_unix(1 + 100 + 1000)));
    }

    #[test]
    fn a_manifest_that_nobody_of_us_wrote_is_no_answer() {
        let room = tempfile::tempdir().unwrap();
        let (shelf, key) = (Directory::new(room.path().to_owned()), MacKey::new(&[1; 32]));
        put(&shelf, &key, ("1", 1), FORMAT, "a");
        put(&shelf, &MacKey::new(&[2; 32]), ("1", 2), FORMAT, "b");
        assert!(matches!(kept(&shelf, &key), Err(BackupError::Damaged(_))));
    }
}
