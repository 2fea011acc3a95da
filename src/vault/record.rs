//! The layout of a record: a clear header and sealed sections.
//!
//! ```text
//! record, version 1
//!   0   1   version = 1
//!   1   8   generation, big-endian
//!   9   1   number of sections
//!  then each section
//!   0   1   field
//!   1   8   id of the key that sealed it
//!   9   4   length, big-endian
//!  13  ..   Fernet token, as text
//! ```
//!
//! A read of one section never touches another: an access token is opened without its refresh token.

use crate::crypto::key::KeyId;
use crate::vault::place::Field;

const VERSION: u8 = 1;
const HEADER: usize = 10;
const SECTION_HEADER: usize = 13;

/// A sealed section, borrowed from its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Section<'a> {
    /// What it is, by number.
    pub field: u8,
    /// The key that sealed it.
    pub key_id: KeyId,
    /// The Fernet token.
    pub token: &'a [u8],
}

/// A record, borrowed and checked as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordView<'a> {
    generation: u64,
    sections: &'a [u8],
}

impl<'a> RecordView<'a> {
    /// Reads a record; none where the bytes are not one.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (header, sections) = bytes.split_at_checked(HEADER)?;
        let generation = u64::from_be_bytes(header[1..9].try_into().ok()?);
        let mut rest = sections;
        for _ in 0..header[9] {
            (_, rest) = split_section(rest)?;
        }
        (header[0] == VERSION && rest.is_empty()).then_some(Self { generation, sections })
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
        let mut rest = self.sections;
        std::iter::from_fn(move || {
            let section;
            (section, rest) = split_section(rest)?;
            Some(section)
        })
    }
}

fn split_section(bytes: &[u8]) -> Option<(Section<'_>, &[u8])> {
    let (header, rest) = bytes.split_at_checked(SECTION_HEADER)?;
    let length = u32::from_be_bytes(header[9..].try_into().ok()?);
    let (token, rest) = rest.split_at_checked(length.try_into().ok()?)?;
    let key_id = KeyId(header[1..9].try_into().ok()?);
    Some((Section { field: header[0], key_id, token }, rest))
}

/// A record in the making.
#[derive(Debug)]
pub struct RecordWriter(Vec<u8>);

impl RecordWriter {
    /// Starts a record.
    #[must_use]
    pub fn new(generation: u64) -> Self {
        let mut bytes = Vec::with_capacity(1024);
        bytes.push(VERSION);
        bytes.extend_from_slice(&generation.to_be_bytes());
        bytes.push(0);
        Self(bytes)
    }

    /// Adds a section. Tokens are far below 4 GiB, sections far below 256.
    #[must_use]
    pub fn section(mut self, field: Field, key_id: KeyId, token: &[u8]) -> Self {
        self.0[HEADER - 1] += 1;
        self.0.push(field as u8);
        self.0.extend_from_slice(&key_id.0);
        let length = u32::try_from(token.len()).unwrap_or(u32::MAX);
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(token);
        self
    }

    /// The bytes of the record.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.0
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
            .section(Field::Metadata, id, b"meta")
            .section(Field::AccessToken, id, b"access")
            .finish();
        let view = RecordView::parse(&bytes).expect("whole");
        assert_eq!(view.generation(), 5);
        assert_eq!(view.section(Field::AccessToken).map(|s| s.token), Some(&b"access"[..]));
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
