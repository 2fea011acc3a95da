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
use tokenkeep_client::secret::WipedBytes;

use super::pulse::InFlight;

/// What h2 may copy of a frame, with its head.
const COPIED: usize = 256;

static BLANKS: [u8; COPIED] = [b' '; COPIED];

/// The bytes of an answer.
#[derive(Debug)]
pub struct Piece {
    /// So many blanks before them.
    blanks: usize,
    held: Held,
    kind: Kind,
}

/// Who has the bytes.
#[derive(Debug)]
enum Held {
    /// This piece alone, as they were made: a read is answered without a block for counting who else has them. So many of them
    /// have been taken.
    Alone(WipedBytes, usize),
    /// This piece and others.
    Shared(Bytes),
}

impl Held {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Alone(bytes, taken) => &bytes[*taken..],
            Self::Shared(bytes) => bytes,
        }
    }

    fn shared(self) -> Bytes {
        match self {
            Self::Alone(bytes, taken) => Bytes::from_owner(bytes).split_off(taken),
            Self::Shared(bytes) => bytes,
        }
    }

    fn advance(&mut self, count: usize) {
        match self {
            Self::Alone(bytes, taken) => {
                assert!(count <= bytes.len() - *taken, "no more is taken than there is");
                *taken += count;
            }
            Self::Shared(bytes) => bytes.advance(count),
        }
    }
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
    pub(super) fn bare(bytes: WipedBytes) -> Self {
        Self { blanks: 0, held: Held::Alone(bytes, 0), kind: Kind::Bare }
    }

    /// JSON that may be secret.
    pub(super) fn json(bytes: WipedBytes) -> Self {
        Self { blanks: 0, held: Held::Alone(bytes, 0), kind: Kind::Json }
    }

    /// What is no secret.
    pub(super) fn open(bytes: Bytes) -> Self {
        Self { blanks: 0, held: Held::Shared(bytes), kind: Kind::Open }
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
        Self { blanks, held: Held::Shared(request.until_sent(self.held.shared())), kind: self.kind }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.blanks + self.held.bytes().len()
    }

    fn chunk(&self) -> &[u8] {
        if self.blanks > 0 { &BLANKS[..self.blanks] } else { self.held.bytes() }
    }

    fn chunks_vectored<'a>(&'a self, dst: &mut [IoSlice<'a>]) -> usize {
        let chunks = [&BLANKS[..self.blanks], self.held.bytes()];
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
        self.held.advance(count - blanks);
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
        let bytes = || WipedBytes::from(b"{\"a\":1}".to_vec());
        assert_eq!(went(Piece::json(bytes()), true), (COPIED + 7, 7));
        assert_eq!(went(Piece::json(bytes()), false), (7, 7));
        assert_eq!(went(Piece::bare(bytes()), true), (7, 7));
        assert_eq!(went(Piece::open(Bytes::from_static(b"{\"a\":1}")), true), (7, 7));
    }

    #[test]
    fn what_is_left_is_the_same_whichever_way_it_is_looked_at() {
        for held in
            [Held::Shared(Bytes::from_static(b"abc")), Held::Alone(WipedBytes::from(b"abc".to_vec()), 0)]
        {
            taken_byte_by_byte(Piece { blanks: 3, held, kind: Kind::Json });
        }
    }

    fn taken_byte_by_byte(mut piece: Piece) {
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
