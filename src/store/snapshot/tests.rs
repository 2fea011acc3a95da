//! A snapshot is whole or named: every byte of it, its length, its place and its name.

use std::fs;
use std::sync::Arc;

use tempfile::TempDir;

use super::format::HEAD;
use super::*;
use crate::crypto::mac::MacKey;
use crate::store::device::Disk;
use crate::store::{KEY_LENGTH, Key, Record};

struct Place {
    scratch: TempDir,
    identity: Identity,
    digester: Digester,
}

fn key(number: u16) -> Key {
    let mut key = [3; KEY_LENGTH];
    key[1..3].copy_from_slice(&number.to_be_bytes());
    Key(key)
}

impl Place {
    fn new() -> Self {
        let mac = MacKey::new(&[9; 32]);
        let (identity, digester) = (Identity::new([7; 16], &mac).unwrap(), Digester::new(&mac).unwrap());
        Self { scratch: tempfile::tempdir().unwrap(), identity, digester }
    }

    /// Writes so many records of so many bytes.
    fn write(&self, records: u16, length: usize) -> Snapshot {
        let values: Vec<Vec<u8>> = (0..records).map(|number| vec![number as u8; length]).collect();
        let mut tally = Tally::default();
        for (number, value) in (0..records).zip(&values) {
            self.digester.add(&mut tally, &key(number), u64::from(number) + 1, value);
        }
        let at = Mark { sequence: 700, chain: [5; 32] };
        let head = Head { at, witness: Mark { sequence: 9, chain: [6; 32] }, written_at: 1_000, tally };
        let mut writer = Writer::begin(self.scratch.path(), &Disk, &self.identity, head).unwrap();
        for (number, value) in (0..records).zip(&values) {
            writer.put(&key(number), u64::from(number) + 1, value).unwrap();
        }
        writer.finish(&self.digester, &mut |_| Ok(())).unwrap()
    }

    fn refuses(&self, snapshot: &Snapshot) -> Trouble {
        verify(&snapshot.path, &self.identity, &self.digester).unwrap_err()
    }
}

#[test]
fn what_was_written_is_read_and_says_where_the_journal_goes_on() {
    let place = Place::new();
    for (records, length) in [(0, 0), (1, 0), (3, 100), (500, 1000), (2, 1 << 20)] {
        let written = place.write(records, length);
        assert_eq!(written.path, path(place.scratch.path(), 700));
        let (listed, bad) = list(place.scratch.path(), &place.identity).unwrap();
        assert_eq!((listed, bad.len()), (vec![written.clone()], 0));
        let mut reader = Reader::open(&written.path, &place.identity).unwrap();
        for number in 0..records {
            let (found, record) = reader.next().unwrap().unwrap();
            let Record { revision, value } = record;
            assert_eq!((found, revision), (key(number), u64::from(number) + 1));
            assert_eq!(value, Arc::from(vec![number as u8; length]));
        }
        assert!(reader.next().unwrap().is_none());
        assert_eq!(reader.bytes_read(), written.bytes);
    }
}

#[test]
fn no_flipped_bit_and_no_cut_goes_unseen() {
    let place = Place::new();
    let written = place.write(300, 500);
    let bytes = fs::read(&written.path).unwrap();
    for at in (0..HEAD).chain((HEAD..bytes.len()).step_by(97)).chain(bytes.len() - 50..bytes.len()) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 4;
        fs::write(&written.path, &flipped).unwrap();
        let trouble = place.refuses(&written);
        let named = match &trouble {
            Trouble::Damaged { file, offset, .. } => *file == written.path && *offset <= at as u64,
            // A byte of the format, with a checksum that no longer holds, is damage; never a newer format.
            _ => false,
        };
        assert!(named, "byte {at}: {trouble}");
    }
    for length in [0, 1, HEAD - 1, HEAD, HEAD + 3, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&written.path, &bytes[..length]).unwrap();
        assert!(matches!(place.refuses(&written), Trouble::Damaged { .. }), "cut at {length}");
    }
    fs::write(&written.path, [&bytes[..], &[0]].concat()).unwrap();
    assert!(matches!(place.refuses(&written), Trouble::Damaged { .. }), "longer");
}

#[test]
fn a_block_of_another_place_is_refused() {
    let place = Place::new();
    let written = place.write(300, 500);
    let mut bytes = fs::read(&written.path).unwrap();
    let first = u32::from_le_bytes(*bytes[HEAD..].first_chunk().unwrap()) as usize;
    bytes.copy_within(HEAD..HEAD + first, HEAD + first);
    fs::write(&written.path, &bytes).unwrap();
    let Trouble::Damaged { offset, what, .. } = place.refuses(&written) else { panic!("refused otherwise") };
    assert_eq!(offset, (HEAD + first) as u64);
    assert!(what.contains("MAC"), "{what}");
}

#[test]
fn only_the_vault_and_the_name_that_it_was_made_for_take_it() {
    let place = Place::new();
    let written = place.write(3, 10);
    let other = Identity::new([8; 16], &MacKey::new(&[9; 32])).unwrap();
    assert!(Reader::open(&written.path, &other).is_err(), "another vault");
    let other = Identity::new([7; 16], &MacKey::new(&[8; 32])).unwrap();
    assert!(Reader::open(&written.path, &other).is_err(), "another key");
    fs::copy(&written.path, path(place.scratch.path(), 800)).unwrap();
    let (listed, bad) = list(place.scratch.path(), &place.identity).unwrap();
    assert_eq!((listed.len(), bad.len()), (1, 1), "under another name");
}

#[test]
fn one_that_does_not_add_up_never_gets_its_name() {
    let place = Place::new();
    let head = Head {
        at: Mark { sequence: 7, chain: [5; 32] },
        witness: Mark::START,
        written_at: 0,
        tally: Tally { records: 1, digest: 1 },
    };
    let mut writer = Writer::begin(place.scratch.path(), &Disk, &place.identity, head).unwrap();
    writer.put(&key(1), 1, b"one").unwrap();
    assert!(writer.finish(&place.digester, &mut |_| Ok(())).is_err());
    assert!(list(place.scratch.path(), &place.identity).unwrap().0.is_empty());
}
