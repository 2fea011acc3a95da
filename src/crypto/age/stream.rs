//! The payload of a file of age: chunks of 64 KiB, each sealed by itself, in their order, the last one marked.
//!
//! The hard problem: a file may be larger than memory, and must not pass for whole where its end was cut off. The
//! answer: chunks are opened one by one, and only the mark of the last one ends the file.
//!
//! Never gives out a byte that was not verified, and never holds more than two chunks.

use std::io::{self, Read, Write};

use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce};
use zeroize::{Zeroize, Zeroizing};

use super::AgeError;
use super::header::sealing_key;
use crate::crypto::random;

const CHUNK: usize = 64 * 1024;
const TAG: usize = 16;
const SALT: usize = 16;
const LABEL: &[u8] = b"payload";

/// Counts chunks: eleven bytes, and one that says which is the last.
struct Counter(u64);

impl Counter {
    fn next(&mut self, is_last: bool) -> Nonce {
        let mut nonce = [0; 12];
        nonce[3..11].copy_from_slice(&self.0.to_be_bytes());
        nonce[11] = u8::from(is_last);
        self.0 += 1;
        Nonce::assume_unique_for_key(nonce)
    }
}

/// Seals what is written to it. Dropped without [`Sealer::end`], it leaves a file without an end.
pub struct Sealer<W> {
    key: LessSafeKey,
    counter: Counter,
    chunk: Vec<u8>,
    output: W,
}

impl<W: Write> Sealer<W> {
    pub(super) fn new(file_key: &[u8; 16], mut output: W) -> Result<Self, AgeError> {
        let salt: [u8; SALT] = random::bytes();
        output.write_all(&salt)?;
        let key = sealing_key(&salt, file_key, LABEL)?;
        Ok(Self { key, counter: Counter(0), chunk: Vec::with_capacity(CHUNK + TAG), output })
    }

    fn flush_chunk(&mut self, is_last: bool) -> io::Result<()> {
        let nonce = self.counter.next(is_last);
        let sealed = self.key.seal_in_place_append_tag(nonce, Aad::empty(), &mut self.chunk);
        sealed.map_err(|_| io::Error::other("a chunk could not be sealed"))?;
        self.output.write_all(&self.chunk)?;
        self.chunk.clear();
        Ok(())
    }

    /// Writes the last chunk.
    ///
    /// # Errors
    /// That of writing.
    pub fn end(mut self) -> io::Result<()> {
        self.flush_chunk(true)
    }
}

impl<W: Write> Write for Sealer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full chunk is written only when there is more: it may be the last.
        if self.chunk.len() == CHUNK && !bytes.is_empty() {
            self.flush_chunk(false)?;
        }
        let taken = bytes.len().min(CHUNK - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    /// Chunks are written when they are full.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<W> Drop for Sealer<W> {
    fn drop(&mut self) {
        self.chunk.zeroize();
    }
}

/// Reads what was sealed. An error says that nothing after it can be had.
pub struct Opener<R> {
    key: LessSafeKey,
    counter: Counter,
    input: R,
    /// One chunk, and the byte after it that says whether there is another.
    sealed: Zeroizing<Vec<u8>>,
    /// How much of the front of `sealed` is open, and how much of that was given out.
    open: usize,
    given: usize,
    is_over: bool,
}

impl<R: Read> Opener<R> {
    pub(super) fn new(file_key: &[u8; 16], mut input: R) -> Result<Self, AgeError> {
        let mut salt = [0; SALT];
        input.read_exact(&mut salt).map_err(|_| AgeError::Damaged("it ends within its header"))?;
        let key = sealing_key(&salt, file_key, LABEL)?;
        let sealed = Zeroizing::new(Vec::with_capacity(2 * (CHUNK + TAG)));
        Ok(Self { key, counter: Counter(0), input, sealed, open: 0, given: 0, is_over: false })
    }

    fn advance(&mut self) -> io::Result<()> {
        let damaged = |what| io::Error::new(io::ErrorKind::InvalidData, what);
        let whole = CHUNK + TAG;
        // What is left over from the last time is the first byte of this chunk.
        let kept: usize = usize::from(self.sealed.len() > whole);
        if kept == 1 {
            self.sealed[0] = self.sealed[whole];
        }
        self.sealed.truncate(kept);
        let wanted = (whole + 1 - kept) as u64;
        Read::take(&mut self.input, wanted).read_to_end(&mut self.sealed)?;
        let is_last = self.sealed.len() <= whole;
        let length = self.sealed.len().min(whole);
        let nonce = self.counter.next(is_last);
        let opened = self.key.open_in_place(nonce, Aad::empty(), &mut self.sealed[..length]);
        self.open = opened.map_err(|_| damaged("a part of it was changed or cut off"))?.len();
        self.given = 0;
        self.is_over = is_last;
        if is_last && self.open == 0 && self.counter.0 > 1 {
            return Err(damaged("it ends with an empty part"));
        }
        Ok(())
    }
}

impl<R: Read> Read for Opener<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.given == self.open && !self.is_over {
            if let Err(why) = self.advance() {
                (self.open, self.given) = (0, 0);
                return Err(why);
            }
        }
        let taken = into.len().min(self.open - self.given);
        into[..taken].copy_from_slice(&self.sealed[self.given..self.given + taken]);
        self.given += taken;
        Ok(taken)
    }
}
