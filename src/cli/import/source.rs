//! The rows of an input, one after the other, in bounded memory, each with the line it begins on.
//!
//! The hard problem: the program before a pipe may die in the middle of a row, and what it wrote so far may look like
//! a whole one with fewer scopes. The answer: a row of CSV that does not end with its line is refused, and only a line feed
//! ends one: what stands before a bare carriage return is not taken for a row.
//!
//! Never holds more than one row.

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;

use super::field::{Field, Names};
use super::row::Row;
use super::wrong::Wrong;

/// Largest row: three tokens of 16 KiB, sealed, in hex, and what goes with them.
const ROW_MOST: usize = 512 << 10;
/// Bytes that are read at once.
const BLOCK: usize = 64 << 10;

/// Why an input cannot be read on.
#[derive(Debug)]
pub enum Unreadable {
    /// The header of a CSV lacks a column, or has one too many.
    Header(String),
    /// The kernel's.
    Io(io::ErrorKind),
    /// From this line on it is not CSV: a quote that does not end, most likely.
    Table(u64),
}

/// A row, or what is wrong with it, and its line, counted from 1.
pub type Numbered = (u64, Result<Row, Wrong>);

/// JSON lines, or CSV with a header.
pub enum Source<R: Read> {
    /// One object a line.
    Lines(Box<Lines<R>>),
    /// RFC 4180.
    Table(Box<Table<R>>),
}

impl<R: Read> Source<R> {
    /// JSON lines.
    pub fn lines(input: R, names: Names) -> Self {
        let input = BufReader::with_capacity(BLOCK, input);
        Self::Lines(Box::new(Lines { input, names, line: 0, buffer: Vec::new() }))
    }

    /// CSV.
    ///
    /// # Errors
    /// Its header cannot be used.
    pub fn table(input: R, names: Names) -> Result<Self, Unreadable> {
        Table::begin(input, names).map(|table| Self::Table(Box::new(table)))
    }

    /// The next row; none at the end.
    ///
    /// # Errors
    /// See [`Unreadable`].
    pub fn next_row(&mut self) -> Result<Option<Numbered>, Unreadable> {
        match self {
            Self::Lines(lines) => lines.next_row().map_err(|error| Unreadable::Io(error.kind())),
            Self::Table(table) => table.next_row(),
        }
    }
}

/// JSON lines.
pub struct Lines<R: Read> {
    input: BufReader<R>,
    names: Names,
    line: u64,
    buffer: Vec<u8>,
}

impl<R: Read> Lines<R> {
    fn next_row(&mut self) -> io::Result<Option<Numbered>> {
        loop {
            self.buffer.clear();
            let mut capped = (&mut self.input).take(ROW_MOST as u64 + 1);
            if capped.read_until(b'\n', &mut self.buffer)? == 0 {
                return Ok(None);
            }
            self.line += 1;
            let ended = self.buffer.last() == Some(&b'\n');
            if !ended && self.buffer.len() > ROW_MOST {
                self.input.skip_until(b'\n')?;
                let wrong = Wrong::new("too_long", format!("the line has more than {ROW_MOST} bytes"));
                return Ok(Some((self.line, Err(wrong))));
            }
            let mut text = self.buffer.trim_ascii();
            if self.line == 1 {
                text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
            }
            if !text.is_empty() {
                return Ok(Some((self.line, Row::parse_json(text, &self.names))));
            }
        }
    }
}

/// CSV with a header.
pub struct Table<R: Read> {
    reader: csv::Reader<Watched<R>>,
    seen: Rc<Seen>,
    /// The fields of each column.
    columns: Vec<Vec<Field>>,
    /// Read ahead: only the last one may lack its end.
    next: Option<Found>,
}

/// A record, and the line that the input has come to after it.
struct Found {
    record: csv::ByteRecord,
    after: u64,
    /// The input ended before it did: in a line, or in a quote.
    cut_off: bool,
}

impl Found {
    /// The line it begins on. The reader's own position is that of the empty lines before it.
    fn line(&self) -> u64 {
        let inside = self.record.as_slice().iter().filter(|byte| **byte == b'\n').count() as u64;
        self.after.saturating_sub(inside + u64::from(!self.cut_off))
    }
}

/// What the watch over an input has seen.
#[derive(Default)]
struct Seen {
    /// Bytes since the last row.
    bytes: Cell<usize>,
    /// Whether the end was asked for, as it is where a record has none of its own.
    ended: Cell<bool>,
    error: Cell<Option<io::ErrorKind>>,
}

/// An input that ends in an error where a row goes on for too long.
struct Watched<R> {
    input: R,
    seen: Rc<Seen>,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.seen.bytes.get() > ROW_MOST + BLOCK {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let count = self.input.read(buffer).inspect_err(|why| self.seen.error.set(Some(why.kind())))?;
        self.seen.bytes.set(self.seen.bytes.get() + count);
        self.seen.ended.set(count == 0);
        Ok(count)
    }
}

impl<R: Read> Table<R> {
    fn begin(input: R, names: Names) -> Result<Self, Unreadable> {
        let seen = Rc::new(Seen::default());
        let watched = Watched { input, seen: Rc::clone(&seen) };
        let reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .terminator(csv::Terminator::Any(b'\n'))
            .buffer_capacity(BLOCK)
            .from_reader(watched);
        let mut table = Self { reader, seen, columns: Vec::new(), next: None };
        let header = table.read_record()?;
        let header = header.ok_or_else(|| Unreadable::Header("there is no header".into()))?;
        table.columns = columns(&header.record, &names)?;
        table.next = table.read_record()?;
        Ok(table)
    }

