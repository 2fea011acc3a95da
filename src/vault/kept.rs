//! What the backups that are kept need of the keys: counted by the vault when a set is begun, and put together again from all
//! sets that there are (docs/keys.md, "Backups and keys").
//!
//! ```text
//! key counts, sealed under the system key: (key id: 8 bytes, records: 4 bytes, big-endian) each, in the order of the ids
//! ```
//!
//! The hard problem: a backup cannot be counted without opening it, and what opens it is not on this machine. The answer: each
//! set says at its beginning what it holds under which key; what came under a new key later is counted by the set that comes
//! after it, or is known by the moment at which the key had a successor. Where a set does not say it, it may hold anything.
//!
//! A set brings its org keys along, wrapped: what it needs from outside are root keys. Never takes doubt for a no.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tokenkeep_client::moment::Moment;
use tokenkeep_client::wire::{KeptBackupsOut, KeptRootKeyOut};

use super::Vault;
use super::place::{Field, Table, vault_place};
use super::refusal::Refusal;
use super::rotation::whole_tables;
use crate::crypto::key::KeyId;
use crate::crypto::key_list::RootKeys;
use crate::crypto::seal::{open, seal};

/// A manifest has so many at the most: 1.6 MiB of it. A vault with more does not say.
const MOST: usize = 100_000;
const EACH: usize = KeyId::LENGTH + 4;

/// Records by the org key that they are under.
pub type KeyCounts = Vec<(KeyId, u32)>;

/// A set that is kept.
#[derive(Debug, Clone)]
pub struct KeptSet {
    /// Its name.
    pub name: String,
    /// From when on it has all there was.
    pub begun_at: Moment,
    /// When the next one was begun; none where it is the newest.
    pub ended_at: Option<Moment>,
    /// It does not go before.
    pub goes_at: Moment,
    /// What it takes to restore it.
    pub root_keys: BTreeSet<KeyId>,
    /// Records under each org key at its beginning; none where that is not known.
    pub org_keys: Option<KeyCounts>,
}

/// What the sets that are kept need. Empty where no backups are made.
#[derive(Debug, Default)]
pub struct KeptKeys {
    sets: Vec<Span>,
    root_keys: BTreeMap<KeyId, Needed>,
    org_keys: HashMap<KeyId, Counted>,
}

#[derive(Debug)]
struct Span {
    name: String,
    begun_at: Moment,
    ended_at: Option<Moment>,
    goes_at: Moment,
    is_counted: bool,
}

/// What needs a root key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needed {
    /// So many sets.
    pub sets: u64,
    /// The last of them to go.
    pub last_set: String,
    /// It does not go before.
    pub until: Moment,
}

/// A key is in use from one moment to another: so are the sets that have it one after the other.
#[derive(Debug, Clone, Copy)]
struct Counted {
    records: u64,
    first: usize,
    last: usize,
}

/// What of an org's key is in the sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Records under it, set by set, as they stood at the beginning of each.
    pub records: u64,
    /// Sets that hold such records, or may.
    pub sets: u64,
    /// The last of those does not go before; none where there is none.
    pub until: Option<Moment>,
}

impl KeptKeys {
    /// With one set more, the next in time.
    pub fn add(&mut self, set: KeptSet) {
        let at = self.sets.len();
        for id in &set.root_keys {
            let needed = Needed { sets: 0, last_set: set.name.clone(), until: set.goes_at };
            let known = self.root_keys.entry(*id).or_insert_with(|| needed.clone());
            *known = Needed { sets: known.sets + 1, ..needed };
        }
        for (id, records) in set.org_keys.iter().flatten() {
            let counted = self.org_keys.entry(*id).or_insert(Counted { records: 0, first: at, last: at });
            (counted.records, counted.last) = (counted.records + u64::from(*records), at);
        }
        let KeptSet { name, begun_at, ended_at, goes_at, org_keys, .. } = set;
        self.sets.push(Span { name, begun_at, ended_at, goes_at, is_counted: org_keys.is_some() });
    }

    /// Whether this set is among them.
    #[must_use]
    pub fn has(&self, set: &str) -> bool {
        self.sets.iter().any(|known| known.name == set)
    }

    /// What needs this root key.
    #[must_use]
    pub fn root_key(&self, id: KeyId) -> Option<&Needed> {
        self.root_keys.get(&id)
    }

