//! Forbidden system calls that are named instead of being the end (`tokenkeepd --sandbox-log`).
//!
//! The hard problem: it has to be said by a signal handler, amid whatever the thread was doing. The answer: a line is
//! put together on the stack and written with one write(2) (signal-safety(7)); each call is named once.
//!
//! Never shows an argument, of which some are addresses, and never lets the call happen.
#![expect(unsafe_code, reason = "a signal handler that reads and changes the registers of the thread")]

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use libc::{c_int, c_long, c_void, siginfo_t, ucontext_t};

use super::names;

/// Which calls were named, a bit each.
static NAMED: [AtomicU64; 8] = [const { AtomicU64::new(0) }; 8];

/// Has each forbidden call named from here on.
pub(super) fn listen() -> io::Result<()> {
    // SAFETY: all zeros is a `sigaction` without a handler and with an empty mask; its fields are plain.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = tell as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK;
    // SAFETY: the handler has the form that `SA_SIGINFO` asks for, and does what signal-safety(7) allows alone.
    match unsafe { libc::sigaction(libc::SIGSYS, &raw const action, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

extern "C" fn tell(_signal: c_int, _why: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: with `SA_SIGINFO` the third argument points to the thread's own context (sigaction(2)), which stays
    // where it is until the handler returns.
    let number = unsafe { refuse(&mut *context.cast::<ucontext_t>()) };
    if is_named_already(number) {
        return;
    }
    let mut line = Line::default();
    line.add(b"tokenkeepd: the sandbox refused the system call ");
    if let Some(name) = names::of(number) {
        line.add(name.as_bytes());
        line.add(b", ");
    }
    line.add(b"number ");
    line.add_number(number.unsigned_abs());
    line.add(b"\n");
    // SAFETY: as many bytes as there are in the line. What becomes of it changes nothing.
    unsafe { libc::write(libc::STDERR_FILENO, line.bytes.as_ptr().cast(), line.length) };
}

/// The number of the call, whose answer becomes `EPERM`.
#[cfg(target_arch = "x86_64")]
fn refuse(context: &mut ucontext_t) -> c_long {
    let result = &mut context.uc_mcontext.gregs[libc::REG_RAX as usize];
    std::mem::replace(result, -i64::from(libc::EPERM))
}

/// The number of the call, whose answer becomes `EPERM`.
#[cfg(target_arch = "aarch64")]
fn refuse(context: &mut ucontext_t) -> c_long {
    let registers = &mut context.uc_mcontext.regs;
    registers[0] = (-i64::from(libc::EPERM)) as u64;
    registers[8] as c_long
}

fn is_named_already(number: c_long) -> bool {
    let at = number.unsigned_abs() as usize;
    let Some(word) = NAMED.get(at / 64) else { return false };
    word.fetch_or(1 << (at % 64), Ordering::Relaxed) & (1 << (at % 64)) != 0
}

/// A line that allocates nothing; what does not fit is left out.
struct Line {
    bytes: [u8; 128],
    length: usize,
}

impl Default for Line {
    fn default() -> Self {
        Self { bytes: [0; 128], length: 0 }
    }
}

impl Line {
    fn add(&mut self, text: &[u8]) {
        for byte in text {
            if let Some(place) = self.bytes.get_mut(self.length) {
                *place = *byte;
                self.length += 1;
            }
        }
    }

    fn add_number(&mut self, number: u64) {
        let mut digits = [b'0'; 20];
        let (mut left, mut first) = (number, digits.len());
        loop {
            first -= 1;
            digits[first] = b'0' + (left % 10) as u8;
            left /= 10;
            if left == 0 {
                break;
            }
        }
        self.add(&digits[first..]);
    }
}
