//! What a connection is doing and for how long: one tick a second instead of a timer a request.
//!
//! The hard problem: a client that stalls in a header, in a body, in reading its answer or between requests
//! holds a place. The answer: each state has its deadline, counted in ticks, and the connection is dropped
//! when it is over.
//!
//! HTTP/2 has a hard problem of its own: h2 keeps in buffers of the connection what has passed through them, header fields
//! (a pass!) among it, and neither wipes them nor lets anybody else do so. Bodies are kept out of them (`piece`, `turnover`);
//! for the rest, such a connection ends soon after its last answer, and its buffers are wiped as they are freed. HTTP/1.1
//! keeps its connections.
//!
//! Never reads the clock.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
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

impl Deadlines {
    /// As they are for those who keep the daemon: what they ask may take as long as its logs are long. A body of theirs
    /// has its own deadline all the same, and so has an answer that they do not read.
    #[must_use]
    pub fn of_admins(self) -> Self {
        Self { request: u32::MAX, ..self }
    }
}

/// Ticks without a request after which a connection of HTTP/2 is told to end, and is ended. A client that runs asks again
/// within the first, or opens another connection.
const REST_TOLD: u32 = 2;
const REST_OVER: u32 = 3;
/// Ticks after which one that never rests is told to end too.
const LIFE: u32 = 60;

/// How a connection stands at a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stand {
    /// It goes on.
    Fine,
    /// It ends as soon as nothing is in flight: the client is told.
    Ending,
    /// It is over.
    Overdue,
}

/// The state of one connection.
#[derive(Debug, Default)]
pub struct Pulse {
    ticks: AtomicU32,
    age: AtomicU32,
    in_flight: AtomicU32,
    /// Answers over HTTP/2 that the socket has not taken to their end.
    unsent: AtomicU32,
    reads_header: AtomicBool,
    multiplexed: AtomicBool,
    /// An answer went out that the connection is not to outlive.
    ends: AtomicBool,
}

impl Pulse {
    /// One more tick.
    pub fn tick(&self, deadlines: &Deadlines) -> Stand {
        let ticks = self.ticks.fetch_add(1, Ordering::Relaxed) + 1;
        let age = self.age.fetch_add(1, Ordering::Relaxed) + 1;
        let deadline = if self.in_flight.load(Ordering::Relaxed) > 0 {
            deadlines.request
        } else if self.reads_header.load(Ordering::Relaxed) {
            deadlines.header
        } else {
            deadlines.idle
        };
        match self.rest(ticks) {
            _ if ticks > deadline => Stand::Overdue,
            Some(REST_OVER..) => Stand::Overdue,
            Some(REST_TOLD..) => Stand::Ending,
            _ if age >= LIFE && self.multiplexed.load(Ordering::Relaxed) => Stand::Ending,
            _ => Stand::Fine,
        }
    }

    /// For how many ticks a connection of HTTP/2 has had nothing to do; none of another, or where it has.
    fn rest(&self, ticks: u32) -> Option<u32> {
        let busy = self.in_flight.load(Ordering::Relaxed) + self.unsent.load(Ordering::Relaxed) > 0;
        (self.multiplexed.load(Ordering::Relaxed) && !busy).then_some(ticks)
    }

