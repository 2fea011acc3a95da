//! The daemon under a service manager, played from outside: what it is told, what it hands over, what it asks.
//!
//! The same under a live systemd: `make test-systemd`.

mod activation;
mod drain;
mod notify;
mod reload;
mod watchdog;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::os::unix::net::UnixDatagram;
use std::time::Instant;

use crate::kit::{Configuration, PATIENCE, TestVault};

/// The socket that a service manager listens on (sd_notify(3)).
struct Notified {
    socket: UnixDatagram,
    unread: RefCell<VecDeque<Vec<String>>>,
}

impl Notified {
    /// A vault whose daemon does not run yet and will have this service manager.
    fn over(configuration: Configuration) -> (TestVault, Self) {
        let mut vault = TestVault::stopped(configuration);
        let path = vault.room().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        vault.dowry.variables.push(("NOTIFY_SOCKET".into(), path.into()));
        (vault, Self { socket, unread: RefCell::default() })
    }

    /// The next message, as its assignments.
    fn next(&self) -> Vec<String> {
        if let Some(message) = self.unread.borrow_mut().pop_front() {
            return message;
        }
        let mut message = [0; 4096];
        let length = self.socket.recv(&mut message).expect("a message in time");
        let text = std::str::from_utf8(&message[..length]).expect("UTF-8");
        text.lines().map(str::to_owned).collect()
    }

    /// Messages up to the first that makes this assignment, that one last.
    fn until(&self, assignment: &str) -> Vec<Vec<String>> {
        let (mut messages, began) = (Vec::new(), Instant::now());
        loop {
            assert!(began.elapsed() < PATIENCE, "waited in vain for {assignment}: {:?}", messages.last());
            messages.push(self.next());
            if messages.last().is_some_and(|last| has(last, assignment)) {
                return messages;
            }
        }
    }

    /// The message that makes this assignment.
    fn hears(&self, assignment: &str) -> Vec<String> {
        self.until(assignment).pop().unwrap()
    }
}

fn has(message: &[String], assignment: &str) -> bool {
    message.iter().any(|line| line.starts_with(assignment))
}

/// The value of this variable in a message.
fn value<'a>(message: &'a [String], name: &str) -> &'a str {
    let found = message.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    found.unwrap_or_else(|| panic!("no {name} in {message:?}"))
}