    /// The root keys that sets need and the list lacks.
    pub fn missing_from<'a>(&'a self, root: &'a RootKeys) -> impl Iterator<Item = (KeyId, &'a Needed)> {
        self.root_keys.iter().filter(|(id, _)| root.find(**id).is_none()).map(|(id, needed)| (*id, needed))
    }

    /// What there is of an org's key that has had a successor since then; none: it is the current one.
    #[must_use]
    pub fn org_key(&self, id: KeyId, former_since: Option<Moment>) -> Held {
        let counted = self.org_keys.get(&id);
        let is_in_use_in = |set: &Span| match (former_since, set.ended_at) {
            (Some(since), Some(ended_at)) => set.begun_at <= since && since <= ended_at,
            (Some(since), None) => set.begun_at <= since,
            (None, ended_at) => ended_at.is_none(),
        };
        let holds = |(at, set): &(usize, &Span)| {
            !set.is_counted
                // In the one before the first that counted it, it may have come.
                || counted.is_some_and(|counted| (counted.first.saturating_sub(1)..=counted.last).contains(at))
                || is_in_use_in(set)
        };
        let sets: Vec<&Span> = self.sets.iter().enumerate().filter(holds).map(|(_, set)| set).collect();
        Held {
            records: counted.map_or(0, |counted| counted.records),
            sets: sets.len() as u64,
            until: sets.iter().map(|set| set.goes_at).max(),
        }
    }

    /// As admins see it.
    #[must_use]
    pub fn shape(&self, root: &RootKeys) -> KeptBackupsOut {
        let shaped = |(id, needed): (&KeyId, &Needed)| KeptRootKeyOut {
            id: id.to_string(),
            listed: root.find(*id).is_some(),
            sets: needed.sets,
            last_set: needed.last_set.clone(),
            until: needed.until,
        };
        KeptBackupsOut {
            sets: self.sets.len() as u64,
            uncounted_sets: self.sets.iter().filter(|set| !set.is_counted).count() as u64,
            oldest_set: self.sets.first().map(|set| set.name.clone()),
            root_keys: self.root_keys.iter().map(shaped).collect(),
            error: None,
        }
    }
}

impl Vault {
    /// How many records are under each org key now, sealed for [`Vault::open_key_counts`]; none where there are too many keys.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn seal_key_counts(&self) -> Result<Option<String>, Refusal> {
        let mut counts: BTreeMap<KeyId, u32> = BTreeMap::new();
        self.each_record(&whole_tables(), |_, view, _| {
            let ids: BTreeSet<KeyId> = view.sections().map(|section| section.key_id).collect();
            for id in ids {
                let count = counts.entry(id).or_default();
                *count = count.saturating_add(1);
            }
        })?;
        if counts.len() > MOST {
            return Ok(None);
        }
        let text: Vec<u8> =
            counts.iter().flat_map(|(id, count)| [&id.0[..], &count.to_be_bytes()].concat()).collect();
        Ok(Some(seal(
            &self.system_key,
            &vault_place(self.vault_id, Table::Vault, Field::KeyCounts),
            1,
            &text,
        )))
    }

    /// What a set said of the records in it; none where that does not open.
    #[must_use]
    pub fn open_key_counts(&self, sealed: &str) -> Option<KeyCounts> {
        let place = vault_place(self.vault_id, Table::Vault, Field::KeyCounts);
        let opened = open(&self.system_key, &place, sealed.as_bytes()).ok()?;
        let text = opened.expose();
        let each = text.chunks_exact(EACH);
        each.remainder().is_empty().then_some(())?;
        each.map(|entry| {
            let (id, count) = entry.split_at_checked(KeyId::LENGTH)?;
            Some((KeyId(id.try_into().ok()?), u32::from_be_bytes(count.try_into().ok()?)))
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: KeyId = KeyId([1; 8]);
    const B: KeyId = KeyId([2; 8]);

    fn at(unix: u64) -> Moment {
        Moment::from_unix(unix).unwrap()
    }

    /// Three sets of 100 s each, kept for 1000 s.
    fn kept(org_keys: [Option<KeyCounts>; 3], root_keys: [&[KeyId]; 3]) -> KeptKeys {
        let mut kept = KeptKeys::default();
        for (number, (org_keys, root_keys)) in (0_u64..).zip(org_keys.into_iter().zip(root_keys)) {
            kept.add(KeptSet {
                name: number.to_string(),
                begun_at: at(number * 100),
                ended_at: (number < 2).then(|| at(number * 100 + 100)),
                goes_at: at(number * 100 + 1100),
                root_keys: root_keys.iter().copied().collect(),
                org_keys,
            });
        }
        kept
    }

    #[test]
    fn a_key_is_in_the_sets_that_counted_it_and_in_the_one_in_which_it_got_a_successor() {
        let kept =
            kept([Some(vec![(A, 7)]), Some(vec![(A, 5), (B, 4)]), Some(vec![(B, 9)])], [&[A], &[A, B], &[B]]);
        let held = |records, sets, until| Held { records, sets, until: Some(at(until)) };
        assert_eq!(kept.org_key(A, Some(at(150))), held(12, 2, 1200));
        // Born and gone between two beginnings: nobody counted it.
        assert_eq!(kept.org_key(KeyId([3; 8]), Some(at(150))), held(0, 1, 1200));
        assert_eq!(kept.org_key(B, None), held(13, 3, 1300));
        assert_eq!(kept.org_key(A, Some(at(50))).sets, 2);
        assert_eq!(kept.root_key(A), Some(&Needed { sets: 2, last_set: "1".into(), until: at(1200) }));
        assert!(kept.root_key(KeyId([3; 8])).is_none());
        assert_eq!(KeptKeys::default().org_key(A, None), Held { records: 0, sets: 0, until: None });
    }

    #[test]
    fn a_set_that_does_not_say_may_hold_anything() {
        let kept = kept([None, Some(vec![]), Some(vec![])], [&[], &[], &[]]);
        assert_eq!(kept.org_key(A, Some(at(250))), Held { records: 0, sets: 2, until: Some(at(1300)) });
    }
}
