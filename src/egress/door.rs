//! The socket of the daemon: one request a connection, each in a thread of its own, only so many at once.
//!
//! The hard problem: a caller that stalls, a resolver that hangs and a host that swallows everything must not keep the
//! next request waiting. The answer: a deadline on each step, and a place for each request; whoever finds none is told
//! so at once.
//!
//! Never answers another user than the daemon's.

use std::io;
use std::net::TcpStream;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::allowed::Allowed;
use super::log::say;
use crate::net::connection::{self, ConnectionError};
use crate::net::destination::Destination;
use crate::net::egress;
use crate::os::peer;

/// Requests at once. The daemon makes a handful.
const PLACES: usize = 32;

/// For the line: it is written in one piece.
const TO_ASK: Duration = Duration::from_secs(1);

/// For name and connection, shorter than what the daemon gives them with TLS: it hears the reason then.
const TO_CONNECT: Duration = Duration::from_secs(4);

/// For the answer to be taken: one byte.
const TO_ANSWER: Duration = Duration::from_secs(1);

/// After a connection could not be accepted: out of descriptors, say.
const PAUSE: Duration = Duration::from_millis(50);

/// What the threads share.
#[derive(Clone)]
pub(super) struct Door {
    allowed: Arc<Allowed>,
    taken: Arc<AtomicUsize>,
    /// Of the socket: the daemon's user.
    owner: u32,
}

impl Door {
    /// Answers from here on.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn open(listener: UnixListener, owner: u32, allowed: Arc<Allowed>) -> io::Result<()> {
        listener.set_nonblocking(false)?;
        let door = Self { allowed, taken: Arc::default(), owner };
        thread::Builder::new().name("accept".into()).spawn(move || {
            loop {
                match listener.accept() {
                    Ok((stream, _)) => door.let_in(stream),
                    Err(_) => thread::sleep(PAUSE),
                }
            }
        })?;
        Ok(())
    }

    fn let_in(&self, stream: UnixStream) {
        if !peer::uid_of(&stream).is_ok_and(|uid| uid == self.owner) {
            return say("a caller was turned away: not the owner of the socket");
        }
        let Some(place) = Place::take(&self.taken) else {
            // One byte into an empty buffer.
            return drop(told(&stream, &Err(ConnectionError::Busy)));
        };
        let door = self.clone();
        let serve = move || {
            let _place = place;
            door.serve(stream);
        };
        drop(thread::Builder::new().name("request".into()).spawn(serve));
    }

    fn serve(&self, mut stream: UnixStream) {
        let began = Instant::now();
        let Ok(destination) = egress::read_destination(&mut stream, began + TO_ASK) else {
            say("a request was no destination");
            return drop(egress::answer_malformed(&stream));
        };
        let made = self.connect(&destination);
        let became = made.as_ref().map_or_else(ToString::to_string, |_| "connected".to_owned());
        say(&format!("{}: {became}, {} ms", destination.host(), began.elapsed().as_millis()));
        drop(told(&stream, &made));
    }

    fn connect(&self, destination: &Destination) -> Result<TcpStream, ConnectionError> {
        if !self.allowed.names(destination) {
            return Err(ConnectionError::NotNamed);
        }
        connection::connect(destination, Instant::now() + TO_CONNECT)
    }
}

fn told(stream: &UnixStream, made: &Result<TcpStream, ConnectionError>) -> io::Result<()> {
    stream.set_write_timeout(Some(TO_ANSWER))?;
    egress::answer(stream, made)
}

/// A place among the requests.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(taken: &Arc<AtomicUsize>) -> Option<Self> {
        let free = |now| (now < PLACES).then_some(now + 1);
        taken.fetch_update(Ordering::SeqCst, Ordering::SeqCst, free).ok().map(|_| Self(Arc::clone(taken)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