    fn next_row(&mut self) -> Result<Option<Numbered>, Unreadable> {
        let Some(found) = self.next.take() else { return Ok(None) };
        self.next = self.read_record()?;
        let row = if found.cut_off {
            Err(Wrong::new(
                "cut_off",
                "the last line does not end: see whether the program before the pipe failed",
            ))
        } else {
            self.row(&found.record)
        };
        Ok(Some((found.line(), row)))
    }

    fn row(&self, record: &csv::ByteRecord) -> Result<Row, Wrong> {
        if record.len() != self.columns.len() {
            return Err(Wrong::new("columns", "the row has not as many columns as the header"));
        }
        let mut row = Row::empty();
        for (text, fields) in texts(record).zip(&self.columns) {
            for field in fields {
                let text = std::str::from_utf8(text).map_err(|_| Wrong::kind(field.word(), "not UTF-8"))?;
                row.put_text(*field, text);
            }
        }
        Ok(row)
    }

    fn read_record(&mut self) -> Result<Option<Found>, Unreadable> {
        let mut record = csv::ByteRecord::new();
        loop {
            let line = self.reader.position().line();
            let read = self.reader.read_byte_record(&mut record);
            self.seen.bytes.set(0);
            match read {
                Ok(true) if is_empty_line(&record) => {}
                Ok(true) => {
                    let (after, cut_off) = (self.reader.position().line(), self.seen.ended.get());
                    return Ok(Some(Found { record, after, cut_off }));
                }
                Ok(false) => return Ok(None),
                Err(_) => return Err(self.seen.error.get().map_or(Unreadable::Table(line), Unreadable::Io)),
            }
        }
    }
}

/// The texts of a row, without the carriage return before its line feed (RFC 4180, section 2).
fn texts(record: &csv::ByteRecord) -> impl Iterator<Item = &[u8]> {
    let last = record.len().saturating_sub(1);
    let bare = |text| <[u8]>::strip_suffix(text, b"\r").unwrap_or(text);
    record.iter().enumerate().map(move |(at, text)| if at == last { bare(text) } else { text })
}

/// Lines without anything but their ends are passed over, as the reader does where there is no carriage return.
fn is_empty_line(record: &csv::ByteRecord) -> bool {
    record.len() == 1 && record.get(0) == Some(b"\r")
}

/// The fields of each column of a header.
fn columns(header: &csv::ByteRecord, names: &Names) -> Result<Vec<Vec<Field>>, Unreadable> {
    let mut columns: Vec<Vec<Field>> = Vec::new();
    for (at, name) in texts(header).enumerate() {
        // A byte order mark, as spreadsheets write it.
        let name = if at == 0 { name.strip_prefix(b"\xef\xbb\xbf").unwrap_or(name) } else { name };
        let name = std::str::from_utf8(name).unwrap_or_default();
        let fields: Vec<Field> = names.fields(name).collect();
        let column = at + 1;
        if fields.is_empty() && !names.ignores_others() {
            return Err(Unreadable::Header(format!(
                "no option names column {column} of the header; --ignore-other-fields leaves such behind"
            )));
        }
        if fields.iter().any(|field| columns.iter().any(|others| others.contains(field))) {
            return Err(Unreadable::Header(format!("column {column} of the header has the name of another")));
        }
        columns.push(fields);
    }
    for field in Field::ALL {
        let wanted = names.needs(*field) || names.given(*field).is_some();
        if wanted && !columns.iter().any(|fields| fields.contains(field)) {
            let word = field.word().replace('_', "-");
            return Err(Unreadable::Header(format!(
                "the header has no column for {}; --{word}-field names it",
                field.word()
            )));
        }
    }
    Ok(columns)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, clippy::panic, reason = "tests")]
    use super::*;

    const HEADER: &str = "org,provider,name,access_token,scopes";

    fn lines(text: &str) -> Vec<(u64, bool)> {
        let mut source = Source::table(text.as_bytes(), Names::default()).expect("a header");
        let mut lines = Vec::new();
        while let Ok(Some((line, row))) = source.next_row() {
            lines.push((line, row.is_ok()));
        }
        lines
    }

    #[test]
    fn lines_end_with_or_without_a_carriage_return() {
        let plain = format!("{HEADER}\na,github,b,c,d\n\na,github,c,c,\"d\"\n");
        assert_eq!(lines(&plain), [(2, true), (4, true)]);
        assert_eq!(lines(&plain.replace('\n', "\r\n")), [(2, true), (4, true)]);
    }

    #[test]
    fn a_row_that_the_end_cuts_off_is_no_row() {
        let whole = format!("{HEADER}\na,github,b,c,\"repo\nuser\"\n");
        assert_eq!(lines(&whole), [(2, true)]);
        for short in 1..="repo\nuser\"\n".len() {
            let cut = &whole[..whole.len() - short];
            assert_eq!(lines(cut), [(2, false)], "{short} bytes are missing");
        }
    }

    #[test]
    fn what_stands_before_a_bare_carriage_return_is_no_row() {
        let text = format!("{HEADER}\na,github,b,c,repo\ruser\na,github,c,c,d\n");
        assert_eq!(lines(&text), [(2, true), (3, true)]);
        let mut source = Source::table(text.as_bytes(), Names::default()).expect("a header");
        let Ok(Some((2, Ok(row)))) = source.next_row() else { panic!("a row") };
        let scopes = row.text(Field::Scopes).expect("a text");
        assert_eq!(scopes, Some("repo\ruser"), "whole, for the rule of scopes to judge");
    }
}
