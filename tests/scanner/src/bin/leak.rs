//! A program that leaks on purpose, so that the scanner is seen to find it.
//!
//! `leak PLACE` reads bytes from stdin, each with all bits turned over, lets them lie in PLACE as they were meant, says
//! `ready` on stdout, and waits to be killed. They are nowhere else: nothing holds them whole but the place itself.

#![expect(unsafe_code, reason = "registers, and pages of its own")]
#![expect(clippy::print_stdout, reason = "it is a program")]

use std::hint::black_box;
use std::io::{self, Read, Write};
use std::num::NonZeroUsize;
use std::process::ExitCode;

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};

/// What the kernel's allocator of small things overwrites when it is freed, and more.
const ROOM: usize = 4096;
const STACK: usize = 512 << 10;

fn main() -> ExitCode {
    let mut masked = Vec::new();
    if io::stdin().read_to_end(&mut masked).is_err() || masked.len() > STACK {
        return ExitCode::FAILURE;
    }
    match std::env::args().nth(1).as_deref() {
        Some("none") => wait(),
        Some("heap") => {
            let mut heap = vec![0; masked.len()];
            unmask(&masked, &mut heap);
            black_box(&heap);
            wait()
        }
        Some("freed") => {
            let mut heap = vec![0; masked.len() + ROOM];
            unmask(&masked, &mut heap[ROOM..]);
            // Kept from the top of the heap, which would shrink.
            let after = black_box(vec![1_u8; ROOM]);
            drop(black_box(heap));
            black_box(&after);
            wait()
        }
        Some("stack") => on_stack(&masked),
        Some("thread") => {
            let thread = std::thread::Builder::new().stack_size(4 * STACK).spawn(move || on_stack(&masked));
            thread.ok().and_then(|thread| thread.join().ok()).unwrap_or(ExitCode::FAILURE)
        }
        Some("returned") => {
            returned(&masked);
            wait()
        }
        Some("mapped") => in_pages(&masked, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE),
        Some("protected") => in_pages(&masked, ProtFlags::PROT_NONE),
        Some("register") => in_a_register(&masked),
        _ => ExitCode::FAILURE,
    }
}

fn wait() -> ExitCode {
    println!("ready");
    drop(io::stdout().flush());
    loop {
        std::thread::park();
    }
}

#[inline(never)]
fn unmask(masked: &[u8], place: &mut [u8]) {
    for (byte, masked) in place.iter_mut().zip(masked) {
        *byte = !masked;
    }
}

#[inline(never)]
fn on_stack(masked: &[u8]) -> ExitCode {
    let mut stack = [0; STACK];
    unmask(masked, &mut stack);
    black_box(&mut stack);
    let code = wait();
    black_box(&stack);
    code
}

/// Leaves them in a frame that is no more. They stand at its far end, which what is called next does not reach.
#[inline(never)]
fn returned(masked: &[u8]) {
    let mut stack = [0; STACK];
    unmask(masked, &mut stack);
    black_box(&mut stack);
}

fn in_pages(masked: &[u8], protection: ProtFlags) -> ExitCode {
    let Some(length) = NonZeroUsize::new(masked.len()) else { return ExitCode::FAILURE };
    let both = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: new pages, of that length, that nobody else knows.
    let Ok(pages) = (unsafe { mmap_anonymous(None, length, both, MapFlags::MAP_PRIVATE) }) else {
        return ExitCode::FAILURE;
    };
    // SAFETY: the pages are readable and writable, `length` long, and there is no other reference to them.
    unmask(masked, unsafe { std::slice::from_raw_parts_mut(pages.as_ptr().cast(), length.get()) });
    // SAFETY: nothing touches them from here on.
    if unsafe { nix::sys::mman::mprotect(pages, length.get(), protection) }.is_err() {
        return ExitCode::FAILURE;
    }
    wait()
}

/// 16 bytes that are in no memory of the process: turned over in the register, which is held while it says that it is
/// ready and from then on.
#[cfg(target_arch = "x86_64")]
fn in_a_register(masked: &[u8]) -> ExitCode {
    let mut bytes = [0_u8; 16];
    let Some(first) = masked.get(..16) else { return ExitCode::FAILURE };
    bytes.copy_from_slice(first);
    let ones = [0xff_u8; 16];
    let word = *b"ready\n";
    // SAFETY: reads 16 bytes of each array and 6 of the word; write(2) and pause touch no other register that is not
    // named; it never comes back.
    unsafe {
        std::arch::asm!(
            "movdqu xmm7, [{bytes}]",
            "movdqu xmm6, [{ones}]",
            "pxor xmm7, xmm6",
            "mov eax, 1",
            "mov edi, 1",
            "mov edx, 6",
            "syscall",
            "2: pause",
            "jmp 2b",
            bytes = in(reg) bytes.as_ptr(),
            ones = in(reg) ones.as_ptr(),
            in("rsi") word.as_ptr(),
            options(noreturn),
        )
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn in_a_register(_: &[u8]) -> ExitCode {
    ExitCode::FAILURE
}
