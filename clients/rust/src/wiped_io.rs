//! A stream whose reader is left no old bytes: what it offers to be read into is written over first.
//!
//! The hard problem: hyper and rustls read into buffers that live as long as their connection, and the last answer, or
//! the last request, lies there until another one comes: for as long as the connection idles. The answer: a reader that
//! idles has offered its buffer, and waits; so it is wiped at that moment, and stays so until there is something to read.
//!
//! Not wiped again while the same room is offered and nothing came: whoever waits asks more than once.
//!
//! Never touches what was read: only the room behind it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream that wipes the room it is given before it reads.
#[derive(Debug)]
pub struct WipedIo<T> {
    io: T,
    wiping: Wiping,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wiping {
    /// The next room, whichever it is.
    Due,
    /// This room is wiped, and nothing was read since.
    Done(Room),
    /// Not at all.
    Off,
}

/// Where a buffer is read into: what begins at this address and has this length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Room(usize, usize);

impl<T> WipedIo<T> {
    /// Wraps a stream.
    pub fn new(io: T) -> Self {
        Self { io, wiping: Wiping::Due }
    }

    /// Wraps a stream and wipes nothing: for a build that shows what is found without it.
    pub fn dangerous_unwiped(io: T) -> Self {
        Self { io, wiping: Wiping::Off }
    }

    /// The stream.
    pub fn inner(&self) -> &T {
        &self.io
    }
}

impl Wiping {
    fn of(self, buf: &mut ReadBuf<'_>) -> Self {
        let room = Room(buf.filled().as_ptr_range().end.addr(), buf.remaining());
        if self != Self::Off && self != Self::Done(room) {
            // What the reader calls initialised may hold old bytes; what it does not, is initialised with zeros.
            let filled = buf.filled().len();
            buf.initialized_mut()[filled..].fill(0);
            buf.initialize_unfilled();
        }
        if self == Self::Off { Self::Off } else { Self::Done(room) }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for WipedIo<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.wiping = this.wiping.of(buf);
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.io).poll_read(cx, buf);
        if this.wiping != Wiping::Off && buf.filled().len() != before {
            this.wiping = Wiping::Due;
        }
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for WipedIo<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write_vectored(cx, bufs)
    }

    /// Where this is false, hyper copies bodies into a buffer that lives as long as the connection.
    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::mem::MaybeUninit;
    use std::task::Waker;

    use tokio::net::UnixStream;

    use super::*;

    const CANARY: u8 = 0xc5;

    fn pair() -> (WipedIo<UnixStream>, std::os::unix::net::UnixStream) {
        let (near, far) = UnixStream::pair().expect("a pair");
        (WipedIo::new(near), far.into_std().expect("a socket"))
    }

    /// Offers the room behind so many bytes; how many came, and what the room holds by then.
    fn offer(
        io: &mut WipedIo<UnixStream>,
        buffer: &mut [MaybeUninit<u8>],
        filled: usize,
    ) -> (usize, Vec<u8>) {
        let mut buf = ReadBuf::uninit(&mut buffer[filled..]);
        let polled = Pin::new(io).poll_read(&mut Context::from_waker(Waker::noop()), &mut buf);
        assert!(!matches!(polled, Poll::Ready(Err(_))));
        // All of it is: otherwise this shows less than the room.
        (buf.filled().len(), buf.initialized().to_vec())
    }

    fn stale() -> [MaybeUninit<u8>; 64] {
        [MaybeUninit::new(CANARY); 64]
    }

    #[tokio::test]
    async fn the_room_of_a_reader_that_waits_is_zero() {
        let (mut io, _far) = pair();
        assert_eq!(offer(&mut io, &mut stale(), 16), (0, vec![0; 48]));
    }

    #[tokio::test]
    async fn behind_what_was_read_there_is_nothing() {
        let (mut io, mut far) = pair();
        far.write_all(b"new").expect("written");
        io.io.readable().await.expect("something to read");
        let (read, room) = offer(&mut io, &mut stale(), 0);
        assert_eq!((read, &room[..3], &room[3..]), (3, &b"new"[..], &[0; 61][..]));
    }

    #[tokio::test]
    async fn what_a_reader_calls_initialised_is_wiped_too_and_what_it_has_read_is_not() {
        let (mut io, _far) = pair();
        let mut buffer = [CANARY; 64];
        let mut buf = ReadBuf::new(&mut buffer);
        buf.advance(8);
        assert!(Pin::new(&mut io).poll_read(&mut Context::from_waker(Waker::noop()), &mut buf).is_pending());
        assert_eq!((&buffer[..8], &buffer[8..]), (&[CANARY; 8][..], &[0; 56][..]));
    }

    #[tokio::test]
    async fn the_same_room_is_wiped_again_once_something_was_read_into_it() {
        let (mut io, mut far) = pair();
        let mut buffer = stale();
        assert_eq!(offer(&mut io, &mut buffer, 0).0, 0);
        far.write_all(&[CANARY; 10]).expect("written");
        io.io.readable().await.expect("something to read");
        assert_eq!(offer(&mut io, &mut buffer, 0).0, 10);
        // The reader has done with them and offers the room from its start, as hyper does between requests.
        assert_eq!(offer(&mut io, &mut buffer, 0), (0, vec![0; 64]));
    }

    #[tokio::test]
    async fn another_room_is_wiped_though_nothing_was_read() {
        let (mut io, _far) = pair();
        let mut buffer = stale();
        assert_eq!(offer(&mut io, &mut buffer, 32), (0, vec![0; 32]));
        assert_eq!(offer(&mut io, &mut buffer, 0), (0, vec![0; 64]));
    }

    #[tokio::test]
    async fn writes_stay_vectored_through_the_wrapper() {
        let (near, far) = UnixStream::pair().expect("a pair");
        assert!(WipedIo::new(near).is_write_vectored());
        assert!(WipedIo::dangerous_unwiped(far).is_write_vectored());
    }
}
