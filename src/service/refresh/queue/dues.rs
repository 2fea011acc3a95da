//! Connections in the order in which they are due.
//!
//! The hard problem: a million of them, of which each may be put elsewhere at any moment. The answer: a binary heap of
//! numbers over a table of 40 bytes a connection, in which each knows its place in the heap; and an index from name to
//! number that keeps no second copy of the name. Finding the next costs nothing, moving one costs O(log n).
//!
//! Never two entries of one connection.

use hashbrown::HashTable;

/// Where a connection stands in the store, without its table: bits that are as good as random.
pub type Blind = [u8; 32];

#[derive(Debug, Default)]
pub(super) struct Dues {
    slots: Vec<Slot>,
    /// Numbers of slots; none is due before its parent.
    heap: Vec<u32>,
    index: HashTable<u32>,
}

#[derive(Debug)]
struct Slot {
    blind: Blind,
    /// Unix seconds, up to the year 2106.
    due: u32,
    /// In the heap.
    place: u32,
}

impl Dues {
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Puts a connection where it belongs, wherever it was.
    pub(super) fn put(&mut self, blind: &Blind, due: u32) {
        if let Some(number) = self.find(blind) {
            let slot = &mut self.slots[number as usize];
            slot.due = due;
            let place = slot.place as usize;
            self.settle(place);
            return;
        }
        let Ok(number) = u32::try_from(self.slots.len()) else { return };
        make_room(&mut self.slots);
        make_room(&mut self.heap);
        self.slots.push(Slot { blind: *blind, due, place: number });
        self.heap.push(number);
        let Self { slots, index, .. } = self;
        index.insert_unique(hash(blind), number, |number| hash(&slots[*number as usize].blind));
        self.rise(number as usize);
    }

    /// When the first is due.
    pub(super) fn first(&self) -> Option<u32> {
        self.heap.first().map(|number| self.slots[*number as usize].due)
    }

    /// Takes the first off.
    pub(super) fn take(&mut self) -> Option<Blind> {
        let number = *self.heap.first()?;
        let blind = self.slots[number as usize].blind;
        self.take_off(number);
        Some(blind)
    }

    fn take_off(&mut self, number: u32) {
        let place = self.slots[number as usize].place as usize;
        self.heap.swap_remove(place);
        if let Some(moved) = self.heap.get(place) {
            self.slots[*moved as usize].place = place as u32;
            self.settle(place);
        }
        let gone = self.slots[number as usize].blind;
        if let Ok(entry) = self.index.find_entry(hash(&gone), |found| *found == number) {
            entry.remove();
        }
        // The last slot takes the number that is free now.
        let last = (self.slots.len() - 1) as u32;
        self.slots.swap_remove(number as usize);
        if last != number {
            let moved = &self.slots[number as usize];
            self.heap[moved.place as usize] = number;
            let hash = hash(&moved.blind);
            if let Some(found) = self.index.find_mut(hash, |found| *found == last) {
                *found = number;
            }
        }
    }

    fn find(&self, blind: &Blind) -> Option<u32> {
        self.index.find(hash(blind), |number| self.slots[*number as usize].blind == *blind).copied()
    }

    fn due_at(&self, place: usize) -> u32 {
        self.slots[self.heap[place] as usize].due
    }

    fn settle(&mut self, place: usize) {
        let place = self.rise(place);
        self.sink(place);
    }

    fn rise(&mut self, mut place: usize) -> usize {
        while place > 0 {
            let parent = (place - 1) / 2;
            if self.due_at(parent) <= self.due_at(place) {
                break;
            }
            self.swap(place, parent);
            place = parent;
        }
        place
    }

    fn sink(&mut self, mut place: usize) {
        loop {
            let (left, right) = (2 * place + 1, 2 * place + 2);
            if left >= self.heap.len() {
                return;
            }
            let right_first = right < self.heap.len() && self.due_at(right) < self.due_at(left);
            let child = if right_first { right } else { left };
            if self.due_at(place) <= self.due_at(child) {
                return;
            }
            self.swap(place, child);
            place = child;
        }
    }

    fn swap(&mut self, one: usize, other: usize) {
        self.heap.swap(one, other);
        for place in [one, other] {
            self.slots[self.heap[place] as usize].place = place as u32;
        }
    }
}

/// By an eighth, and not twofold: at a million, half a table of nothing is 20 MB.
fn make_room<T>(of: &mut Vec<T>) {
    if of.len() == of.capacity() {
        of.reserve_exact(of.len() / 8 + 16);
    }
}

/// Of the part that is the connection's own: a MAC needs no hashing.
fn hash(blind: &Blind) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&blind[16..24]);
    u64::from_ne_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn blind(number: u8) -> Blind {
        let mut blind = [0; 32];
        blind[16..24].copy_from_slice(&u64::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
        blind[31] = number;
        blind
    }

    proptest! {
        /// Whatever is put and taken, in whatever order: as a list that is searched would do it.
        #[test]
        fn it_does_what_a_plain_list_does(steps in prop::collection::vec((0_u8..40, 0_u32..100, any::<bool>()), 0..300)) {
            let (mut dues, mut plain) = (Dues::default(), BTreeMap::new());
            for (number, due, takes) in steps {
                if takes {
                    let first = dues.first();
                    prop_assert_eq!(first, plain.values().min().copied());
                    if let Some(taken) = dues.take() {
                        prop_assert_eq!(plain.remove(&taken), first);
                    }
                } else {
                    dues.put(&blind(number), due);
                    plain.insert(blind(number), due);
                }
                prop_assert_eq!(dues.len(), plain.len());
            }
            while let Some(first) = dues.first() {
                let taken = dues.take().expect("there is one");
                prop_assert_eq!(plain.remove(&taken), Some(first));
            }
            prop_assert!(plain.is_empty());
        }
    }
}
