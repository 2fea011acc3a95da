//! Rows, as they stand in the input: JSON lines and CSV give the same.
//!
//! Never opens anything: what is sealed is still sealed here.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use super::field::{Field, Names};
use super::wrong::Wrong;

/// A row: what stands in each field, null where nothing does.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    cells: Vec<Value>,
}

impl Row {
    /// With nothing in it.
    #[must_use]
    pub fn empty() -> Self {
        Self { cells: vec![Value::Null; Field::ALL.len()] }
    }

    /// Reads a line of JSON lines.
    ///
    /// # Errors
    /// It is not an object, has a field twice, or one that nobody asked for.
    pub fn parse_json(line: &[u8], names: &Names) -> Result<Self, Wrong> {
        let mut reader = serde_json::Deserializer::from_slice(line);
        let written = Object { names }.deserialize(&mut reader).and_then(|row| reader.end().map(|()| row));
        let written = written.map_err(|why| {
            Wrong::new("not_json", format!("the line is not a JSON object, near column {}", why.column()))
        })?;
        if written.repeated {
            return Err(Wrong::new("repeated_field", "a field stands in the row twice"));
        }
        if written.other && !names.ignores_others() {
            return Err(Wrong::new(
                "unknown_field",
                "the row has a field that no option names; --ignore-other-fields leaves such behind",
            ));
        }
        Ok(written.row)
    }

    /// What stands in a field; null where nothing does.
    #[must_use]
    pub fn cell(&self, field: Field) -> &Value {
        &self.cells[field as usize]
    }

    /// Puts a text into a field. An empty one is nothing: CSV does not tell them apart.
    pub fn put_text(&mut self, field: Field, text: &str) {
        self.cells[field as usize] = if text.is_empty() { Value::Null } else { Value::from(text) };
    }

    /// The text in a field; none where there is nothing.
    ///
    /// # Errors
    /// It is of another kind.
    pub fn text(&self, field: Field) -> Result<Option<&str>, Wrong> {
        match self.cell(field) {
            Value::Null => Ok(None),
            Value::String(text) if text.is_empty() => Ok(None),
            Value::String(text) => Ok(Some(text)),
            _ => Err(Wrong::kind(field.word(), "not a text")),
        }
    }

    /// The text in a field in which there must be one.
    ///
    /// # Errors
    /// It is missing, or of another kind.
    pub fn needed_text(&self, field: Field) -> Result<&str, Wrong> {
        self.text(field)?.ok_or_else(|| Wrong::missing(field.word()))
    }
}

/// A JSON object as it is written.
struct Written {
    row: Row,
    repeated: bool,
    other: bool,
}

/// Reads what is asked for and skips the rest unread.
struct Object<'a> {
    names: &'a Names,
}

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = Written;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Written, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = Written;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Written, A::Error> {
        let mut written = Written { row: Row::empty(), repeated: false, other: false };
        let mut seen = vec![false; Field::ALL.len()];
        while let Some(name) = map.next_key::<String>()? {
            let mut fields = self.names.fields(&name).peekable();
            if fields.peek().is_none() {
                written.other = true;
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let value: Value = map.next_value()?;
            for field in fields {
                written.repeated |= std::mem::replace(&mut seen[field as usize], true);
                written.row.cells[field as usize] = value.clone();
            }
        }
        Ok(written)
    }
}
