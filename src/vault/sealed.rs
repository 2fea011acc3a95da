//! A sealed value on its way into a record, and out of one.
//!
//! The hard problem: a sealed value is text like any other, and what is sealed twice opens to nothing that anybody knows. The
//! answer: what was sealed is a [`Sealed`], what stands in a record is a [`Token`], and neither gives out the bytes that a value
//! to be sealed is made of. A record takes nothing else.
//!
//! Never seals what is sealed: under another key it is sealed anew as it is, by [`Reseal`].

use std::fmt;

use crate::crypto::key::{KeyId, SealingKey};
use crate::crypto::seal::{self, Opened, Place, SealError, Turned};
use crate::crypto::wrap::{self, WrapError};

/// The Fernet token of a section, borrowed from its record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Token<'a>(&'a [u8]);

impl<'a> Token<'a> {
    /// As it stands in a record.
    pub(super) fn found(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Its bytes. Not to be sealed: whoever calls this owns what comes of it.
    #[must_use]
    pub fn dangerous_bytes(self) -> &'a [u8] {
        self.0
    }

    /// What it holds, if it belongs there.
    pub(super) fn open(self, key: &SealingKey, place: &Place) -> Result<Opened, SealError> {
        seal::open(key, place, self.0)
    }

    /// The key that it holds, if it belongs there.
    pub(super) fn open_key(self, under: &SealingKey, place: &Place) -> Result<SealingKey, WrapError> {
        wrap::open_key(under, place, self.0, b"")
    }

    /// The key that it holds, sealed under another one or for another place.
    pub(super) fn rewrap(
        self,
        old: &SealingKey,
        new: &SealingKey,
        between: (&Place, &Place),
    ) -> Result<Sealed, WrapError> {
        wrap::rewrap(old, new, between, self.0, b"").map(|text| Sealed { key_id: new.id(), text })
    }
}

impl fmt::Debug for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({} bytes)", self.0.len())
    }
}

/// A value that was sealed, with the key that opens it. For a record, and for nothing else.
#[derive(Debug)]
pub struct Sealed {
    key_id: KeyId,
    text: String,
}

impl Sealed {
    /// Seals a value.
    pub(super) fn of(key: &SealingKey, place: &Place, generation: u64, value: &[u8]) -> Self {
        Self { key_id: key.id(), text: seal::seal(key, place, generation, value) }
    }

    /// A new key of an org, wrapped.
    pub(super) fn new_key(under: &SealingKey, place: &Place) -> Result<(SealingKey, Self), WrapError> {
        let (key, text) = wrap::make_key(under, place, b"")?;
        Ok((key, Self { key_id: under.id(), text }))
    }

    /// Seals values anew, each as it is, under one key.
    pub(super) fn anew(values: &[Reseal<'_>], under: &SealingKey) -> Result<Vec<Self>, SealError> {
        let turned: Vec<_> = values.iter().map(Reseal::turned).collect();
        let texts = seal::reseal(&turned, under)?;
        Ok(texts.into_iter().map(|text| Self { key_id: under.id(), text }).collect())
    }

    /// The key that opens it.
    pub(super) fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// Into a record.
    pub(super) fn written(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

/// A value that is sealed under one key and is to be under another.
pub(super) struct Reseal<'a> {
    pub(super) from: &'a SealingKey,
    pub(super) place: Place,
    pub(super) generation: u64,
    pub(super) becomes: u64,
    pub(super) token: Token<'a>,
}

impl<'a> Reseal<'a> {
    fn turned(&self) -> Turned<'a> {
        let Self { from, place, generation, becomes, token } = self;
        Turned { from, place: *place, generation: *generation, becomes: *becomes, token: token.0 }
    }
}
