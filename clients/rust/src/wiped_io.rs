//! A stream whose reader is left no old bytes: what it offers to be read into is written over first.
//!
//! The hard problem: hyper and rustls read into buffers that live as long as their connection, and the last answer, or
//! the last request, lies there until another one comes: for as long as the connection idles. The answer: a reader that
//! idles has offered its buffer, and waits; so it is wiped at that moment, and stays so until there is something to read.
//!
//! A buffer of 8 KiB, wiped for each request of 100 bytes, would show on the path of every read. So this remembers from where
//! on a buffer is zeros, and wipes only what was read since. A buffer is known by its end: where another one ends at the same
//! address, the first was freed. Readers move what they have read towards the front alone (`BytesMut::reserve`, the
//! deframer of rustls), and decrypt it in place: behind what was read last, they write nothing.
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
    /// Not at all.
    Off,
    /// What is not known to be zeros.
    On(Zeros),
}

/// The end of a buffer, as far as it is zeros. Of no buffer at first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Zeros {
    from: usize,
    end: usize,
}

impl<T> WipedIo<T> {
    /// Wraps a stream.
    pub fn new(io: T) -> Self {
        Self { io, wiping: Wiping::On(Zeros::default()) }
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

impl Zeros {
    /// Wipes the room that is offered. Its beginning, as far as it was read into since it was last wiped.
    fn complete(&mut self, buf: &mut ReadBuf<'_>) {
        let from = start_of(buf);
        let (filled, end) = (buf.filled().len(), from + buf.remaining());
        let dirty = if end == self.end { self.from.saturating_sub(from).min(end - from) } else { end - from };
        // What the reader calls initialised may hold old bytes; what it does not, is initialised with zeros.
        let initialised = buf.initialized_mut();
        let old = initialised.len().min(filled + dirty);
        initialised[filled..old].fill(0);
        buf.initialize_unfilled_to(dirty);
        *self = Self { from, end };
    }
}

/// Where the room of a buffer begins.
fn start_of(buf: &ReadBuf<'_>) -> usize {
    buf.filled().as_ptr_range().end.addr()
}

impl<T: AsyncRead + Unpin> AsyncRead for WipedIo<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let Wiping::On(zeros) = &mut this.wiping else { return Pin::new(&mut this.io).poll_read(cx, buf) };
        zeros.complete(buf);
        let polled = Pin::new(&mut this.io).poll_read(cx, buf);
        zeros.from = start_of(buf);
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
    #[expect(unsafe_code, reason = "to see what a reader would not look at")]
    fn offer(
        io: &mut WipedIo<UnixStream>,
        buffer: &mut [MaybeUninit<u8>],
        filled: usize,
    ) -> (usize, Vec<u8>) {
        let mut buf = ReadBuf::uninit(&mut buffer[filled..]);
        let polled = Pin::new(io).poll_read(&mut Context::from_waker(Waker::noop()), &mut buf);
        assert!(!matches!(polled, Poll::Ready(Err(_))));
        let read = buf.filled().len();
        // SAFETY: every buffer of these tests is made of bytes that were written.
        (read, buffer[filled..].iter().map(|byte| unsafe { byte.assume_init() }).collect())
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
    async fn room_that_was_read_into_piece_by_piece_is_wiped_whole() {
        let (mut io, mut far) = pair();
        let mut buffer = stale();
        for at in [0, 10, 20] {
            far.write_all(&[CANARY; 10]).expect("written");
            io.io.readable().await.expect("something to read");
            let (read, room) = offer(&mut io, &mut buffer, at);
            assert_eq!((read, &room[10..]), (10, &vec![0; 54 - at][..]));
        }
        // It has moved the last ten to the front.
        buffer.copy_within(20..30, 0);
        assert_eq!(offer(&mut io, &mut buffer, 10), (0, vec![0; 54]));
        assert_eq!(offer(&mut io, &mut buffer, 0), (0, vec![0; 64]));
    }

    #[tokio::test]
    async fn a_buffer_that_grew_or_another_one_is_wiped_whole() {
        let (mut io, _far) = pair();
        let mut buffer = stale();
        assert_eq!(offer(&mut io, &mut buffer[..32], 0), (0, vec![0; 32]));
        assert_eq!(offer(&mut io, &mut buffer, 0), (0, vec![0; 64]));
        let mut other = stale();
        assert_eq!(offer(&mut io, &mut other, 0), (0, vec![0; 64]));
        buffer.fill(MaybeUninit::new(CANARY));
        assert_eq!(offer(&mut io, &mut buffer, 0), (0, vec![0; 64]), "used for something else meanwhile");
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