    /// A request has come in whole, but for its body.
    pub fn begin(self: &Arc<Self>, multiplexed: bool) -> InFlight {
        self.multiplexed.store(multiplexed, Ordering::Relaxed);
        self.reads_header.store(false, Ordering::Relaxed);
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.ticks.store(0, Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }

    /// Whether it is to end as soon as nothing is in flight.
    pub fn ends(&self) -> bool {
        self.ends.load(Ordering::Relaxed)
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

impl InFlight {
    /// Whether it came over HTTP/2.
    pub fn is_multiplexed(&self) -> bool {
        self.0.multiplexed.load(Ordering::Relaxed)
    }

    /// Its connection ends after it, and after those that are in flight already.
    pub fn be_the_last(&self) {
        self.0.ends.store(true, Ordering::Relaxed);
    }

    /// The bytes of an answer over HTTP/2, which say when the socket has taken them. h2 takes them whole, and the request is
    /// no longer in flight by then.
    pub fn until_sent(&self, piece: Bytes) -> Bytes {
        self.0.unsent.fetch_add(1, Ordering::Relaxed);
        Bytes::from_owner(Unsent { piece, pulse: Arc::clone(&self.0) })
    }
}

/// A piece of an answer that the socket has not taken yet.
struct Unsent {
    piece: Bytes,
    pulse: Arc<Pulse>,
}

impl AsRef<[u8]> for Unsent {
    fn as_ref(&self) -> &[u8] {
        &self.piece
    }
}

impl Drop for Unsent {
    fn drop(&mut self) {
        self.pulse.unsent.fetch_sub(1, Ordering::Relaxed);
        self.pulse.ticks.store(0, Ordering::Relaxed);
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
        (1..100).find(|_| pulse.tick(&DEADLINES) == Stand::Overdue).expect("overdue in the end")
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
    fn what_an_admin_asks_takes_as_long_as_it_takes_and_nothing_else_does() {
        let deadlines = DEADLINES.of_admins();
        let pulse = Arc::new(Pulse::default());
        let request = pulse.begin(false);
        assert!((0..100_000).all(|_| pulse.tick(&deadlines) == Stand::Fine));
        drop(request);
        assert_eq!(Deadlines { request: DEADLINES.request, ..deadlines }, DEADLINES);
        assert_eq!(ticks_until_overdue(&pulse), DEADLINES.idle + 1);
    }

    #[test]
    fn more_bytes_of_a_header_do_not_extend_its_deadline() {
        let pulse = Pulse::default();
        for _ in 0..DEADLINES.header {
            pulse.bytes_came();
            assert_eq!(pulse.tick(&DEADLINES), Stand::Fine);
        }
        pulse.bytes_came();
        assert_eq!(pulse.tick(&DEADLINES), Stand::Overdue);
    }

    const LONG: Deadlines = Deadlines { header: 1000, idle: 1000, request: 1000 };

    #[test]
    fn a_connection_of_http_2_ends_soon_after_its_last_answer() {
        let pulse = Arc::new(Pulse::default());
        drop(pulse.begin(true));
        let stands: Vec<Stand> = (0..REST_OVER).map(|_| pulse.tick(&LONG)).collect();
        assert_eq!(stands, [Stand::Fine, Stand::Ending, Stand::Overdue]);
        let pulse = Arc::new(Pulse::default());
        drop(pulse.begin(false));
        assert!((0..500).all(|_| pulse.tick(&LONG) == Stand::Fine), "one of HTTP/1.1 is kept");
    }

    #[test]
    fn an_answer_that_is_still_being_sent_does_not_end() {
        let pulse = Arc::new(Pulse::default());
        let request = pulse.begin(true);
        let piece = request.until_sent(Bytes::from_static(b"an answer"));
        drop(request);
        assert_eq!(piece, "an answer");
        assert!((0..LIFE - 1).all(|_| pulse.tick(&LONG) == Stand::Fine));
        drop(piece);
        assert_eq!(ticks_until_overdue(&pulse), REST_OVER);
    }

    #[test]
    fn one_that_never_rests_is_told_to_end_all_the_same() {
        let pulse = Arc::new(Pulse::default());
        let stand = |pulse: &Arc<Pulse>| {
            drop(pulse.begin(true));
            pulse.tick(&LONG)
        };
        assert!((1..LIFE).all(|_| stand(&pulse) == Stand::Fine));
        assert_eq!(stand(&pulse), Stand::Ending);
    }

    #[tokio::test]
    async fn writes_stay_vectored_through_all_wrappers() {
        let (socket, _peer) = tokio::net::UnixStream::pair().expect("a pair");
        assert!(Felt::new(crate::net::wiped_io::wiped(socket), Arc::default()).is_write_vectored());
    }
}
