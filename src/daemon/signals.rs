//! What the daemon is told by signals: to stop, to stop at once, to read its configuration again.
//!
//! Never loses one that comes while another is acted on: they are all caught from the start.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::os::hardening::FILE_SIZE_SIGNAL;

/// The signals of the daemon.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    /// Says nothing that the error of the write does not say (setrlimit(2), `RLIMIT_FSIZE`), but ends who does not catch it.
    _file_size: Signal,
}

/// What a signal says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// SIGHUP.
    Reload,
    /// SIGTERM, SIGINT.
    Stop,
}

impl Signals {
    /// Catches them from here on. In a runtime.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn catch() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            _file_size: signal(SignalKind::from_raw(FILE_SIZE_SIGNAL))?,
        })
    }

    /// The next one. To stop comes before to reload.
    pub(super) async fn next(&mut self) -> Told {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => Told::Stop,
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.hangup.recv() => Told::Reload,
        }
    }

    /// The next one that says to stop. What is to be reloaded is read at the end anyway, or no more.
    pub(super) async fn stop(&mut self) {
        while self.next().await != Told::Stop {}
    }
}
