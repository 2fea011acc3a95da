//! Fields as the body of a request: a form (RFC 6749, appendix B) or JSON, in a buffer of the right size that is wiped.
//!
//! Never grows a buffer that holds a secret: one that grows leaves copies behind.

use serde::Serializer as _;
use zeroize::Zeroizing;

use crate::domain::provider::client::BodyForm;

/// Names and values, the values secrets among them.
pub(super) type Fields<'a> = Vec<(&'static str, &'a str)>;

/// The body, and its media type.
pub(super) fn body(form: BodyForm, fields: &Fields<'_>) -> (&'static str, Zeroizing<Vec<u8>>) {
    match form {
        BodyForm::Form => ("application/x-www-form-urlencoded", encoded(fields)),
        BodyForm::Json => ("application/json", json(fields)),
    }
}

/// Each byte of a form is three at the most.
fn encoded(fields: &Fields<'_>) -> Zeroizing<Vec<u8>> {
    let most = fields.iter().map(|(name, value)| name.len() + 3 * value.len() + 2).sum();
    let mut bytes = Zeroizing::new(Vec::with_capacity(most));
    for (name, value) in fields {
        if !bytes.is_empty() {
            bytes.push(b'&');
        }
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(b'=');
        pieces(value).for_each(|piece| bytes.extend_from_slice(piece.as_bytes()));
    }
    bytes
}

/// A value alone, form-encoded.
pub(super) fn encode(value: &str) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(3 * value.len()));
    text.extend(pieces(value));
    text
}

/// The encoder gives slices of the value and of a table: no copy of its own.
fn pieces(value: &str) -> impl Iterator<Item = &str> {
    form_urlencoded::byte_serialize(value.as_bytes())
}

/// Each byte of a JSON string is six at the most (RFC 8259, section 7).
fn json(fields: &Fields<'_>) -> Zeroizing<Vec<u8>> {
    let most = fields.iter().map(|(name, value)| name.len() + 6 * value.len() + 6).sum::<usize>() + 2;
    let mut bytes = Zeroizing::new(Vec::with_capacity(most));
    let mut writer = serde_json::Serializer::new(&mut *bytes);
    let written = writer.collect_map(fields.iter().copied());
    debug_assert!(written.is_ok(), "text into memory");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn what_was_written_is_read_and_the_buffer_did_not_grow(value in ".*") {
            let fields: Fields<'_> = vec![("a", &value), ("b", "x y")];
            let form = encoded(&fields);
            let read: Vec<_> = form_urlencoded::parse(&form).collect();
            proptest::prop_assert_eq!(&read[0].1, &value);
            proptest::prop_assert_eq!(&read[1].1, "x y");
            let bytes = json(&fields);
            let read: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            proptest::prop_assert_eq!(read, serde_json::json!({ "a": value, "b": "x y" }));
            let most = 6 * (value.len() + 3) + 2 * 7 + 2;
            proptest::prop_assert!(bytes.capacity() <= most, "grew to {}", bytes.capacity());
        }
    }
}
