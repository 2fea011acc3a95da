//! The allocator of our programs: every block is written over with zeros when it is given back.
//!
//! The hard problem: a token passes through buffers that nobody here owns (of hyper, h2, rustls, serde), each copied,
//! grown and freed in its own way, and `zeroize` in our own types reaches none of them. The answer: whatever was in a
//! block is gone when it is freed, whoever freed it. A block that grows is a new one, and the old one is freed: the
//! `realloc` of the one behind would move the bytes and leave the old ones behind, so it is never asked.
//!
//! What is on a stack, in a block that still lives, or in memory that C code allocates for itself is not covered.
//!
//! Never gives back a block that still holds a byte of what was in it.

#![expect(unsafe_code, reason = "a global allocator is an unsafe trait (core::alloc::GlobalAlloc)")]

use std::alloc::{GlobalAlloc, Layout};

use mimalloc::MiMalloc;

/// An allocator that wipes what it gives back.
///
/// Behind it stands mimalloc and not the C library's: a read of a token takes a dozen blocks, and finds its record somewhere in
/// two hundred megabytes, which mimalloc lets the kernel map in huge pages.
pub struct WipingAllocator<A = MiMalloc>(A);

impl<A> std::fmt::Debug for WipingAllocator<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WipingAllocator")
    }
}

impl WipingAllocator {
    /// To be made a program's `#[global_allocator]`.
    #[must_use]
    pub const fn new() -> Self {
        Self(MiMalloc)
    }
}

impl Default for WipingAllocator {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: Blocks come from the allocator behind and go back to it with the layout they came with; nothing is done to a
// block but, before it goes, within its layout. `realloc` is the trait's own: allocate, copy, free.
unsafe impl<A: GlobalAlloc> GlobalAlloc for WipingAllocator<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is passed on as it is.
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is passed on as it is.
        unsafe { self.0.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if !cfg!(feature = "dangerous-without-wiping-allocator") {
            // SAFETY: the caller gives the block back: it is its own, as large as its layout says, and no longer used.
            unsafe { wipe(block, layout.size()) };
        }
        // SAFETY: the caller's promise is passed on as it is.
        unsafe { self.0.dealloc(block, layout) }
    }
}

/// One sweep of `memset`, at the width that the processor has. Nobody reads what it writes, so a compiler could leave it
/// out; the barrier makes it believe that somebody does.
///
/// # Safety
/// The place is ours to write, for so many bytes, and nobody else looks at it.
unsafe fn wipe(place: *mut u8, length: usize) {
    // SAFETY: as the caller promises; bytes have no alignment and no invalid value.
    let wiped = unsafe {
        place.write_bytes(0, length);
        std::slice::from_raw_parts(place, length)
    };
    zeroize::optimization_barrier(wiped);
}

#[cfg(test)]
mod tests {
    use std::alloc::System;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const CANARY: &[u8] = b"canary-of-a-block";

    /// Looks into each block that comes back, before it is gone.
    #[derive(Default)]
    struct Witness {
        given_back: AtomicUsize,
        not_zero: AtomicUsize,
        moved: AtomicUsize,
    }

    // SAFETY: the system's allocator does it all.
    unsafe impl GlobalAlloc for &Witness {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            // SAFETY: passed on.
            unsafe { System.alloc(layout) }
        }

        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            // SAFETY: not given back yet, and initialised by the test or by who wiped it.
            let bytes = unsafe { std::slice::from_raw_parts(block, layout.size()) };
            self.given_back.fetch_add(1, Ordering::Relaxed);
            self.not_zero.fetch_add(usize::from(bytes.iter().any(|byte| *byte != 0)), Ordering::Relaxed);
            // SAFETY: passed on.
            unsafe { System.dealloc(block, layout) }
        }

        unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
            self.moved.fetch_add(1, Ordering::Relaxed);
            // SAFETY: passed on.
            unsafe { System.realloc(block, layout, size) }
        }
    }

    fn fill(block: *mut u8, length: usize) {
        let canary = CANARY.iter().cycle();
        for (at, byte) in canary.take(length).enumerate() {
            // SAFETY: within the block.
            unsafe { block.add(at).write(*byte) };
        }
    }

    #[test]
    fn what_is_given_back_is_zero_to_its_last_byte() {
        let witness = Witness::default();
        let allocator = WipingAllocator(&witness);
        let sizes = [1, 7, 8, 15, 16, 17, 63, 64, 65, 255, 4096, 8191, 1 << 20];
        for size in sizes {
            let layout = Layout::from_size_align(size, 1).expect("a layout");
            // SAFETY: allocated, filled and freed with one layout.
            unsafe {
                let block = allocator.alloc(layout);
                fill(block, size);
                allocator.dealloc(block, layout);
            }
        }
        assert_eq!(witness.given_back.load(Ordering::Relaxed), sizes.len());
        assert_eq!(witness.not_zero.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_block_that_grows_or_shrinks_leaves_nothing_where_it_was() {
        let witness = Witness::default();
        let allocator = WipingAllocator(&witness);
        for (size, next) in [(64, 128), (128, 64), (100, 1 << 20), (1 << 20, 4096)] {
            let layout = Layout::from_size_align(size, 8).expect("a layout");
            let larger = Layout::from_size_align(next, 8).expect("a layout");
            // SAFETY: filled before it is read; freed with the layout that it has by then.
            unsafe {
                let block = allocator.alloc(layout);
                fill(block, size);
                let block = allocator.realloc(block, layout, next);
                let kept = std::slice::from_raw_parts(block, size.min(next));
                assert!(kept.iter().zip(CANARY.iter().cycle()).all(|(kept, canary)| kept == canary));
                fill(block, next);
                allocator.dealloc(block, larger);
            }
        }
        assert_eq!(witness.given_back.load(Ordering::Relaxed), 8, "the old block each time, and the new one");
        assert_eq!(witness.not_zero.load(Ordering::Relaxed), 0);
        assert_eq!(witness.moved.load(Ordering::Relaxed), 0, "the system moves nothing by itself");
    }
}
