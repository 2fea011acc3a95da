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
