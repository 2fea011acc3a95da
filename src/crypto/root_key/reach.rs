//! What reading a source once more touches: files, and ports of others.
//!
//! Never reads any of it.

use std::path::PathBuf;

use crate::net::outbound::{Endpoint, Roots};

/// Files and ports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// Files that are read, where they are.
    pub files: Vec<PathBuf>,
    /// TCP ports that are connected to; none where nobody is asked.
    pub ports: Vec<u16>,
}

impl Reach {
    /// These files, and nobody is asked.
    #[must_use]
    pub fn files(files: impl IntoIterator<Item = PathBuf>) -> Self {
        Self { files: files.into_iter().collect(), ports: Vec::new() }
    }

    /// These endpoints too, trusted by these roots.
    #[must_use]
    pub fn and_asks<'a>(mut self, endpoints: impl IntoIterator<Item = &'a Endpoint>, roots: &Roots) -> Self {
        self.ports.extend(endpoints.into_iter().map(Endpoint::port));
        self.files.extend(roots.places());
        self
    }

    /// That too.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.files.extend(other.files);
        self.ports.extend(other.ports);
        self
    }

    /// Whether the other touches nothing beyond this: no other directory, and no other port.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let is_open = |file: &PathBuf| self.files.iter().any(|one| one.parent() == file.parent());
        other.files.iter().all(is_open) && other.ports.iter().all(|port| self.ports.contains(port))
    }
}
