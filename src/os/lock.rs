//! A lock on a file that the kernel lets go when its holder is gone.
//!
//! Never left behind by a crash: it is the open file that holds it, not the name.

use std::fs::File;
use std::io;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// A file that nobody else holds (flock(2)). Let go on drop.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held for its drop")] Flock<File>);

impl Lock {
    /// Takes the lock now or not at all.
    ///
    /// # Errors
    /// `WouldBlock` where somebody else holds it; the kernel's otherwise.
    pub fn take(file: File) -> io::Result<Self> {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(held) => Ok(Self(held)),
            Err((_, Errno::EWOULDBLOCK)) => Err(io::ErrorKind::WouldBlock.into()),
            Err((_, error)) => Err(error.into()),
        }
    }
}
