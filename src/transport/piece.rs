//! The piece that an answer's body is.
//!
//! The hard problem: h2 writes from a buffer that lives as long as its connection and that nobody can wipe. What it writes is not
//! copied there but for small frames, and for the first bytes of others, so that a frame's head does not go out alone
//! (`CHAIN_THRESHOLD` in its `codec/framed_write.rs`). The answer: over HTTP/2 the first bytes of what may be secret are
//! blanks, which JSON allows before a value (RFC 8259, section 2), more of them than h2 copies. The rest is written from
//! where it stands, and wiped when the socket has taken it. A bare value can have nothing before it: the connection ends
//! after such an answer, and its buffer with it.
//!
//! Never copies what it holds.

use std::io::IoSlice;

use bytes::{Buf, Bytes};

use super::pulse::InFlight;

/// What h2 may copy of a frame, with its head.
const COPIED: usize = 256;

static BLANKS: [u8; COPIED] = [b' '; COPIED];

/// The bytes of an answer.
#[derive(Debug)]
pub struct Piece {
    /// So many blanks before them.
    blanks: usize,
    bytes: Bytes,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A value that may be secret, and nothing else.
    Bare,
    /// JSON that may be secret.
    Json,
    /// Nothing that is secret.
    Open,
}

impl Piece {
    /// A value that may be secret, and nothing else.
    pub(super) fn bare(bytes: Bytes) -> Self {
        Self { blanks: 0, bytes, kind: Kind::Bare }
    }

    /// JSON that may be secret.
    pub(super) fn json(bytes: Bytes) -> Self {
        Self { blanks: 0, bytes, kind: Kind::Json }
    }

    /// What is no secret.
    pub(super) fn open(bytes: Bytes) -> Self {
        Self { blanks: 0, bytes, kind: Kind::Open }
    }

    /// As this request's answer goes out.
    pub(super) fn for_request(self, request: &InFlight) -> Self {
        if !request.is_multiplexed() {
            return self;
        }
        if self.kind == Kind::Bare {
            request.be_the_last();
        }
        let blanks = if self.kind == Kind::Json { COPIED } else { 0 };
        Self { blanks, bytes: request.until_sent(self.bytes), kind: self.kind }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.blanks + self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        if self.blanks > 0 { &BLANKS[..self.blanks] } else { &self.bytes }
    }

    fn chunks_vectored<'a>(&'a self, dst: &mut [IoSlice<'a>]) -> usize {
        let chunks = [&BLANKS[..self.blanks], &self.bytes];
        let mut filled = 0;
        for (slot, chunk) in dst.iter_mut().zip(chunks.into_iter().filter(|chunk| !chunk.is_empty())) {
            *slot = IoSlice::new(chunk);
            filled += 1;
        }
        filled
    }

    fn advance(&mut self, count: usize) {
        let blanks = count.min(self.blanks);
        self.blanks -= blanks;
        self.bytes.advance(count - blanks);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::transport::pulse::Pulse;

    #[test]
    fn blanks_stand_before_json_over_http_2_and_nowhere_else() {
        let went = |piece: Piece, multiplexed| {
            let mut piece = piece.for_request(&Arc::new(Pulse::default()).begin(multiplexed));
            let length = piece.remaining();
            let bytes = piece.copy_to_bytes(length);
            assert!(!piece.has_remaining());
            (length, bytes.trim_ascii_start().len())
        };
        let bytes = Bytes::from_static(b"{\"a\":1}");
        assert_eq!(went(Piece::json(bytes.clone()), true), (COPIED + 7, 7));
        assert_eq!(went(Piece::json(bytes.clone()), false), (7, 7));
        assert_eq!(went(Piece::bare(bytes.clone()), true), (7, 7));
        assert_eq!(went(Piece::open(bytes), true), (7, 7));
    }

    #[test]
    fn what_is_left_is_the_same_whichever_way_it_is_looked_at() {
        let mut piece = Piece { blanks: 3, bytes: Bytes::from_static(b"abc"), kind: Kind::Json };
        for left in ["   abc", "  abc", " abc", "abc", "bc", "c", ""] {
            let mut slices = [IoSlice::new(&[]); 4];
            let filled = piece.chunks_vectored(&mut slices);
            let seen: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.iter().copied()).collect();
            assert_eq!((seen.as_slice(), piece.remaining()), (left.as_bytes(), left.len()));
            assert!(
                left.as_bytes().starts_with(piece.chunk()) && (left.is_empty() || !piece.chunk().is_empty())
            );
            if !left.is_empty() {
                piece.advance(1);
            }
        }
    }
}
