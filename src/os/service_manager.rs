//! What the service manager is told, and how often it wants to hear that the daemon lives (sd_notify(3)).
//!
//! The hard problem: the variables that lead to the service manager are inherited, and a child that speaks in the
//! daemon's name could keep its watchdog fed. The answer: they are taken once, before there is a thread or a child,
//! and are gone from the environment from then on.
//!
//! Never says an org, a token or a value of the configuration; never fails: who started the daemon by hand has no
//! service manager.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use sd_notify::NotifyState;

/// How long a service manager that does not read may hold a message up.
const PATIENCE: Duration = Duration::from_secs(1);

/// Longest status: it is one line for people.
const LONGEST_STATUS: usize = 512;

/// The service manager, or nobody.
#[derive(Debug, Default)]
pub struct ServiceManager {
    socket: Option<UnixDatagram>,
    watchdog: Option<Duration>,
}

impl ServiceManager {
    /// Takes `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` out of the environment. Before the first thread:
    /// the environment belongs to the whole process.
    #[must_use]
    pub fn of_environment() -> Self {
        let address = std::env::var_os("NOTIFY_SOCKET").and_then(|path| match path.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name).ok(),
            _ => SocketAddr::from_pathname(&path).ok(),
        });
        // What it sends matters less than that it takes the variable away.
        drop(sd_notify::notify(true, &[NotifyState::Status("booting")]));
        let mut span = 0;
        let watchdog = sd_notify::watchdog_enabled(true, &mut span).then(|| Duration::from_micros(span));
        let socket = address.and_then(|address| connected(&address).ok());
        Self { watchdog: watchdog.filter(|span| socket.is_some() && !span.is_zero()), socket }
    }

    /// Whether there is anybody to tell.
    #[must_use]
    pub fn listens(&self) -> bool {
        self.socket.is_some()
    }

    /// How long it may go without a word before it kills the daemon (`WatchdogSec=`).
    #[must_use]
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// In words, what goes on.
    pub fn status(&self, status: &str) {
        self.tell(&[NotifyState::Status(&one_line(status))]);
    }

    /// Not ready yet, and not for `more`: a start that takes long is no start that failed.
    pub fn not_yet(&self, status: &str, more: Duration) {
        self.tell(&[NotifyState::Status(&one_line(status)), extend(more)]);
    }

    /// Serves; also the end of a reload.
    pub fn ready(&self, status: &str) {
        self.tell(&[NotifyState::Ready, NotifyState::Status(&one_line(status))]);
    }

    /// Reads its configuration again. The moment tells this reload from one before it (`Type=notify-reload`).
    pub fn reloading(&self) {
        let now = NotifyState::monotonic_usec_now();
        let status = NotifyState::Status("reloading");
        match now {
            Ok(now) => self.tell(&[NotifyState::Reloading, now, status]),
            Err(_) => self.tell(&[NotifyState::Reloading, status]),
        }
    }

    /// Ends, within this span.
    pub fn stopping(&self, status: &str, within: Duration) {
        self.tell(&[NotifyState::Stopping, NotifyState::Status(&one_line(status)), extend(within)]);
    }

    /// Lives.
    pub fn alive(&self, status: &str) {
        self.tell(&[NotifyState::Watchdog, NotifyState::Status(&one_line(status))]);
    }

    fn tell(&self, states: &[NotifyState<'_>]) {
        let Some(socket) = &self.socket else { return };
        let message: String = states.iter().map(|state| format!("{state}\n")).collect();
        if let Err(why) = socket.send(message.as_bytes()) {
            tracing::warn!(%why, "the service manager could not be told");
        }
    }
}

fn connected(address: &SocketAddr) -> std::io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(address)?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(socket)
}

fn extend(by: Duration) -> NotifyState<'static> {
    NotifyState::ExtendTimeoutUsec(u32::try_from(by.as_micros()).unwrap_or(u32::MAX))
}

/// A line break would begin another assignment.
fn one_line(status: &str) -> String {
    status.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_STATUS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_one_line_and_no_other_assignment() {
        let (theirs, ours) = UnixDatagram::pair().expect("a pair");
        let manager = ServiceManager { socket: Some(ours), watchdog: None };
        manager.ready("served\nMAINPID=1\r\0");
        let mut message = [0; 128];
        let length = theirs.recv(&mut message).expect("a message");
        assert_eq!(&message[..length], b"READY=1\nSTATUS=served MAINPID=1  \n");
    }

    #[test]
    fn nobody_is_told_nothing() {
        ServiceManager::default().ready("served");
    }
}
