//! Signals as something that is waited for, for a program without a runtime.
//!
//! Never lost: they are held back from the start, in every thread, and taken one by one.

use std::io;

use nix::sys::signal::{SigSet, Signal};

/// What a signal says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// SIGHUP.
    Reload,
    /// SIGTERM, SIGINT.
    Stop,
}

/// The signals that are held back.
#[derive(Debug)]
pub struct Held(SigSet);

/// Holds them back from here on, in this thread and in those that it will start.
///
/// # Errors
/// The kernel's.
pub fn hold() -> io::Result<Held> {
    let held: SigSet = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM].into_iter().collect();
    held.thread_block()?;
    Ok(Held(held))
}

impl Held {
    /// Waits for the next.
    ///
    /// # Errors
    /// The kernel's.
    pub fn next(&self) -> io::Result<Said> {
        Ok(match self.0.wait()? {
            Signal::SIGHUP => Said::Reload,
            _ => Said::Stop,
        })
    }
}
