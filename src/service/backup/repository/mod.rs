//! Where backups are kept: named objects in folders, written once and never changed.
//!
//! The hard problem: a directory and an object store have little in common, and what they do not promise must not be
//! relied on. The answer: five plain acts. An object is whole or not there; one that is there is never written over; what
//! was written is read back by whoever wrote it.
//!
//! Knows no key: all that comes here is sealed already, or is a manifest.

pub mod directory;
pub mod s3;
mod xml;

use std::fmt;
use std::fs::File;
use std::io::{self, Read};

/// A place for backups.
pub trait Repository: Send + Sync {
    /// The names of the folders directly below, in order.
    ///
    /// # Errors
    /// See [`RepositoryError`]; no folder has none below it.
    fn folders(&self, below: &str) -> Result<Vec<String>, RepositoryError>;

    /// What stands in a folder, in the order of the names.
    ///
    /// # Errors
    /// As [`Repository::folders`].
    fn objects(&self, folder: &str) -> Result<Vec<Stored>, RepositoryError>;

    /// Puts an object there: so many bytes of the file, from its beginning. It is durable, and whole, when this returns.
    ///
    /// # Errors
    /// `AlreadyThere`; nothing was changed then.
    fn put(&self, name: &str, content: &File, bytes: u64) -> Result<(), RepositoryError>;

    /// So many bytes of an object from there on; fewer where it ends, none beyond.
    ///
    /// # Errors
    /// See [`RepositoryError`].
    fn read(&self, name: &str, at: u64, most: usize) -> Result<Vec<u8>, RepositoryError>;

    /// Removes an object; one that is not there is no error.
    ///
    /// # Errors
    /// See [`RepositoryError`].
    fn remove(&self, name: &str) -> Result<(), RepositoryError>;

    /// Removes a folder in which nothing is.
    ///
    /// # Errors
    /// See [`RepositoryError`].
    fn remove_folder(&self, name: &str) -> Result<(), RepositoryError>;

    /// Where it is, in words.
    fn describe(&self) -> String;
}

/// An object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// In its folder.
    pub name: String,
    /// Its length.
    pub bytes: u64,
}

/// Why something is not there, or not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RepositoryError {
    /// There is no such object.
    Absent(String),
    /// There is one of that name.
    AlreadyThere(String),
    /// It does not let us, and will not by itself; with the mend.
    Refused(String),
    /// It does not answer, or not well: later it may.
    Unavailable(String),
}

impl fmt::Display for RepositoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent(name) => write!(f, "{name} is not there"),
            Self::AlreadyThere(name) => {
                write!(f, "{name} is there already: another daemon writes its backups to the same place")
            }
            Self::Refused(what) | Self::Unavailable(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for RepositoryError {}

/// How much is asked for at once.
const PIECE: usize = 4 << 20;

/// Reads an object from front to back, piece by piece.
pub struct Reader<'a> {
    repository: &'a dyn Repository,
    name: &'a str,
    at: u64,
    piece: Vec<u8>,
    given: usize,
    is_over: bool,
}

impl<'a> Reader<'a> {
    /// From its beginning.
    #[must_use]
    pub fn new(repository: &'a dyn Repository, name: &'a str) -> Self {
        Self { repository, name, at: 0, piece: Vec::new(), given: 0, is_over: false }
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.given == self.piece.len() && !self.is_over {
            self.piece = self.repository.read(self.name, self.at, PIECE).map_err(io::Error::other)?;
            self.at += self.piece.len() as u64;
            self.given = 0;
            self.is_over = self.piece.len() < PIECE;
        }
        let taken = into.len().min(self.piece.len() - self.given);
        into[..taken].copy_from_slice(&self.piece[self.given..self.given + taken]);
        self.given += taken;
        Ok(taken)
    }
}

/// Reads a small object, whole.
///
/// # Errors
/// It is larger than that, or the repository's.
pub fn read_small(repository: &dyn Repository, name: &str, most: usize) -> Result<Vec<u8>, RepositoryError> {
    let bytes = repository.read(name, 0, most + 1)?;
    if bytes.len() > most {
        return Err(RepositoryError::Refused(format!("{name} is larger than it may be")));
    }
    Ok(bytes)
}
