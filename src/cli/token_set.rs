//! A token set that an admin hands in.
//!
//! It is read and understood here before it is sent. The hard problem: a misspelt `refresh_token` must not be a lost one, and
//! providers add fields of their own to their answers (RFC 6749, section 5.1, has clients ignore them). So what is not known
//! is refused, unless the admin says that a provider wrote it.
//!
//! What is wrong is said by line and column: the words of the parser quote the input.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::CowStrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};
use serde_json::error::Category;
use tokenkeep_client::wire::TokenSet;

use super::failure::Failure;

/// What becomes of fields that no token set has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Others {
    /// Left out.
    LeftOut,
    /// Refused.
    Refused,
}

pub(super) fn read(json: &[u8], others: Others) -> Result<TokenSet, Failure> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let set = TokenSet::deserialize(Object { inner: &mut reader, others });
    set.and_then(|set| reader.end().map(|()| set)).map_err(|error| failure(&error, others))
}

fn failure(error: &serde_json::Error, others: Others) -> Failure {
    let what = match (error.classify(), others) {
        (Category::Data, Others::LeftOut) => "a field is missing or of the wrong kind",
        (Category::Data, Others::Refused) => "a field is unknown, missing or of the wrong kind",
        (Category::Eof, _) => "it ends too early",
        (Category::Io | Category::Syntax, _) => "it is not JSON",
    };
    let (line, column) = (error.line(), error.column());
    let detail = format!("the token set cannot be read: {what} (line {line}, column {column})");
    let failure = Failure::here("token_set", detail).mend(
        "the fields are access_token, refresh_token, token_type, expires_in or expires_at, \
         scope or scopes, id_token, account, labels, consent",
    );
    match others {
        Others::LeftOut => failure,
        Others::Refused => {
            failure.mend_also("--as-issued leaves out what a provider's answer has beside them")
        }
    }
}

/// Reads a struct from an object alone: serde takes an array too, and its first text for the access token.
struct Object<D> {
    inner: D,
    others: Others,
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Object<D> {
    type Error = D::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        let skips = self.others == Others::LeftOut;
        self.inner.deserialize_map(Fields { known: fields, skips, inner: visitor })
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        self.inner.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// The fields of an object on their way to what reads them.
struct Fields<T> {
    known: &'static [&'static str],
    /// Passes over those that are not known.
    skips: bool,
    inner: T,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Fields<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.inner.visit_map(Fields { known: self.known, skips: self.skips, inner: map })
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Fields<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        while let Some(name) = self.inner.next_key::<Cow<'de, str>>()? {
            if !self.skips || self.known.contains(&&*name) {
                return seed.deserialize(CowStrDeserializer::new(name)).map(Some);
            }
            self.inner.next_value::<IgnoredAny>()?;
        }
        Ok(None)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, A::Error> {
        self.inner.next_value_seed(seed)
    }
}
