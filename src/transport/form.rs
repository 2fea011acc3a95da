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
        let Some(accept) = parts.headers.get(ACCEPT) else { return Ok(Self::Json) };
        let accept = accept.to_str().unwrap_or_default();
        for range in accept.split(',') {
            match range.split(';').next().unwrap_or_default().trim() {
                "*/*" | "application/*" | "application/json" => return Ok(Self::Json),
                "text/*" | "text/plain" if carries == Carries::BareForm => return Ok(Self::Text),
                _ => {}
            }
        }
        let offered = match carries {
            Carries::BareForm => "this answer can be had as application/json or text/plain",
            Carries::Nothing | Carries::Tag => "this answer can be had as application/json",
        };
        Err(Refusal::new(Code::NotAcceptable, offered))
    }

    pub(super) fn answer(self, out: WipedBytes) -> Answer {
        match self {
            Self::Json => answer::json_bytes(out),
            Self::Text => answer::text(out),
        }
    }
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
