//! The destinations that the configuration names.
//!
//! Never a pattern: a destination is named, host and port, or it is not.

use std::fmt;
use std::sync::{PoisonError, RwLock};

use crate::net::destination::Destination;

/// They, as of the last reading of the configuration.
#[derive(Debug)]
pub(super) struct Allowed(RwLock<Vec<Destination>>);

impl Allowed {
    pub(super) fn new(destinations: Vec<Destination>) -> Self {
        Self(RwLock::new(destinations))
    }

    pub(super) fn replace(&self, destinations: Vec<Destination>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = destinations;
    }

    pub(super) fn names(&self, destination: &Destination) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains(destination)
    }

    pub(super) fn count(&self) -> usize {
        self.0.read().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// One a line.
impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let destinations = self.0.read().unwrap_or_else(PoisonError::into_inner);
        destinations.iter().try_for_each(|one| writeln!(f, "{one}"))
    }
}
