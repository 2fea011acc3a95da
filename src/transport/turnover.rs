//! A stream of HTTP/2 whose reader takes another buffer after each body.
//!
//! The hard problem: h2 hands the frames of a body on as they lie in the buffer that it has read into, and goes on behind them.
//! What was handed on stays there, some forty bodies of tokens, until the end of the buffer is reached: then it takes another
//! one, or begins anew at the front, which is wiped as it is offered. The answer: the end is reached after each body. The rest
//! of the room is filled with a frame of a type that nobody knows, which is to be ignored (RFC 9113, section 5.5). Where a
//! frame ends is counted along; none comes between the parts of a header (section 4.3).
//!
//! Never touches a byte of the client's.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::begun::PREFACE;

/// Of a frame (RFC 9113, section 4.1): length, type, flags, stream.
const HEAD: usize = 9;

/// The longest frame that nobody may refuse (`SETTINGS_MAX_FRAME_SIZE`).
const LONGEST: usize = 16_384;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
/// Kept free for frames that mean nothing (draft-bishop-httpbis-grease).
const NOTHING: u8 = 0x0b;
const END_HEADERS: u8 = 4;

/// A stream that has its reader's buffer used up after each body.
#[derive(Debug)]
pub struct Turnover<T> {
    io: T,
    frames: Frames,
}

/// Where in a frame its bytes are by now.
#[derive(Debug)]
struct Frames {
    head: [u8; HEAD],
    /// Bytes of the head that have come.
    headed: usize,
    /// Bytes of the frame that are still to come.
    left: usize,
    /// A header goes on in the next frame.
    is_within_header: bool,
    /// Part of a body has come since the buffer was used up.
    has_body: bool,
}

impl<T> Turnover<T> {
    /// Wraps a stream that begins with the preface.
    pub fn new(io: T) -> Self {
        // The preface is passed over as the rest of a frame is.
        let frames = Frames {
            head: [0; HEAD],
            headed: 0,
            left: PREFACE.len(),
            is_within_header: false,
            has_body: false,
        };
        Self { io, frames }
    }
}

