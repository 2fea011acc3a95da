//! Sealing: what opens, and above all what does not.

use proptest::prelude::*;

use super::*;
use crate::crypto::key::KeyText;

fn key() -> SealingKey {
    SealingKey::parse(KeyText::generate().expose().as_bytes()).unwrap()
}

fn sealed_at(key: &SealingKey, plaintext: &[u8], at: u64) -> String {
    let mut token = String::new();
    within(|inside| token = key.fernet(inside).encrypt_at_time(plaintext, at));
    token
}

fn place() -> Place {
    Place { vault: [1; 16], table: 2, record: [3; 32], field: 4 }
}

proptest! {
    #[test]
    fn what_is_sealed_opens_in_its_place(value: Vec<u8>, generation: u64) {
        let key = key();
        let token = seal(&key, &place(), generation, &value);
        let opened = open(&key, &place(), token.as_bytes()).unwrap();
        prop_assert_eq!(opened.generation(), generation);
        prop_assert_eq!(opened.expose(), &value[..]);
    }

    #[test]
    fn garbage_never_opens(token: Vec<u8>) {
        prop_assert_eq!(open(&key(), &place(), &token).unwrap_err(), SealError::Shut);
    }
}

#[test]
fn a_value_opens_nowhere_else() {
    let key = key();
    let token = seal(&key, &place(), 1, b"value");
    for elsewhere in [
        Place { vault: [9; 16], ..place() },
        Place { table: 9, ..place() },
        Place { record: [9; 32], ..place() },
        Place { field: 9, ..place() },
    ] {
        assert_eq!(open(&key, &elsewhere, token.as_bytes()).unwrap_err(), SealError::Misplaced);
    }
}

#[test]
fn another_key_does_not_open() {
    let token = seal(&key(), &place(), 1, b"value");
    assert_eq!(open(&key(), &place(), token.as_bytes()).unwrap_err(), SealError::Shut);
}

#[test]
fn every_changed_character_shuts_the_token() {
    let key = key();
    let token = seal(&key, &place(), 1, b"value").into_bytes();
    for at in 0..token.len() {
        let mut bent = token.clone();
        bent[at] = if bent[at] == b'A' { b'B' } else { b'A' };
        assert_eq!(open(&key, &place(), &bent).unwrap_err(), SealError::Shut, "at {at}");
    }
}

#[test]
fn other_spellings_of_the_same_token_are_refused() {
    let key = key();
    // 59 + 5 bytes pad to 80, and 1 + 8 + 16 + 80 + 32 = 137 bytes leave two stray digits and one `=`.
    let token = seal(&key, &place(), 1, b"value");
    assert!(token.ends_with('=') && !token.ends_with("=="));
    for spelling in [format!("{token}===="), token.trim_end_matches('=').to_owned(), format!("{token}\n")] {
        assert_eq!(open(&key, &place(), spelling.as_bytes()).unwrap_err(), SealError::Shut);
    }
    let mut stray = token.into_bytes();
    let last = stray.len() - 2;
    stray[last] += 1;
    assert_eq!(open(&key, &place(), &stray).unwrap_err(), SealError::Shut);
}

#[test]
fn a_plain_fernet_token_without_a_frame_is_refused() {
    let key = key();
    let token = sealed_at(&key, b"no frame", now());
    assert_eq!(open(&key, &place(), token.as_bytes()).unwrap_err(), SealError::Frame);
}

#[test]
fn a_clock_that_stands_behind_does_not_shut_a_token() {
    let key = key();
    let frame = [&[VERSION][..], &[1; 16], &[2], &[3; 32], &[4], &7_u64.to_be_bytes(), b"value"].concat();
    let sealed_tomorrow = sealed_at(&key, &frame, 9_999_999_999);
    assert_eq!(open(&key, &place(), sealed_tomorrow.as_bytes()).unwrap().generation(), 7);
}

fn turned<'a>(from: &'a SealingKey, place: Place, token: &'a str) -> Turned<'a> {
    Turned { from, place, generation: 7, becomes: 7, token: token.as_bytes() }
}

#[test]
fn what_is_sealed_anew_is_the_same_value_in_the_same_place_under_the_new_key_alone() {
    let (old, new) = (key(), key());
    let other = Place { field: 5, ..place() };
    let (one, two) = (seal(&old, &place(), 7, b"one"), seal(&old, &other, 7, b"two"));
    let anew = reseal(&[turned(&old, place(), &one), turned(&old, other, &two)], &new).unwrap();
    let opened = open(&new, &place(), anew[0].as_bytes()).unwrap();
    assert_eq!((opened.expose(), opened.generation()), (&b"one"[..], 7));
    assert_eq!(open(&new, &other, anew[1].as_bytes()).unwrap().expose(), b"two");
    assert_eq!(open(&new, &place(), anew[1].as_bytes()).unwrap_err(), SealError::Misplaced);
    assert_eq!(open(&old, &place(), anew[0].as_bytes()).unwrap_err(), SealError::Shut);
    let event = Turned { becomes: 41, ..turned(&old, place(), &one) };
    let event = reseal(&[event], &new).unwrap();
    assert_eq!(open(&new, &place(), event[0].as_bytes()).unwrap().generation(), 41);
}

#[test]
fn what_is_damaged_misplaced_or_of_another_generation_is_not_sealed_anew() {
    let (old, new) = (key(), key());
    let token = seal(&old, &place(), 7, b"value");
    let elsewhere = Place { record: [4; 32], ..place() };
    let refused = |value| reseal(&[turned(&old, place(), &token), value], &new).unwrap_err();
    assert_eq!(refused(turned(&old, elsewhere, &token)), SealError::Misplaced);
    assert_eq!(refused(turned(&new, place(), &token)), SealError::Shut);
    assert_eq!(refused(turned(&old, place(), &token[4..])), SealError::Shut);
    assert_eq!(refused(Turned { generation: 8, ..turned(&old, place(), &token) }), SealError::Frame);
}

#[test]
fn nothing_is_sealed_twice() {
    let (old, new) = (key(), key());
    for inner in [&old, &new] {
        let twice = seal(&old, &place(), 7, seal(inner, &place(), 7, b"value").as_bytes());
        assert_eq!(reseal(&[turned(&old, place(), &twice)], &new).unwrap_err(), SealError::Twice);
    }
    // A ciphertext of the application, or a token of somebody else's, is a value like any other.
    let ciphertext = Place { table: 7, ..place() };
    for inner in [seal(&old, &ciphertext, 7, b"value"), seal(&key(), &place(), 7, b"value")] {
        let token = seal(&old, &place(), 7, inner.as_bytes());
        let anew = reseal(&[turned(&old, place(), &token)], &new).unwrap();
        assert_eq!(open(&new, &place(), anew[0].as_bytes()).unwrap().expose(), inner.as_bytes());
    }
}
