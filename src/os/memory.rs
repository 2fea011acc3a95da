//! All memory of the process, kept from the swap (mlockall(2)).
//!
//! The hard problem: under a limit, what is there is locked, and what comes later fails, in the middle of a request.
//! The answer: the kernel is asked for more than the limit there and then; where it refuses, nothing is locked.
//!
//! Pages are locked when they come to be used (`MCL_ONFAULT`), so what is merely reserved costs nothing. One that was
//! never used has nothing in it that could be swapped.
//!
//! Never half locked.
#![expect(unsafe_code, reason = "a mapping that is made and removed again")]

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::sys::mman::{MapFlags, MlockAllFlags, ProtFlags, mlockall, mmap_anonymous, munlockall, munmap};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};

/// Beyond the limit by so much: what one mapping of a busy daemon has.
const BEYOND: u64 = 64 << 20;

/// Of the whole process, as the lock is.
static IS_LOCKED: AtomicBool = AtomicBool::new(false);

/// Whether this process has locked its memory.
#[must_use]
pub fn is_locked() -> bool {
    IS_LOCKED.load(Ordering::Relaxed)
}

/// Locks what there is and what will come.
///
/// # Errors
/// The kernel's; `ENOMEM` or `EAGAIN` where it does not let the process lock as much as it needs. Nothing is locked
/// then.
pub fn lock() -> nix::Result<()> {
    let on_fault = MlockAllFlags::from_bits_retain(libc::MCL_ONFAULT);
    mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE | on_fault)?;
    lets_grow().or_else(|why| munlockall().and(Err(why)))?;
    IS_LOCKED.store(true, Ordering::Relaxed);
    Ok(())
}

fn lets_grow() -> nix::Result<()> {
    let (limit, _) = getrlimit(Resource::RLIMIT_MEMLOCK)?;
    let beyond = if limit == RLIM_INFINITY { BEYOND } else { limit.saturating_add(BEYOND) };
    let length = usize::try_from(beyond).ok().and_then(NonZeroUsize::new).ok_or(Errno::ENOMEM)?;
    let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE;
    // SAFETY: a mapping of its own, at no fixed place, which nobody else knows and nothing is read from.
    unsafe {
        let probe = mmap_anonymous(None, length, ProtFlags::PROT_NONE, flags)?;
        munmap(probe, length.get())
    }
}