impl Frames {
    fn hear(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let passed = self.left.min(bytes.len());
            self.left -= passed;
            bytes = &bytes[passed..];
            if self.left > 0 {
                return;
            }
            let length = (HEAD - self.headed).min(bytes.len());
            self.head[self.headed..self.headed + length].copy_from_slice(&bytes[..length]);
            self.headed += length;
            bytes = &bytes[length..];
            if self.headed == HEAD {
                self.begin();
            }
        }
    }

    fn begin(&mut self) {
        let [high, middle, low, kind, flags, ..] = self.head;
        self.headed = 0;
        self.left = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        match kind {
            DATA => self.has_body = true,
            HEADERS | CONTINUATION => self.is_within_header = flags & END_HEADERS == 0,
            _ => {}
        }
    }

    /// Whether the buffer is to be used up here. A head always fits in: h2 makes room for one before it reads.
    fn is_due(&self, room: usize) -> bool {
        let is_between = self.headed == 0 && self.left == 0 && !self.is_within_header;
        self.has_body && is_between && room >= HEAD
    }

    /// A frame of nothing, to the end of the room or as long as one may be.
    fn use_up(&mut self, buf: &mut ReadBuf<'_>) {
        let length = buf.remaining().saturating_sub(HEAD).min(LONGEST);
        let [.., high, middle, low] = length.to_be_bytes();
        buf.put_slice(&[high, middle, low, NOTHING, 0, 0, 0, 0, 0]);
        buf.initialize_unfilled_to(length).fill(0);
        buf.advance(length);
        self.has_body = buf.remaining() > 0;
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Turnover<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.frames.is_due(buf.remaining()) {
            this.frames.use_up(buf);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.io).poll_read(cx, buf);
        this.frames.hear(&buf.filled()[before..]);
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Turnover<T> {
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
    use std::task::Waker;

    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).expect("a short one");
        [&[0, 0, length, kind, flags, 0, 0, 0, 1], payload].concat()
    }

    /// What comes out of a stream of these bytes, read into rooms of this size until nothing is left.
    fn read(bytes: &[u8], room: usize) -> Vec<Vec<u8>> {
        let mut stream = Turnover::new(bytes);
        let mut pieces = Vec::new();
        loop {
            let mut buffer = vec![0xc5; room];
            let mut buf = ReadBuf::new(&mut buffer);
            let polled = Pin::new(&mut stream).poll_read(&mut Context::from_waker(Waker::noop()), &mut buf);
            assert!(matches!(polled, Poll::Ready(Ok(()))));
            if buf.filled().is_empty() {
                return pieces;
            }
            pieces.push(buf.filled().to_vec());
        }
    }

    fn after_preface(frames: &[Vec<u8>]) -> Vec<u8> {
        [&PREFACE[..], &frames.concat()].concat()
    }

    #[test]
    fn after_a_body_the_room_is_used_up_once() {
        let bytes = after_preface(&[frame(HEADERS, END_HEADERS, b"fields"), frame(DATA, 1, b"{}")]);
        let pieces = read(&bytes, 100);
        assert_eq!(pieces[0], bytes);
        assert_eq!(pieces[1], [vec![0, 0, 91, NOTHING, 0, 0, 0, 0, 0], vec![0; 91]].concat());
        assert_eq!(pieces.len(), 2);
    }

    #[test]
    fn without_a_body_and_within_a_header_nothing_is_added() {
        let request = frame(HEADERS, END_HEADERS, b"fields");
        let parts = [frame(DATA, 0, b"{"), frame(HEADERS, 0, b"trailers")];
        for bytes in [after_preface(&[request.clone(), request]), after_preface(&parts)] {
            assert_eq!(read(&bytes, 1000), [bytes]);
        }
    }

    #[test]
    fn frames_are_followed_however_they_are_cut() {
        let bytes = after_preface(&[
            frame(HEADERS, 0, b"some"),
            frame(CONTINUATION, END_HEADERS, b"more"),
            frame(DATA, 0, &[7; 50]),
            frame(DATA, 1, &[]),
        ]);
        for room in 1..200 {
            let pieces = read(&bytes, room);
            let is_added = |piece: &&Vec<u8>| {
                piece.len() >= HEAD && piece[3] == NOTHING && piece[4..].iter().all(|byte| *byte == 0)
            };
            let added = pieces.iter().filter(is_added).count();
            let own: Vec<u8> = pieces.iter().filter(|piece| !is_added(piece)).flatten().copied().collect();
            assert_eq!(own, bytes, "rooms of {room}");
            assert_eq!(added > 0, room >= HEAD, "rooms of {room}");
        }
    }

    #[test]
    fn a_large_room_is_used_up_by_several_frames() {
        let bytes = after_preface(&[frame(DATA, 1, b"{}")]);
        let mut stream = Turnover::new(bytes.as_slice());
        let mut buffer = vec![0xc5; 40_000];
        let mut buf = ReadBuf::new(&mut buffer);
        let mut ends = Vec::new();
        while buf.remaining() > 0 {
            let polled = Pin::new(&mut stream).poll_read(&mut Context::from_waker(Waker::noop()), &mut buf);
            assert!(matches!(polled, Poll::Ready(Ok(()))));
            ends.push(buf.filled().len());
        }
        let first = bytes.len();
        assert_eq!(ends, [first, first + HEAD + LONGEST, first + 2 * (HEAD + LONGEST), 40_000]);
        assert!(!stream.frames.has_body);
    }

    #[tokio::test]
    async fn writes_stay_vectored_through_it() {
        let (socket, _peer) = tokio::net::UnixStream::pair().expect("a pair");
        assert!(Turnover::new(socket).is_write_vectored());
    }
}
