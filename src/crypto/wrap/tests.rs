//! Keys under keys: what opens is the key that was sealed, in its place and bound to what it was bound to.

use super::*;
use crate::crypto::key::KeyText;
use crate::crypto::key_list::RootKeys;
use crate::crypto::multi_fernet;
use crate::crypto::seal::{open, seal};
use crate::room;

fn root() -> SealingKey {
    SealingKey::parse(KeyText::generate().expose().as_bytes()).unwrap()
}

fn place() -> Place {
    Place { vault: [1; 16], table: 2, record: [3; 32], field: 4 }
}

#[test]
fn a_key_opens_as_the_key_that_was_made() {
    let root = root();
    let (key, sealed) = make_key(&root, &place(), b"production").unwrap();
    let opened = open_key(&root, &place(), sealed.as_bytes(), b"production").unwrap();
    let token = seal(&key, &place(), 7, b"value");
    assert_eq!(opened.id(), key.id());
    assert_eq!(open(&opened, &place(), token.as_bytes()).unwrap().expose(), b"value");
    // As docs/recovery.md has it: the text of the key, and what it is bound to.
    let value = open(&root, &place(), sealed.as_bytes()).unwrap();
    let (text, bound) = value.expose().split_at(KEY_TEXT_LENGTH);
    assert_eq!((SealingKey::parse(text).unwrap().id(), bound), (key.id(), &b"production"[..]));
}

#[test]
fn a_key_of_hmac_opens_as_the_key_that_was_made() {
    let root = root();
    let (key, sealed) = make_mac_key(&root, &place()).unwrap();
    let opened = open_mac_key(&root, &place(), sealed.as_bytes()).unwrap();
    assert_eq!(opened.tag(&[b"one"]), key.tag(&[b"one"]));
    assert_ne!(opened.tag(&[b"one"]), make_mac_key(&root, &place()).unwrap().0.tag(&[b"one"]));
}

#[test]
fn what_was_wrapped_anew_opens_under_the_new_key_alone() {
    let (old, new) = (root(), root());
    let (key, sealed) = make_key(&old, &place(), b"").unwrap();
    let rewrapped = rewrap(&old, &new, (&place(), &place()), sealed.as_bytes(), b"").unwrap();
    assert_eq!(open_key(&new, &place(), rewrapped.as_bytes(), b"").unwrap().id(), key.id());
    assert_eq!(
        open_key(&old, &place(), rewrapped.as_bytes(), b"").unwrap_err(),
        WrapError::Seal(SealError::Shut)
    );
}

/// Beyond the stack is a guard: whoever runs into it ends the daemon.
#[test]
fn nothing_that_is_done_with_keys_comes_near_the_end_of_the_stack() {
    let deepest = std::thread::spawn(|| {
        let list = format!("{}\n{}", KeyText::generate().expose(), KeyText::generate().expose());
        let root = RootKeys::parse(list.as_bytes()).unwrap();
        let (key, sealed) = make_key(root.primary(), &place(), b"production").unwrap();
        rewrap(root.primary(), &key, (&place(), &place()), sealed.as_bytes(), b"production").unwrap();
        open_key(root.primary(), &place(), sealed.as_bytes(), b"production").unwrap();
        let (mac, sealed) = make_mac_key(&key, &place()).unwrap();
        open_mac_key(&key, &place(), sealed.as_bytes()).unwrap();
        assert!(mac.derive(b"label").unwrap().tag(&[&[1; 10_000]]) != mac.tag(&[]));
        let token = seal(&key, &place(), 1, &[7; 100_000]);
        open(&key, &place(), token.as_bytes()).unwrap();
        open(root.primary(), &place(), token.as_bytes()).unwrap_err();
        multi_fernet::open(&root, sealed.as_bytes()).unwrap_err();
        room::depth()
    });
    let deepest = deepest.join().unwrap();
    println!("{deepest} bytes of {}", room::STACK);
    assert!(deepest < room::STACK / 2, "{deepest}");
}

#[test]
fn what_is_no_key_or_belongs_elsewhere_is_refused() {
    let root = root();
    let (_, sealed) = make_key(&root, &place(), b"production").unwrap();
    let refused = |token: &str, place: &Place, bound: &[u8]| {
        let opened = open_key(&root, place, token.as_bytes(), bound).unwrap_err();
        assert_eq!(rewrap(&root, &root, (place, place), token.as_bytes(), bound).unwrap_err(), opened);
        opened
    };
    assert_eq!(refused(&sealed, &place(), b"staging"), WrapError::Bound);
    assert_eq!(refused(&sealed, &place(), b""), WrapError::Bound);
    let elsewhere = Place { table: 9, ..place() };
    assert_eq!(refused(&sealed, &elsewhere, b"production"), WrapError::Seal(SealError::Misplaced));
    assert_eq!(refused("", &place(), b""), WrapError::Seal(SealError::Shut));
    for no_key in [&b"hunter2"[..], &[b'A'; 44]] {
        assert_eq!(refused(&seal(&root, &place(), 1, no_key), &place(), b""), WrapError::NotAKey);
    }
    let short = seal(&root, &place(), 1, &[1; 31]);
    assert_eq!(open_mac_key(&root, &place(), short.as_bytes()).err(), Some(WrapError::NotAKey));
    assert_eq!(make_key(&root, &place(), &[b'a'; 64]).unwrap_err(), WrapError::Bound);
}
