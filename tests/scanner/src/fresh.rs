//! Secrets to plant: random, so that no fragment of them stands anywhere by chance.

use std::fs::File;
use std::io::{self, Read};

/// Random bytes from the kernel.
///
/// # Errors
/// `/dev/urandom` cannot be read.
pub fn fresh_bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// 32 random letters and digits: 5.9 bits each, so that eight of them in a row are no accident.
///
/// # Errors
/// `/dev/urandom` cannot be read.
pub fn fresh_text() -> io::Result<String> {
    const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let fair = |byte: &&u8| **byte < 248;
    let mut text = String::new();
    while text.len() < 32 {
        let bytes: [u8; 48] = fresh_bytes()?;
        let letters = bytes.iter().filter(fair).map(|byte| char::from(LETTERS[usize::from(byte % 62)]));
        text.extend(letters.take(32 - text.len()));
    }
    Ok(text)
}
