//! A connection whose first bytes have told what the client speaks.
//!
//! Over TLS a client says so in the handshake, on a socket it does not; and one that could speak HTTP/2 may speak HTTP/1.1 all the
//! same. The preface of HTTP/2 tells in either case, and was chosen such that no request of HTTP/1.1 begins with it
//! (RFC 9113, section 3.4).
//!
//! Never takes a byte away: what was read to find out comes out again before all others. Nor leaves one behind: a request may begin
//! with what nobody should have sent, and whatever is moved leaves a copy where it was.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokenkeep_client::secret::WipedBytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use zeroize::Zeroize;

/// What a client of HTTP/2 begins with (RFC 9113, section 3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spoken {
    /// HTTP/1.1, or nothing that is known here.
    Http1,
    /// HTTP/2.
    Http2,
}

/// A stream that has begun.
#[derive(Debug)]
pub struct Begun<T> {
    io: T,
    first: WipedBytes,
    /// Bytes of `first` that have come.
    heard: usize,
    /// Bytes of `first` that have come out again.
    given: usize,
}

/// Reads until it is known what the client speaks: 24 bytes at the most.
///
/// # Errors
/// The stream's.
pub async fn begin<T: AsyncRead + Unpin>(mut io: T) -> io::Result<(Spoken, Begun<T>)> {
    let mut first = WipedBytes::from(vec![0; PREFACE.len()]);
    let mut heard = 0;
    while heard < first.len() && first[..heard] == PREFACE[..heard] {
        match io.read(&mut first[heard..]).await? {
            0 => break,
            length => heard += length,
        }
    }
    let spoken = if first[..] == PREFACE[..] { Spoken::Http2 } else { Spoken::Http1 };
    Ok((spoken, Begun { io, first, heard, given: 0 }))
}

impl<T: AsyncRead + Unpin> AsyncRead for Begun<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.given == this.heard {
            return Pin::new(&mut this.io).poll_read(cx, buf);
        }
        let length = buf.remaining().min(this.heard - this.given);
        let piece = &mut this.first[this.given..this.given + length];
        buf.put_slice(piece);
        piece.zeroize();
        this.given += length;
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Begun<T> {
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
    use super::*;

    /// What a stream is taken for whose bytes come in these pieces, and what comes out of it after that.
    async fn heard(pieces: &[&[u8]], room: usize) -> (Spoken, Vec<u8>) {
        let mut script = stream_of(pieces);
        let (spoken, mut begun) = begin(&mut script).await.expect("nothing fails");
        let (mut all, mut buffer) = (Vec::new(), vec![0xc5; room]);
        loop {
            match begun.read(&mut buffer).await.expect("nothing fails") {
                0 => return (spoken, all),
                length => all.extend_from_slice(&buffer[..length]),
            }
        }
    }

    /// One piece a read.
    fn stream_of(pieces: &[&[u8]]) -> impl AsyncRead + Unpin + use<> {
        struct Pieces(std::collections::VecDeque<Vec<u8>>);
        impl AsyncRead for Pieces {
            fn poll_read(
                self: Pin<&mut Self>,
                _: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                let this = self.get_mut();
                if let Some(mut piece) = this.0.pop_front() {
                    let rest = piece.split_off(piece.len().min(buf.remaining()));
                    buf.put_slice(&piece);
                    if !rest.is_empty() {
                        this.0.push_front(rest);
                    }
                }
                Poll::Ready(Ok(()))
            }
        }
        Pieces(pieces.iter().map(|piece| piece.to_vec()).collect())
    }

    #[tokio::test]
    async fn the_preface_tells_however_it_is_cut_and_nothing_is_lost() {
        let whole = [&PREFACE[..], b"frames"].concat();
        for room in [1, 7, 24, 100] {
            for at in 1..whole.len() {
                let (one, two) = whole.split_at(at);
                assert_eq!(heard(&[one, two], room).await, (Spoken::Http2, whole.clone()), "cut at {at}");
            }
        }
    }

    #[tokio::test]
    async fn everything_else_is_http_1() {
        for text in
            ["", "G", "GET / HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\t."]
        {
            assert_eq!(heard(&[text.as_bytes()], 100).await, (Spoken::Http1, text.as_bytes().to_vec()));
        }
    }

    #[tokio::test]
    async fn what_has_come_out_again_is_not_kept() {
        let (_, mut begun) = begin(&b"PUT /v1/orgs/acme"[..]).await.expect("nothing fails");
        let mut buffer = [0; 4];
        begun.read_exact(&mut buffer).await.expect("nothing fails");
        assert_eq!((&buffer, &begun.first[..6]), (b"PUT ", &b"\0\0\0\0/v"[..]));
    }

    #[tokio::test]
    async fn writes_stay_vectored_through_it() {
        let (socket, peer) = tokio::net::UnixStream::pair().expect("a pair");
        drop(peer);
        assert!(begin(socket).await.expect("nothing fails").1.is_write_vectored());
    }
}
