//! What a connection is doing and for how long: one tick a second instead of a timer a request.
//!
//! The hard problem: a client that stalls in a header, in a body, in reading its answer or between requests
//! holds a place. The answer: each state has its deadline, counted in ticks, and the connection is dropped
//! when it is over.
//!
//! Never reads the clock.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Deadlines of a connection, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// From the first byte of a request to the end of its header.
    pub header: u32,
    /// Between requests; also for an answer that the client does not read.
    pub idle: u32,
    /// From the end of a header to the answer, body included.
    pub request: u32,
}

/// The state of one connection.
#[derive(Debug, Default)]
pub struct Pulse {
    ticks: AtomicU32,
    in_flight: AtomicU32,
    reads_header: AtomicBool,
    multiplexed: AtomicBool,
}

impl Pulse {
    /// One more tick; whether the connection is overdue.
    pub fn tick(&self, deadlines: &Deadlines) -> bool {
        let ticks = self.ticks.fetch_add(1, Ordering::Relaxed) + 1;
        let deadline = if self.in_flight.load(Ordering::Relaxed) > 0 {
            deadlines.request
        } else if self.reads_header.load(Ordering::Relaxed) {
            deadlines.header
        } else {
            deadlines.idle
        };
        ticks > deadline
    }

    /// A request has come in whole, but for its body.
    pub fn begin(self: &Arc<Self>, multiplexed: bool) -> InFlight {
        self.multiplexed.store(multiplexed, Ordering::Relaxed);
        self.reads_header.store(false, Ordering::Relaxed);
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.ticks.store(0, Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }

    fn bytes_came(&self) {
        // Between requests of HTTP/2 come pings and window updates: they start no request.
        let between =
            self.in_flight.load(Ordering::Relaxed) == 0 && !self.multiplexed.load(Ordering::Relaxed);
        if between && !self.reads_header.swap(true, Ordering::Relaxed) {
            self.ticks.store(0, Ordering::Relaxed);
        }
    }
}

/// A request in flight, until this goes.
#[derive(Debug)]
pub struct InFlight(Arc<Pulse>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.0.ticks.store(0, Ordering::Relaxed);
    }
}

/// A socket that tells its pulse when bytes come.
#[derive(Debug)]
pub struct Felt<T> {
    io: T,
    pulse: Arc<Pulse>,
}

impl<T> Felt<T> {
    /// Wraps a socket.
    pub fn new(io: T, pulse: Arc<Pulse>) -> Self {
        Self { io, pulse }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Felt<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.io).poll_read(cx, buf);
        if buf.filled().len() > before {
            this.pulse.bytes_came();
        }
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Felt<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write_vectored(cx, bufs)
    }

    /// Where this is false, hyper copies bodies into a buffer that lives as long as the connection.
    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLINES: Deadlines = Deadlines { header: 2, idle: 5, request: 3 };

    fn ticks_until_overdue(pulse: &Pulse) -> u32 {
        (1..100).find(|_| pulse.tick(&DEADLINES)).expect("overdue in the end")
    }

    #[test]
    fn each_state_has_its_deadline() {
        let pulse = Arc::new(Pulse::default());
        assert_eq!(ticks_until_overdue(&pulse), DEADLINES.idle + 1);
        let pulse = Arc::new(Pulse::default());
        pulse.bytes_came();
        assert_eq!(ticks_until_overdue(&pulse), DEADLINES.header + 1);
        let pulse = Arc::new(Pulse::default());
        let request = pulse.begin(false);
        assert_eq!(ticks_until_overdue(&pulse), DEADLINES.request + 1);
        drop(request);
        assert_eq!(ticks_until_overdue(&pulse), DEADLINES.idle + 1);
    }

    #[test]
    fn more_bytes_of_a_header_do_not_extend_its_deadline() {
        let pulse = Pulse::default();
        for _ in 0..DEADLINES.header {
            pulse.bytes_came();
            assert!(!pulse.tick(&DEADLINES));
        }
        pulse.bytes_came();
        assert!(pulse.tick(&DEADLINES));
    }

    #[tokio::test]
    async fn writes_stay_vectored_through_the_wrapper() {
        let (socket, _peer) = tokio::net::UnixStream::pair().expect("a pair");
        assert!(Felt::new(socket, Arc::default()).is_write_vectored());
    }
}
