//! The root keys: a list of Fernet keys, one a line; the first seals, all open (as `MultiFernet`).
//!
//! The text is what a team already keeps: blank lines and lines that start with `#` are comments.
//!
//! Errors name lines, never their text.

use std::fmt;

use super::key::{KeyError, KeyId, NO_ROOM, SealingKey};
use crate::room::within;

/// More than anybody rotates through; fewer than a wrong file has lines.
const MOST_KEYS: usize = 64;

/// The root keys, in the order of the list.
#[derive(Debug)]
pub struct RootKeys {
    primary: SealingKey,
    others: Vec<SealingKey>,
}

/// Why a text is not a key list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyListError {
    /// The same key stands in two lines.
    Duplicate {
        /// The later one, counted from 1.
        line: usize,
    },
    /// There is no key in it.
    Empty,
    /// There is no room for so many keys.
    NoRoom,
    /// The line is no Fernet key in canonical form.
    NotAKey {
        /// Counted from 1.
        line: usize,
    },
    /// More than 64 keys.
    TooMany,
}

impl fmt::Display for KeyListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicate { line } => write!(f, "line {line} repeats a key of an earlier line"),
            Self::Empty => f.write_str("there is no key in the list"),
            Self::NoRoom => f.write_str(NO_ROOM),
            Self::NotAKey { line } => write!(
                f,
                "line {line} is not a Fernet key (44 characters of URL-safe base64 that end in one `=`)"
            ),
            Self::TooMany => write!(f, "there are more than {MOST_KEYS} keys in the list"),
        }
    }
}

impl std::error::Error for KeyListError {}

impl RootKeys {
    /// Parses a key list, in one section. Whoever has the text wipes it.
    ///
    /// # Errors
    /// Names the line that is wrong.
    pub fn parse(text: &[u8]) -> Result<Self, KeyListError> {
        let mut keys = Vec::new();
        // What is wrong leaves the section as two scalars: an error with a number in one variant has bytes that others have not.
        let (mut fault, mut line) = (Fault::TooMany, 0);
        let is_list = within(|_| parse(text, &mut keys, &mut line).map_err(|why| fault = why).is_ok());
        if !is_list {
            return Err(fault.at(line));
        }
        let others = if keys.is_empty() { Vec::new() } else { keys.split_off(1) };
        keys.pop().map(|primary| Self { primary, others }).ok_or(KeyListError::Empty)
    }

    /// The key that seals what is new.
    #[must_use]
    pub fn primary(&self) -> &SealingKey {
        &self.primary
    }

    /// The key with this id.
    #[must_use]
    pub fn find(&self, id: KeyId) -> Option<&SealingKey> {
        self.iter().find(|key| key.id() == id)
    }

    /// All of them, in the order of the list.
    pub fn iter(&self) -> impl Iterator<Item = &SealingKey> {
        std::iter::once(&self.primary).chain(&self.others)
    }
}

/// What is wrong with a line.
#[derive(Clone, Copy)]
enum Fault {
    Duplicate,
    NoRoom,
    NotAKey,
    TooMany,
}

impl Fault {
    fn at(self, line: usize) -> KeyListError {
        match self {
            Self::Duplicate => KeyListError::Duplicate { line },
            Self::NoRoom => KeyListError::NoRoom,
            Self::NotAKey => KeyListError::NotAKey { line },
            Self::TooMany => KeyListError::TooMany,
        }
    }
}

/// For a section. Leaves in `at` the line that it came to, counted from 1.
fn parse(text: &[u8], keys: &mut Vec<SealingKey>, at: &mut usize) -> Result<(), Fault> {
    for line in text.split(|&b| b == b'\n') {
        *at += 1;
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let key = SealingKey::parse(line).map_err(|why| match why {
            KeyError::NoRoom => Fault::NoRoom,
            KeyError::NotAKey => Fault::NotAKey,
        })?;
        if keys.iter().any(|other| other.id() == key.id()) {
            return Err(Fault::Duplicate);
        }
        if keys.len() == MOST_KEYS {
            return Err(Fault::TooMany);
        }
        keys.push(key);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::key::KeyText;

    #[test]
    fn a_list_reads_like_multifernet_with_comments() {
        let (a, b) = (KeyText::generate(), KeyText::generate());
        let text = format!("# newest first\n{}\r\n\n  {}\n# end", a.expose(), b.expose());
        let keys = RootKeys::parse(text.as_bytes()).unwrap();
        let id = |text: &KeyText| SealingKey::parse(text.expose().as_bytes()).unwrap().id();
        assert_eq!(keys.primary().id(), id(&a));
        assert_eq!(keys.iter().count(), 2);
        assert!(keys.find(id(&b)).is_some());
        assert!(keys.find(id(&KeyText::generate())).is_none());
    }

    #[test]
    fn what_is_wrong_is_named_by_line() {
        let key = KeyText::generate();
        let twice = format!("{0}\n{0}\n", key.expose());
        let parse = |text: &str| RootKeys::parse(text.as_bytes()).unwrap_err();
        assert_eq!(parse(&twice), KeyListError::Duplicate { line: 2 });
        assert_eq!(parse("# nothing\n\n"), KeyListError::Empty);
        assert_eq!(parse(&format!("{}\nhunter2\n", key.expose())), KeyListError::NotAKey { line: 2 });
        assert!(!parse("hunter2").to_string().contains("hunter2"));
    }
}
