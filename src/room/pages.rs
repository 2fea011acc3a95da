//! Whole pages for keys, between two that nobody may touch.
//!
//! The hard problem: a descriptor of memfd_secret(2) is as good as the pages, for whoever may trace the process takes it over with
//! pidfd_getfd(2) and maps them. The answer: it is closed as soon as they are mapped, and nothing else is ever asked of it.
//!
//! Never inherited by a child, never freed unwiped.
#![expect(unsafe_code, reason = "mapping memory is what this module is for")]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::{self, NonNull};

use libc::{MAP_ANONYMOUS, MAP_FAILED, MAP_PRIVATE, MAP_SHARED, PROT_NONE, PROT_READ, PROT_WRITE, c_int};

/// The largest page of the supported machines is a guard everywhere (x86-64: 4 KiB, aarch64: 4 to 64 KiB).
const GUARD: usize = if cfg!(target_arch = "x86_64") { 4096 } else { 65_536 };

/// What pages are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Locked, and left out of cores: root can read them.
    Locked,
    /// Of memfd_secret(2): nobody else can read them.
    Secret,
    /// Not even locked: the limit of locked memory did not allow it.
    Unlocked,
}

impl Kind {
    /// In one word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Locked => "locked",
            Self::Secret => "secret",
            Self::Unlocked => "unlocked",
        }
    }
}

/// Pages that can be read and written, zeros at first. Wiped and given back on drop.
pub(super) struct Pages {
    mapped: NonNull<u8>,
    length: usize,
}

// SAFETY: the mapping is this value's alone, wherever the value goes.
unsafe impl Send for Pages {}

/// What `length` bytes count against the limit of locked memory, guards included.
pub(super) const fn whole(length: usize) -> usize {
    length + 2 * GUARD
}

impl Pages {
    /// Maps `length` bytes, a multiple of the guard.
    pub(super) fn map(kind: Kind, length: usize) -> io::Result<Self> {
        debug_assert!(length.is_multiple_of(GUARD), "whole pages");
        let mapped = match kind {
            Kind::Secret => map_secret(whole(length))?,
            Kind::Locked | Kind::Unlocked => map(whole(length), MAP_PRIVATE | MAP_ANONYMOUS, -1)?,
        };
        let pages = Self { mapped, length };
        pages.protect(mapped.as_ptr())?;
        pages.protect(pages.base().wrapping_add(length))?;
        pages.advise(libc::MADV_DONTFORK)?;
        match kind {
            Kind::Secret => {}
            Kind::Locked => pages.lock().and_then(|()| pages.advise(libc::MADV_DONTDUMP))?,
            Kind::Unlocked if super::DANGEROUS_PAGES => {}
            Kind::Unlocked => pages.advise(libc::MADV_DONTDUMP)?,
        }
        // Touched now: what is missing is missed here and not in the middle of a request.
        pages.wipe();
        Ok(pages)
    }

    /// The first byte.
    pub(super) fn base(&self) -> *mut u8 {
        self.mapped.as_ptr().wrapping_add(GUARD)
    }

    /// Writes zeros over all of it.
    pub(super) fn wipe(&self) {
        wipe(self.base(), self.length);
    }

    fn protect(&self, guard: *mut u8) -> io::Result<()> {
        // SAFETY: the guard is a whole page of this mapping, and nothing is kept there.
        done(unsafe { libc::mprotect(guard.cast(), GUARD, PROT_NONE) })
    }

    fn advise(&self, advice: c_int) -> io::Result<()> {
        // SAFETY: the range is this mapping; DONTFORK and DONTDUMP change nothing for this process.
        done(unsafe { libc::madvise(self.mapped.as_ptr().cast(), whole(self.length), advice) })
    }

    fn lock(&self) -> io::Result<()> {
        // SAFETY: the range is the inside of this mapping.
        done(unsafe { libc::mlock(self.base().cast(), self.length) })
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.wipe();
        // SAFETY: the range is this mapping, whole, and with this value goes the last that knows of it.
        drop(done(unsafe { libc::munmap(self.mapped.as_ptr().cast(), whole(self.length)) }));
    }
}

/// Writes zeros that no compiler leaves out. `base` and `length` must lie inside of pages that are mapped.
pub(super) fn wipe(base: *mut u8, length: usize) {
    // SAFETY: every caller gives a range of its own pages, which are mapped and writable.
    unsafe {
        ptr::write_bytes(base, 0, length);
        // As far as the compiler knows, the zeros are read here.
        std::arch::asm!("/* {0} */", in(reg) base, options(nostack, preserves_flags));
    }
}

fn map_secret(length: usize) -> io::Result<NonNull<u8>> {
    // SAFETY: the call takes flags and gives a descriptor or -1.
    let fd = unsafe { libc::syscall(libc::SYS_memfd_secret, libc::O_CLOEXEC) };
    let fd = c_int::try_from(fd).map_err(|_| io::ErrorKind::InvalidData)?;
    done(fd.min(0))?;
    // SAFETY: the kernel has just opened it for us.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let size = libc::off_t::try_from(length).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: the descriptor is open.
    done(unsafe { libc::ftruncate(fd.as_raw_fd(), size) })?;
    // The descriptor is closed here, before anything is written to the pages.
    map(length, MAP_SHARED, fd.as_raw_fd())
}

fn map(length: usize, flags: c_int, fd: c_int) -> io::Result<NonNull<u8>> {
    // SAFETY: a new mapping where the kernel likes; no memory that is in use changes.
    let mapped = unsafe { libc::mmap(ptr::null_mut(), length, PROT_READ | PROT_WRITE, flags, fd, 0) };
    if mapped == MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    NonNull::new(mapped.cast()).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn done(result: c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
