//! Bodies of requests: refused before they are read where they are too large, read into wiped memory,
//! parsed without repeating what stands in them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use hyper::http::request::Parts;
use serde::de::DeserializeOwned;
use tokenkeep_client::problem::Code;
use zeroize::Zeroizing;

use crate::vault::refusal::Refusal;

/// The contract: bodies over 64 KiB are refused.
pub const LIMIT: usize = 64 * 1024;
/// The contract: a batch may have 8 MiB.
pub const BATCH_LIMIT: usize = 8 * 1024 * 1024;
/// A secret of 64 KiB in which every byte is escaped once, and its labels.
pub const SECRET_LIMIT: usize = 2 * LIMIT + 32 * 1024;

/// Reads a JSON body into its shape; `unread` tells whether all of it was taken off the line.
///
/// # Errors
/// `unsupported_media_type`, `too_large`, `invalid_request`.
pub async fn json<T: DeserializeOwned>(
    parts: &Parts,
    body: Incoming,
    limit: usize,
    deadline: Duration,
    unread: &AtomicBool,
) -> Result<T, Refusal> {
    if !is_json(parts) {
        return Err(Refusal::new(Code::UnsupportedMediaType, "the body must be application/json"));
    }
    if parts.headers.contains_key(CONTENT_ENCODING) {
        return Err(Refusal::new(Code::UnsupportedMediaType, "the body comes without a Content-Encoding"));
    }
    let bytes = read(parts, body, limit, deadline).await?;
    unread.store(false, Ordering::Relaxed);
    // serde takes an array for a struct too, field by field: a token would be what happens to come first.
    if bytes.trim_ascii_start().first().is_some_and(|first| *first == b'[') {
        return Err(Refusal::invalid("the body is a JSON object, not an array"));
    }
    serde_json::from_slice(&bytes).map_err(|why| {
        // The error's own text may repeat the input: only its place and kind are told.
        let what = match why.classify() {
            serde_json::error::Category::Data => "has a field that is missing, unknown or of the wrong type",
            serde_json::error::Category::Eof => "ends too early",
            serde_json::error::Category::Io | serde_json::error::Category::Syntax => "is not JSON",
        };
        Refusal::invalid(format!("the body {what}, near line {} column {}", why.line(), why.column()))
    })
}

/// Refuses a body where none belongs. Some clients of HTTP/2 say that there is none by its length, and end the stream after.
///
/// # Errors
/// `invalid_request`.
pub fn none(body: &Incoming) -> Result<(), Refusal> {
    use hyper::body::Body;
    let is_empty = body.is_end_stream() || body.size_hint().exact() == Some(0);
    if is_empty { Ok(()) } else { Err(Refusal::invalid("this request takes no body")) }
}

async fn read(
    parts: &Parts,
    body: Incoming,
    limit: usize,
    deadline: Duration,
) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let announced = parts.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let announced: Option<usize> = announced.and_then(|text| text.parse().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large(limit));
    }
    match tokio::time::timeout(deadline, collect(body, announced.unwrap_or(4096), limit)).await {
        Ok(read) => read,
        Err(_) => Err(Refusal::invalid("the body did not come in time")),
    }
}

async fn collect(mut body: Incoming, expected: usize, limit: usize) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(expected));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Refusal::invalid("the body broke off"))?;
        let Ok(piece) = frame.into_data() else { continue };
        if bytes.len() + piece.len() > limit {
            return Err(too_large(limit));
        }
        if bytes.len() + piece.len() > bytes.capacity() {
            // Moved by hand: a vector that grows by itself leaves what it held behind.
            let mut larger =
                Zeroizing::new(Vec::with_capacity((2 * bytes.capacity()).max(bytes.len() + piece.len())));
            larger.extend_from_slice(&bytes);
            bytes = larger;
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

fn too_large(limit: usize) -> Refusal {
    Refusal::new(Code::TooLarge, format!("a body of this request has at most {limit} bytes"))
}

fn is_json(parts: &Parts) -> bool {
    let kind = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.map(|text| text.split(';').next().unwrap_or_default().trim());
    kind.is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"))
}
