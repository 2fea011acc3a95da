//! What the program says when it has a fault: where it is, and no more.
//!
//! The hard problem: the message of a panic may hold what the program was working on, and a backtrace what a debugger is
//! told beside. The answer: neither is ever asked for. The place is enough to find the fault, and is known without
//! either.
//!
//! Never looks at the payload, nor at `RUST_BACKTRACE`.

use std::io::Write;
use std::panic::PanicHookInfo;

/// Has each panic told by its place alone, from here on, on whatever thread.
pub fn tell_by_place() {
    std::panic::set_hook(Box::new(tell));
}

fn tell(panic: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("unnamed");
    let line = match panic.location() {
        Some(place) => format!("a fault of tokenkeep at {place}, thread {name}; please report this line\n"),
        None => format!("a fault of tokenkeep, thread {name}; please report this line\n"),
    };
    // Where nobody can be told, nobody is.
    drop(std::io::stderr().write_all(line.as_bytes()));
}
