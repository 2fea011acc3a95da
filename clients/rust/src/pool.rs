//! The connections to the daemon: few, kept, used again.
//!
//! A slot is a right to one connection; whoever finds none free waits. A connection is given back before
//! its slot and opened only where none is kept, so that no more are open than there are slots.
//!
//! The hard part: a daemon that stops closes its connections, and a write must not go out on one of them,
//! for then nobody knows what became of it. The runtime may not have noticed yet, so the kernel itself is
//! asked before a kept connection is used. One that dies even so, with the request still in hand, gives
//! the request back, provably unsent.
//!
//! Never hands out a connection that carries another request.

use crate::door::{Closed, Door};
use crate::error::{Handshake, Transport};
use crate::wiped_io::WipedIo;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

/// Requests under way at once. One connection carries thousands of reads a second; more than these
/// would only queue inside the daemon.
const OPEN: usize = 16;

/// A connection unused for so long is closed at the next opportunity.
const KEPT_FOR: Duration = Duration::from_secs(30);

/// hyper reads into one buffer of this size and no larger one, so that a connection that idles has wiped it all. The head of
/// an answer has less than 1 KiB.
const BUFFER: usize = 8192;

pub(crate) struct Pool {
    door: Door,
    slots: Semaphore,
    kept: Mutex<Vec<Kept>>,
}

struct Kept {
    line: Line,
    since: Instant,
}

/// One connection. A task moves its bytes; hyper ends it, and the connection, when this is dropped with a
/// request under way.
pub(crate) struct Line {
    sender: SendRequest<Full<Bytes>>,
    /// The same socket under another descriptor.
    probe: File,
    /// Of the credentials that it was opened with.
    epoch: u64,
    /// Whether the daemon has answered on it yet.
    answered: bool,
}

/// How an exchange on a line failed.
pub(crate) enum Broken {
    /// The daemon may have read the request.
    Lost,
    /// The answer is not HTTP.
    NotHttp,
    /// The daemon does not take our side of the handshake, and has read nothing.
    Refused(Handshake),
    /// The request never left this process.
    Unsent,
}

impl Pool {
    pub(crate) fn new(door: Door) -> Self {
        Self { door, slots: Semaphore::new(OPEN), kept: Mutex::new(Vec::new()) }
    }

    pub(crate) fn door(&self) -> &Door {
        &self.door
    }

    /// Waits for the right to a connection.
    pub(crate) async fn slot(&self) -> Result<SemaphorePermit<'_>, Transport> {
        // Only a closed semaphore refuses, and nobody closes this one.
        self.slots.acquire().await.map_err(|_| Transport::Protocol("the pool is closed"))
    }

    /// A kept connection that still stands, the one used last first.
    pub(crate) async fn kept(&self) -> Option<Line> {
        let epoch = self.door.epoch();
        while let Some(mut kept) = self.pop() {
            let fresh = kept.since.elapsed() < KEPT_FOR;
            if fresh
                && kept.line.epoch == epoch
                && kept.line.is_at_rest()
                && !kept.line.sender.is_closed()
                && kept.line.sender.ready().await.is_ok()
            {
                return Some(kept.line);
            }
        }
        None
    }

    pub(crate) async fn open(&self) -> Result<Line, Closed> {
        self.door.open().await
    }

    /// Takes back a connection whose answer was read to its end.
    pub(crate) fn keep(&self, line: Line) {
        if line.sender.is_closed() {
            return;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        // Oldest first; without this, one busy connection would let the others grow old unseen.
        kept.retain(|kept| kept.since.elapsed() < KEPT_FOR);
        kept.push(Kept { line, since: Instant::now() });
    }

    fn pop(&self) -> Option<Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
}

impl Line {
    /// Speaks HTTP over a stream that has just been opened. `probe` is its socket.
    pub(crate) async fn over<T>(stream: T, probe: OwnedFd, epoch: u64) -> Result<Self, Closed>
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let speaking =
            http1::Builder::new().max_buf_size(BUFFER).handshake(TokioIo::new(WipedIo::new(stream))).await;
        let (sender, connection) = speaking.map_err(|_| Closed::Io(io::ErrorKind::Other))?;
        // How it ends, the request in flight learns from its own answer.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Self { sender, probe: probe.into(), epoch, answered: false })
    }

    /// Whether nothing was ever answered on it.
    pub(crate) fn is_new(&self) -> bool {
        !self.answered
    }

    /// Whether the connection stands and says nothing. tokio's sockets do not block, and this one shares
    /// their mode: between answers a read finds nothing, at the end of the connection it finds the end.
    fn is_at_rest(&self) -> bool {
        matches!((&self.probe).read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    pub(crate) async fn exchange(
        &mut self,
        request: hyper::Request<Full<Bytes>>,
    ) -> Result<hyper::Response<Incoming>, Broken> {
        let answer = self.sender.try_send_request(request).await.map_err(|mut failed| {
            let unsent = failed.take_message().is_some();
            let refusal = Door::refusal(failed.error()).filter(|_| self.is_new());
            if let Some(why) = refusal {
                Broken::Refused(why)
            } else if unsent {
                Broken::Unsent
            } else if failed.error().is_parse() {
                Broken::NotHttp
            } else {
                Broken::Lost
            }
        })?;
        self.answered = true;
        Ok(answer)
    }
}
