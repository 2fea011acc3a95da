//! Rows of an import: what a database, a spreadsheet or a broken pipe may hand in.
//!
//! Never lets the two forms of an input differ in what they say.

use std::io::Read;

use serde_json::Value;
use tokenkeep::cli::import::ciphertext;
use tokenkeep::cli::import::field::{Field, Names};
use tokenkeep::cli::import::item;
use tokenkeep::cli::import::plain::{self, Others};
use tokenkeep::cli::import::row::Row;
use tokenkeep::cli::import::source::Source;
use tokenkeep::cli::import::when::{self, Zoneless};
use tokenkeep::crypto::key_list::RootKeys;
use tokenkeep::crypto::multi_fernet;
use tokenkeep_client::moment::Moment;

use crate::KEY;

/// Rows have lines that only grow, whatever the pieces in which they come; each opens, or is refused by a word.
pub fn import_rows(data: &[u8]) {
    let Some((form, input)) = data.split_first() else { return };
    let whole = rows(*form, input);
    assert_eq!(rows(*form, Pieces(input)), whole, "it depends on the pieces");
    let lines: Vec<u64> = whole.iter().map(|(line, _)| *line).collect();
    assert!(lines.is_sorted_by(|one, next| one < next), "{lines:?}");
    let keys = RootKeys::parse(KEY.as_bytes()).expect("a list");
    for row in whole.iter().filter_map(|(_, row)| row.as_ref()) {
        let Ok(owner) = item::owner(row, &Names::default()) else { continue };
        if let Ok(opened) = item::opened(row, owner, &Names::default(), &keys) {
            assert!(opened.keys.len() <= 3 && !opened.keys.is_empty());
        }
    }
}

fn rows(form: u8, input: impl Read) -> Vec<(u64, Option<Row>)> {
    let source = if form.is_multiple_of(2) {
        Ok(Source::lines(input, Names::default()))
    } else {
        Source::table(input, Names::default())
    };
    let Ok(mut source) = source else { return Vec::new() };
    let mut rows = Vec::new();
    while let Ok(Some((line, row))) = source.next_row() {
        rows.push((line, row.ok()));
    }
    rows
}

/// Gives one byte at a time.
struct Pieces<'a>(&'a [u8]);

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let one = buffer.len().min(1);
        self.0.read(&mut buffer[..one])
    }
}

/// The text of one field, as whatever it might be: a moment that was read is read again as it is written.
pub fn import_field(data: &[u8]) {
    let set = plain::token_set(data, Others::Ignored);
    assert!(set.is_ok() || plain::token_set(data, Others::Refused).is_err());
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(token) = plain::token(data, Field::AccessToken) {
        assert_eq!(token, text);
    }
    if let Ok(token) = ciphertext::token(text, "access_token") {
        let keys = RootKeys::parse(KEY.as_bytes()).expect("a list");
        assert!(multi_fernet::open(&keys, &token).is_err(), "nobody forges a token");
    }
    let value = Value::from(text);
    if let Ok(at) = when::moment(&value, Zoneless::Utc, "expires_at") {
        assert_eq!(Moment::parse(&at.to_string()), Some(at));
        let refused = when::moment(&value, Zoneless::Refused, "expires_at");
        assert!(refused.is_err() || refused == Ok(at));
    }
    drop(when::span(&value));
}
