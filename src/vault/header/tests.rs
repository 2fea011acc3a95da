//! The tag of a header: every bit of the file, headers without one, and each change.
//!
//! Never opens a header by hand.

use super::*;
use crate::clock::{Clock, SystemClock};
use crate::crypto::key_list::RootKeys;

const KEY: &[u8] = b"cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=";

struct Made {
    room: tempfile::TempDir,
    root: RootKeys,
}

impl Made {
    fn new() -> Self {
        let (room, root) = (tempfile::tempdir().unwrap(), RootKeys::parse(KEY).unwrap());
        Header::create(room.path(), "test", &root, SystemClock.now().into()).unwrap();
        Self { room, root }
    }

    fn text(&self) -> Vec<u8> {
        std::fs::read(self.room.path().join(FILE_NAME)).unwrap()
    }

    fn parse(&self, text: &[u8]) -> Result<Header, HeaderError> {
        let path = self.room.path().join(FILE_NAME);
        Header::parse(path, text, "test", &self.root).map(|(header, _)| header)
    }

    /// As it was written before there were tags.
    fn untagged(&self) -> Vec<u8> {
        let mut json: serde_json::Value = serde_json::from_slice(&self.text()).unwrap();
        json.as_object_mut().unwrap().remove("tag").unwrap();
        serde_json::to_vec_pretty(&json).unwrap()
    }
}

#[test]
fn no_bit_of_it_can_change_unnoticed_or_without_the_way_back() {
    let made = Made::new();
    let text = made.text();
    assert!(made.parse(&text).is_ok());
    for (at, bit) in (0..text.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
        let mut flipped = text.clone();
        flipped[at] ^= 1 << bit;
        // `T` and `t` in a moment are one, and so are digits of the tag in hex.
        let is_the_same = flipped.eq_ignore_ascii_case(&text);
        let said = made.parse(&flipped).err().map(|why| why.to_string());
        let is_told = said.as_ref().is_some_and(|why| why.contains(FILE_NAME) && why.contains("restore"));
        assert!(is_told || (is_the_same && said.is_none()), "byte {at}, bit {bit}: {said:?}");
    }
}

#[test]
fn an_older_header_is_read_and_gets_its_tag() {
    let made = Made::new();
    let mut header = made.parse(&made.untagged()).unwrap();
    std::fs::write(made.room.path().join(FILE_NAME), made.untagged()).unwrap();
    header.vouch().unwrap();
    assert!(String::from_utf8(made.text()).unwrap().contains("\"tag\""));
    assert!(made.parse(&made.text()).is_ok());
}

#[test]
fn the_tag_follows_each_change() {
    let made = Made::new();
    let mut header = made.parse(&made.text()).unwrap();
    let before = made.text();
    header.lease().unwrap();
    assert!(made.parse(&made.text()).unwrap().is_leased());
    let mut mixed: serde_json::Value = serde_json::from_slice(&made.text()).unwrap();
    let old: serde_json::Value = serde_json::from_slice(&before).unwrap();
    mixed["tag"] = old["tag"].clone();
    let refused = made.parse(&serde_json::to_vec(&mixed).unwrap()).map(|_| ());
    assert!(matches!(refused, Err(HeaderError::Damaged(_))), "{refused:?}");
}

#[test]
fn another_environment_is_told_from_a_name_that_was_altered() {
    let made = Made::new();
    let refused = |text: &[u8], environment: &str| {
        let path = made.room.path().join(FILE_NAME);
        Header::parse(path, text, environment, &made.root).map(|_| ()).unwrap_err()
    };
    let elsewhere = refused(&made.text(), "production");
    assert!(matches!(elsewhere, HeaderError::ForeignEnvironment { .. }), "{elsewhere}");
    let altered = String::from_utf8(made.text()).unwrap().replace("\"test\"", "\"tesT\"");
    for environment in ["test", "tesT"] {
        let damaged = refused(altered.as_bytes(), environment);
        assert!(matches!(damaged, HeaderError::Damaged(_)), "{damaged}");
    }
}
