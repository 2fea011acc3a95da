//! Sections: what touches a key runs here, on a stack of secret pages, and leaves no register behind.
//!
//! Each thread has a stack of its own from its first section to its end. A thread that cannot have one (the limit of locked
//! memory is reached) takes turns with others on the one in reserve: slower, never on a stack that others can read.
//!
//! The stack is not wiped after each section: it is as secret as the keys themselves, the next section writes over it, and the
//! pages are wiped when the thread ends. Where pages are not secret it is wiped, whole: there it holds plaintext that root could read.
//!
//! Never returns anything but a scalar.
#![expect(unsafe_code, reason = "changing stacks")]

use std::cell::{Cell, OnceCell};
use std::io;
use std::marker::PhantomData;
use std::sync::PoisonError;

use super::pages::{Kind, Pages};
use super::{registers, room};

/// Bytes of a stack. Sealing, opening and making keys use 4.2 KiB; the rest is for a signal that arrives meanwhile (its frame has all
/// registers, 11 KiB where there is AMX), and for the last words of a panic.
pub(crate) const STACK: usize = 64 * 1024;

/// Proof of being within a section. Whoever has it may look at what is kept.
pub struct Inside(PhantomData<*mut ()>);

/// What may leave a section by value: every bit of it is written.
pub trait Scalar: sealed::Scalar {}

mod sealed {
    pub trait Scalar: Copy {}
}

macro_rules! scalar {
    ($($scalar:ty),+) => {
        $(impl sealed::Scalar for $scalar {}
        impl Scalar for $scalar {})+
    };
}

scalar!((), bool, u8, usize);

/// A stack of secret pages.
pub(super) struct Stack(Pages);

impl Stack {
    pub(super) fn map(kind: Kind) -> io::Result<Self> {
        Pages::map(kind, STACK).map(Self)
    }

    fn run<S: Scalar>(&self, work: impl FnOnce(&Inside) -> S) -> S {
        // SAFETY: the pages are mapped for as long as `self` is borrowed, aligned to a page, between guards, and used by
        // nobody else: `within` never starts on a stack that it is on, and the reserve stands behind a lock. The callback is
        // called through an `extern` function that aborts where `work` panics, so nothing unwinds over the frame.
        unsafe { psm::on_stack(self.0.base(), STACK, || work(&Inside(PhantomData))) }
    }

    fn wipe(&self) {
        self.0.wipe();
    }
}

thread_local! {
    /// Whether this thread is within a section.
    static IS_INSIDE: Cell<bool> = const { Cell::new(false) };
    /// The stack of this thread; none where it could not have one.
    static OWN: OnceCell<Option<Stack>> = const { OnceCell::new() };
}

/// Runs `work` on the secret stack of this thread, then clears the registers. Within a section, just runs it.
///
/// What `work` captures by value is copied there and stays where it was: capture references. A panic in it aborts.
#[inline]
pub fn within<S: Scalar>(work: impl FnOnce(&Inside) -> S) -> S {
    if cfg!(feature = "dangerous-without-secret-stack") {
        let scalar = work(&Inside(PhantomData));
        registers::clear();
        return scalar;
    }
    if IS_INSIDE.get() {
        return work(&Inside(PhantomData));
    }
    IS_INSIDE.set(true);
    let scalar = on_secret_stack(work);
    registers::clear();
    IS_INSIDE.set(false);
    scalar
}

fn on_secret_stack<S: Scalar>(work: impl FnOnce(&Inside) -> S) -> S {
    let room = room();
    let mut work = Some(work);
    let ran = OWN.try_with(|own| {
        let own = own.get_or_init(|| Stack::map(room.kind).ok()).as_ref()?;
        Some(run_on(own, room.kind, work.take()?))
    });
    // At the end of a thread its own stack may be gone already.
    match (ran, work) {
        (Ok(Some(scalar)), _) => scalar,
        (_, Some(work)) => {
            run_on(&room.reserve.lock().unwrap_or_else(PoisonError::into_inner), room.kind, work)
        }
        (_, None) => unreachable!("work that was taken has run"),
    }
}

/// How deep this thread has ever been in its secret stack, in bytes.
#[cfg(test)]
pub(crate) fn depth() -> usize {
    let untouched = OWN.with(|own| match own.get() {
        Some(Some(Stack(pages))) => {
            // SAFETY: the pages are mapped and this thread's own; nobody is on them now.
            let bytes = unsafe { std::slice::from_raw_parts(pages.base(), STACK) };
            bytes.iter().position(|&byte| byte != 0).unwrap_or(STACK)
        }
        _ => STACK,
    });
    STACK - untouched
}

fn run_on<S: Scalar>(stack: &Stack, kind: Kind, work: impl FnOnce(&Inside) -> S) -> S {
    let scalar = stack.run(work);
    if kind != Kind::Secret {
        stack.wipe();
    }
    scalar
}
