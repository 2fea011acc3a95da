//! Who holds how many connections: bounded in all, and for each holder.
//!
//! Never lets one holder take another's place.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many connections there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Places {
    /// In all.
    pub all: usize,
    /// For one user, or one client.
    pub user: usize,
}

/// Who holds connections.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Holder {
    /// A configured client, wherever it connects from.
    Client(String),
    /// All who have a certificate of a trusted CA and are no configured client.
    Strangers,
    /// A user of this host.
    User(u32),
}

/// Those who have no right here need few places to hear it.
const STRANGERS_MOST: usize = 16;

/// Connections by holder.
#[derive(Clone)]
pub(super) struct Register {
    all: Arc<Semaphore>,
    most: usize,
    held: Arc<Mutex<HashMap<Holder, usize>>>,
}

impl Register {
    pub(super) fn new(places: Places) -> Self {
        Self { all: Arc::new(Semaphore::new(places.all)), most: places.user, held: Arc::default() }
    }

    /// A place; none where the holder has as many as one may have, or nobody could have one.
    pub(super) fn enter(&self, holder: Holder) -> Option<Place> {
        let all = Arc::clone(&self.all).try_acquire_owned().ok()?;
        let most = if holder == Holder::Strangers { self.most.min(STRANGERS_MOST) } else { self.most };
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let count = held.entry(holder.clone()).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        drop(held);
        Some(Place { _all: all, register: self.clone(), holder })
    }
}

/// One connection of a holder, until this goes.
pub(super) struct Place {
    _all: OwnedSemaphorePermit,
    register: Register,
    holder: Holder,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.register.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&self.holder) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.holder);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_s_places_come_back() {
        let register = Register::new(Places { all: 2, user: 1 });
        let first = register.enter(Holder::User(7)).expect("a place");
        assert!(register.enter(Holder::User(7)).is_none());
        let other = register.enter(Holder::Client("web".into())).expect("a place");
        assert!(register.enter(Holder::Strangers).is_none(), "there are two in all");
        drop((first, other));
        assert!(register.enter(Holder::User(7)).is_some());
    }

    #[test]
    fn strangers_have_few() {
        let register = Register::new(Places { all: 1000, user: 500 });
        let held: Vec<_> = std::iter::from_fn(|| register.enter(Holder::Strangers)).collect();
        assert_eq!(held.len(), STRANGERS_MOST);
    }
}
