//! The layout of a record: a clear header and sealed sections.
//!
//! ```text
//! record, version 1
//!   0   1   version = 1
//!   1   8   generation, big-endian
//!   9   1   number of sections
//!  10  ..   directory, for each section
//!             0   1   field
//!             1   8   id of the key that sealed it
//!             9   4   length of its token, big-endian
//!   .. ..   the Fernet tokens, as text, in the same order
//! ```
//!
//! The directory stands together so that finding one token does not touch the memory of the others.
//!
//! A read of one section never touches another: an access token is opened without its refresh token.

use crate::crypto::key::KeyId;
use crate::vault::place::Field;
use crate::vault::sealed::{Sealed, Token};

const VERSION: u8 = 1;
const HEADER: usize = 10;
const ENTRY: usize = 13;

/// A sealed section, borrowed from its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Section<'a> {
    /// What it is, by number.
    pub field: u8,
    /// The key that sealed it.
    pub key_id: KeyId,
    /// The Fernet token.
    pub token: Token<'a>,
}

/// A record, borrowed; its directory adds up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordView<'a> {
    generation: u64,
    directory: &'a [u8],
    tokens: &'a [u8],
}

impl<'a> RecordView<'a> {
    /// Reads a record; none where the bytes are not one.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (header, rest) = bytes.split_at_checked(HEADER)?;
        let generation = u64::from_be_bytes(header[1..9].try_into().ok()?);
        let (directory, tokens) = rest.split_at_checked(usize::from(header[9]) * ENTRY)?;
        let view = Self { generation, directory, tokens };
        let total = view.entries().try_fold(0_usize, |total, (_, _, length)| total.checked_add(length))?;
        (header[0] == VERSION && total == tokens.len()).then_some(view)
    }

    /// Counts what was written under this key.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The section of a field.
    #[must_use]
    pub fn section(&self, field: Field) -> Option<Section<'a>> {
        self.sections().find(|section| section.field == field as u8)
    }

    /// All sections, in order.
    pub fn sections(&self) -> impl Iterator<Item = Section<'a>> + use<'a> {
        let mut rest = self.tokens;
        self.entries().map_while(move |(field, key_id, length)| {
            let token;
            (token, rest) = rest.split_at_checked(length)?;
            Some(Section { field, key_id, token: Token::found(token) })
        })
    }

    fn entries(&self) -> impl Iterator<Item = (u8, KeyId, usize)> + use<'a> {
        let (entries, _) = self.directory.as_chunks::<ENTRY>();
        entries.iter().map(|&[field, a, b, c, d, e, f, g, h, i, j, k, l]| {
            let length = u32::from_be_bytes([i, j, k, l]);
            (field, KeyId([a, b, c, d, e, f, g, h]), length as usize)
        })
    }
}

/// A record in the making.
#[derive(Debug)]
pub struct RecordWriter {
    generation: u64,
    directory: Vec<u8>,
    tokens: Vec<u8>,
}

impl RecordWriter {
    /// Starts a record.
    #[must_use]
    pub fn new(generation: u64) -> Self {
        Self { generation, directory: Vec::with_capacity(8 * ENTRY), tokens: Vec::with_capacity(1024) }
    }

    /// Adds a section. Tokens are far below 4 GiB, sections far below 256.
    #[must_use]
    pub fn section(self, field: Field, sealed: &Sealed) -> Self {
        self.push(field as u8, sealed.key_id(), sealed.written())
    }

    /// Adds a section as it stands in a record of the same generation.
    #[must_use]
    pub fn copied(self, section: &Section<'_>) -> Self {
        self.push(section.field, section.key_id, section.token.dangerous_bytes())
    }

    /// Adds whatever these bytes are: a record as somebody with the disk could write it.
    #[must_use]
    pub fn dangerous_section(self, field: Field, key_id: KeyId, token: &[u8]) -> Self {
        self.push(field as u8, key_id, token)
    }

    /// Adds a section that was sealed anew, in the place of the one it was.
    #[must_use]
    pub(super) fn resealed(self, section: &Section<'_>, sealed: &Sealed) -> Self {
        self.push(section.field, sealed.key_id(), sealed.written())
    }

    fn push(mut self, field: u8, key_id: KeyId, token: &[u8]) -> Self {
        self.directory.push(field);
        self.directory.extend_from_slice(&key_id.0);
        let length = u32::try_from(token.len()).unwrap_or(u32::MAX);
        self.directory.extend_from_slice(&length.to_be_bytes());
        self.tokens.extend_from_slice(token);
        self
    }

    /// The bytes of the record.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER + self.directory.len() + self.tokens.len());
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.generation.to_be_bytes());
        bytes.push(u8::try_from(self.directory.len() / ENTRY).unwrap_or(u8::MAX));
        bytes.extend_from_slice(&self.directory);
        bytes.extend_from_slice(&self.tokens);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sections_are_found_by_field() {
        let id = KeyId([7; 8]);
        let bytes = RecordWriter::new(5)
            .push(Field::Metadata as u8, id, b"meta")
            .push(Field::AccessToken as u8, id, b"access")
            .finish();
        let view = RecordView::parse(&bytes).expect("whole");
        assert_eq!(view.generation(), 5);
        assert_eq!(view.section(Field::AccessToken).map(|s| s.token.dangerous_bytes()), Some(&b"access"[..]));
        assert_eq!(view.section(Field::RefreshToken), None);
        for cut in 0..bytes.len() {
            assert_eq!(RecordView::parse(&bytes[..cut]), None, "cut at {cut}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            if let Some(view) = RecordView::parse(&bytes) {
                prop_assert_eq!(view.sections().count(), usize::from(bytes[9]));
            }
        }
    }
}
