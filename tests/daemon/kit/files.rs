//! What really lies on the disk.

use std::fs;
use std::path::{Path, PathBuf};

/// Every file below a directory, with its bytes.
pub fn below(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).expect("a directory") {
            let entry = entry.expect("an entry");
            let kind = entry.file_type().expect("a kind");
            if kind.is_dir() {
                open.push(entry.path());
            } else if kind.is_file() {
                found.push((entry.path(), fs::read(entry.path()).expect("a readable file")));
            }
        }
    }
    found
}

/// The bytes without long runs of zeros: the files are made long before they are full, and a text has no zeros.
pub fn without_room(bytes: &[u8]) -> Vec<u8> {
    bytes.chunks(512).filter(|chunk| **chunk != [0; 512][..chunk.len()]).flatten().copied().collect()
}

/// Copies a directory.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a new directory");
    fs::set_permissions(to, fs::metadata(from).expect("metadata").permissions()).expect("chmod");
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a kind").is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copy");
        }
    }
}

/// Where `needle` stands in `hay`.
pub fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    let (first, rest) = needle.split_first().expect("something to look for");
    let mut at = 0;
    loop {
        at += hay[at..].iter().position(|byte| byte == first)?;
        if hay[at + 1..].starts_with(rest) {
            return Some(at);
        }
        at += 1;
    }
}

/// The forms in which a text may leak: as it is, hexadecimal, percent-encoded, and base64 at each of the three
/// offsets that it may have in a longer text, both alphabets.
pub fn forms(text: &str) -> Vec<Vec<u8>> {
    let lower: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    let percent: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let mut forms = vec![text.to_owned(), lower.to_uppercase(), percent.to_lowercase(), percent, lower];
    for offset in 0..3 {
        let mut shifted = vec![0; offset];
        shifted.extend_from_slice(text.as_bytes());
        let encoded = base64(&shifted);
        // The first characters mix with what stands before, the last ones with what comes after.
        let sure = &encoded[if offset == 0 { 0 } else { 4 }..encoded.len() / 4 * 4 - 4];
        forms.push(sure.to_owned());
        forms.push(sure.replace('+', "-").replace('/', "_"));
    }
    forms.into_iter().map(String::into_bytes).collect()
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits =
            three.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for at in 0..4 {
            let six = (bits >> (18 - 6 * at)) & 0x3f;
            text.push(if at <= three.len() { char::from(ALPHABET[six as usize]) } else { '=' });
        }
    }
    text
}

#[test]
fn the_forms_of_a_text_are_found_where_they_stand() {
    let found = |hay: &str, text: &str| forms(text).iter().any(|form| find(hay.as_bytes(), form).is_some());
    // base64 of "xx a secret canary yy" at each offset
    for hay in ["YSBzZWNyZXQgY2FuYXJ5", "eGEgc2VjcmV0IGNhbmFyeXl5", "eHhhIHNlY3JldCBjYW5hcnl5"] {
        assert!(found(hay, "a secret canary"), "{hay}");
    }
    assert!(found("6120736563726574", "a secret") && found("%61%20%73%65%63%72%65%74", "a secret"));
    assert!(!found("another one", "a secret"));
}
