//! An index in memory: what stands in where sled cannot, until the next start.
//!
//! Never durable, and need not be: the journal is.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{PoisonError, RwLock};

use super::{Applied, Broken, Index, Pointer, Update};
use crate::store::{KEY_LENGTH, Key};

/// Pointers in a sorted map.
#[derive(Debug, Default)]
pub(crate) struct Memory(RwLock<BTreeMap<Key, Pointer>>);

impl Index for Memory {
    fn read(&self, key: &Key) -> Result<Option<Pointer>, Broken> {
        Ok(self.0.read().unwrap_or_else(PoisonError::into_inner).get(key).copied())
    }

    fn scan(&self, prefix: &[u8], after: Option<&Key>, most: usize) -> Result<Vec<(Key, Pointer)>, Broken> {
        let from = first_of(prefix);
        let from = match after {
            Some(after) if *after >= from => Bound::Excluded(*after),
            _ => Bound::Included(from),
        };
        let pointers = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let matching =
            pointers.range((from, Bound::Unbounded)).take_while(|(key, _)| key.0.starts_with(prefix));
        Ok(matching.take(most).map(|(key, pointer)| (*key, *pointer)).collect())
    }

    fn apply(&self, updates: &[Update], _: &Applied) -> Result<(), Broken> {
        let mut pointers = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for (key, pointer) in updates {
            match pointer {
                Some(pointer) => pointers.insert(*key, *pointer),
                None => pointers.remove(key),
            };
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), Broken> {
        Ok(())
    }
}

/// The lowest key that starts with the prefix; of a prefix longer than a key there is none, and what is
/// found from here on does not match it.
pub(crate) fn first_of(prefix: &[u8]) -> Key {
    let mut first = [0; KEY_LENGTH];
    let length = prefix.len().min(KEY_LENGTH);
    first[..length].copy_from_slice(&prefix[..length]);
    Key(first)
}
