//! The form of an answer: JSON, or the bare value where there is one (RFC 9110, section 12.5.1).

use hyper::header::ACCEPT;
use hyper::http::request::Parts;
use tokenkeep_client::problem::Code;
use tokenkeep_client::secret::WipedBytes;

use super::answer::{self, Answer};
use super::operation::Carries;
use crate::vault::refusal::Refusal;

/// The form of an answer that has a bare one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Text,
}

impl Form {
    pub(super) fn wanted(parts: &Parts, carries: Carries) -> Result<Self, Refusal> {
        if !parts.headers.contains_key(ACCEPT) {
            return Ok(Self::Json);
        }
        let lines = parts.headers.get_all(ACCEPT).iter().filter_map(|line| line.to_str().ok());
        let ranges: Vec<Range<'_>> = lines.flat_map(|line| line.split(',')).map(Range::read).collect();
        let (offered, told): (&[Self], _) = match carries {
            Carries::BareForm => {
                (&[Self::Text, Self::Json], "this answer can be had as application/json or text/plain")
            }
            Carries::Nothing | Carries::Tag => (&[Self::Json], "this answer can be had as application/json"),
        };
        // Of two that are wanted alike, the one whose range says more, of those the one that was named first, and JSON, which
        // comes last, where one range names both.
        let wanted = offered.iter().filter_map(|form| Some((*form, form.asked_for(&ranges)?)));
        let best = wanted.max_by(|(_, one), (_, other)| {
            let by_weight = one.weight.total_cmp(&other.weight);
            by_weight.then(one.precision.cmp(&other.precision)).then(other.place.cmp(&one.place))
        });
        best.map(|(form, _)| form).ok_or_else(|| Refusal::new(Code::NotAcceptable, told))
    }

    /// How much it is wanted: what the range says that says most of it. None: not at all.
    fn asked_for(self, ranges: &[Range<'_>]) -> Option<Asked> {
        let kinds = match self {
            Self::Json => ["*/*", "application/*", "application/json"],
            Self::Text => ["*/*", "text/*", "text/plain"],
        };
        let of_kind = |kind: &str| ranges.iter().position(|range| range.kind.eq_ignore_ascii_case(kind));
        let (precision, place) =
            kinds.iter().enumerate().rev().find_map(|(precision, kind)| Some((precision, of_kind(kind)?)))?;
        let weight = ranges.get(place)?.weight;
        (weight > 0.0).then_some(Asked { weight, precision, place })
    }

    pub(super) fn answer(self, out: WipedBytes) -> Answer {
        match self {
            Self::Json => answer::json_bytes(out),
            Self::Text => answer::text(out),
        }
    }
}

/// A range of media types that a caller takes.
struct Range<'a> {
    kind: &'a str,
    /// 0 to 1; 0: not taken.
    weight: f32,
}

impl<'a> Range<'a> {
    fn read(text: &'a str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| {
            let (name, value) = part.split_once('=')?;
            name.trim().eq_ignore_ascii_case("q").then(|| value.trim().parse().ok()).flatten()
        });
        Self { kind, weight: weight.unwrap_or(1.0) }
    }
}

/// How a form was asked for.
struct Asked {
    weight: f32,
    /// How much of it the range says: 0 nothing, 2 all.
    precision: usize,
    /// Of the range among all.
    place: usize,
}

/// Writes UTF-8 as a JSON string into a buffer that has room for twice its length.
pub(super) fn write_json_text(out: &mut WipedBytes, text: &[u8]) {
    let text = std::str::from_utf8(text).unwrap_or_default();
    let needed = text.len() + text.bytes().filter(|b| *b < 0x20 || matches!(b, b'"' | b'\\')).count() * 5 + 2;
    let mut quoted = WipedBytes::with_capacity(needed);
    if serde_json::to_writer(&mut *quoted, text).is_ok() {
        if out.capacity() - out.len() < quoted.len() + 128 {
            let mut larger = WipedBytes::with_capacity(out.len() + quoted.len() + 128);
            larger.extend_from_slice(out);
            *out = larger;
        }
        out.extend_from_slice(&quoted);
    }
}
