//! Values in secret pages.
//!
//! Slots of two sizes, each size on mappings of its own: a Fernet key, and a key of HMAC with its pads hashed. Which slots are
//! free is known outside, so that no slot ever holds anything but a value or zeros.
//!
//! Grows by whole mappings up to [`MOST`], and gives none back: what was needed once is needed again.
#![expect(unsafe_code, reason = "places values by hand")]

use std::io;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::PoisonError;

use super::pages::{Kind, Pages, wipe};
use super::section::{Inside, within};
use super::{RoomError, room};

/// A size of slots.
struct Class {
    slot: usize,
    /// Of one mapping.
    mapping: usize,
}

const CLASSES: [Class; 2] =
    [Class { slot: 32, mapping: 128 * 1024 }, Class { slot: 256, mapping: 64 * 1024 }];

/// Bytes of all mappings: half a million keys, beyond any limit that can be configured.
const MOST: usize = 16 << 20;

/// Where values are kept.
pub(super) struct Arena {
    kind: Kind,
    shelves: [Shelf; CLASSES.len()],
    bytes: usize,
}

#[derive(Default)]
struct Shelf {
    free: Vec<Slot>,
    mappings: Vec<Pages>,
}

struct Slot(NonNull<u8>);

// SAFETY: a slot that is free is nobody's; who takes it has it alone.
unsafe impl Send for Slot {}

impl Arena {
    /// With a first mapping of each size.
    pub(super) fn new(kind: Kind) -> io::Result<Self> {
        let mut arena = Self { kind, shelves: Default::default(), bytes: 0 };
        for class in 0..CLASSES.len() {
            arena.grow(class)?;
        }
        Ok(arena)
    }

    fn take(&mut self, class: usize) -> Result<Slot, RoomError> {
        if let Some(slot) = self.shelves[class].free.pop() {
            return Ok(slot);
        }
        if self.bytes + CLASSES[class].mapping > MOST {
            return Err(RoomError::Full);
        }
        self.grow(class).map_err(|why| RoomError::of(&why))?;
        self.shelves[class].free.pop().ok_or(RoomError::Full)
    }

    fn grow(&mut self, class: usize) -> io::Result<()> {
        let Class { slot, mapping } = CLASSES[class];
        let pages = Pages::map(self.kind, mapping)?;
        let shelf = &mut self.shelves[class];
        // From the last to the first, so that the first is taken first.
        let starts = (0..mapping).step_by(slot).rev();
        shelf.free.extend(starts.filter_map(|at| NonNull::new(pages.base().wrapping_add(at)).map(Slot)));
        // Room for all of them: putting one back never allocates.
        let slots = (shelf.mappings.len() + 1) * (mapping / slot);
        shelf.free.reserve(slots.saturating_sub(shelf.free.len()));
        shelf.mappings.push(pages);
        self.bytes += mapping;
        Ok(())
    }
}

/// A value in secret pages; looked at within a section alone. Wiped on drop.
pub struct Kept<T> {
    value: NonNull<T>,
    owned: PhantomData<T>,
}

// SAFETY: a `Kept` owns its value, as a `Box` does.
unsafe impl<T: Send> Send for Kept<T> {}
// SAFETY: through a `&Kept` there is a `&T` to be had, and nothing else.
unsafe impl<T: Sync> Sync for Kept<T> {}

impl<T> Kept<T> {
    /// The smallest class that holds a `T`. A type that fits none does not compile.
    const CLASS: usize = {
        let mut class = 0;
        while CLASSES[class].slot < size_of::<T>() {
            class += 1;
        }
        assert!(align_of::<T>() <= CLASSES[class].slot);
        class
    };

    /// Keeps a value that was made within this section.
    ///
    /// # Errors
    /// There is no room for more.
    pub fn put(value: T, _: &Inside) -> Result<Self, RoomError> {
        let slot = room().arena.lock().unwrap_or_else(PoisonError::into_inner).take(Self::CLASS)?;
        let place = slot.0.cast::<T>();
        // SAFETY: the slot is mapped, as large and as aligned as `CLASS` promises, and was given to nobody else.
        unsafe { place.write(value) };
        Ok(Self { value: place, owned: PhantomData })
    }

    /// The value, for as long as the section lasts.
    pub fn get<'a>(&'a self, _: &'a Inside) -> &'a T {
        // SAFETY: `put` has written it, and it stays until this `Kept` is dropped.
        unsafe { self.value.as_ref() }
    }
}

impl<T> Drop for Kept<T> {
    fn drop(&mut self) {
        let class = Self::CLASS;
        within(|_| {
            // SAFETY: the value is there and goes with this `Kept`; nobody has it borrowed any more.
            unsafe { self.value.drop_in_place() };
            wipe(self.value.as_ptr().cast(), CLASSES[class].slot);
        });
        let slot = Slot(self.value.cast());
        room().arena.lock().unwrap_or_else(PoisonError::into_inner).shelves[class].free.push(slot);
    }
}
