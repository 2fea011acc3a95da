//! Answers: one exact-size buffer that is wiped when the socket has taken it, and the fields all answers carry.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
    STRICT_TRANSPORT_SECURITY, WWW_AUTHENTICATE,
};
use hyper::{Response, StatusCode};
use serde::Serialize;
use tokenkeep_client::problem::Problem;
use tokenkeep_client::secret::WipedBytes;

use super::piece::Piece;
use super::pulse::InFlight;
use crate::digits::digits;
use crate::domain::pass::PassFault;
use crate::vault::refusal::Refusal;
use crate::vault::request_id::RequestId;

/// The body of an answer: one piece, wiped when it goes.
#[derive(Debug)]
pub struct AnswerBody {
    piece: Option<Piece>,
    usual: Usual,
    /// Goes with the body: the request is in flight until then.
    in_flight: Option<InFlight>,
}

/// The usual fields of an answer. They become header fields in [`finish`], in the map of the request's: no map is made
/// for an answer that has no others.
#[derive(Debug, Default)]
struct Usual {
    kind: Option<HeaderValue>,
    generation: Option<u64>,
}

impl Body for AnswerBody {
    type Data = Piece;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, Infallible>>> {
        Poll::Ready(self.get_mut().piece.take().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.piece.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.piece.as_ref().map_or(0, |piece| piece.remaining() as u64))
    }
}

/// An answer in the making.
pub type Answer = Response<AnswerBody>;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
/// OpenMetrics 1.0, section 10.1.
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// RFC 6797: on TLS alone, two years, as is usual for hosts that never speak anything else.
pub const STRICT_TRANSPORT: (&str, &str) =
    ("strict-transport-security", "max-age=63072000; includeSubDomains");

/// An answer without a body of its own.
#[must_use]
pub fn empty(status: StatusCode) -> Answer {
    with_body(status, None, None)
}

/// Bytes that may be secret.
#[must_use]
pub fn text(body: WipedBytes) -> Answer {
    with_body(StatusCode::OK, Some(TEXT), Some(Piece::bare(body)))
}

/// JSON that is written already and may be secret.
#[must_use]
pub fn json_bytes(body: WipedBytes) -> Answer {
    with_body(StatusCode::OK, Some(JSON), Some(Piece::json(body)))
}

/// The page of metrics.
#[must_use]
pub fn metrics(page: String) -> Answer {
    with_body(StatusCode::OK, Some(OPEN_METRICS), Some(Piece::open(Bytes::from(page))))
}

/// A shape of the contract.
#[must_use]
pub fn json(status: StatusCode, shape: &impl Serialize) -> Answer {
    let body = serde_json::to_vec(shape).unwrap_or_default();
    with_body(status, Some(JSON), Some(Piece::open(Bytes::from(body))))
}

/// The problem document of a refusal (RFC 9457). The one place where refusals become public.
#[must_use]
pub fn problem(refusal: &Refusal, request: RequestId) -> Answer {
    let status = StatusCode::from_u16(refusal.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = serde_json::to_vec(&document(refusal, request)).unwrap_or_default();
    let mut answer = with_body(status, Some(PROBLEM), Some(Piece::open(Bytes::from(body))));
    if let Some(seconds) = refusal.retry_after {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    let fault = refusal.reason.and_then(PassFault::of_reason);
    if let Some(challenge) = fault.and_then(PassFault::challenge) {
        answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    answer
}

/// The problem document of a refusal, as a shape.
#[must_use]
pub fn document(refusal: &Refusal, request: RequestId) -> Problem {
    Problem {
        kind: format!("urn:tokenkeep:problem:{}", refusal.code.as_str()),
        title: refusal.code.title().to_owned(),
        status: refusal.code.status(),
        code: refusal.code.as_str().to_owned(),
        detail: refusal.detail.clone().into_owned(),
        request_id: request.to_string(),
        retry_after: refusal.retry_after,
        reason: refusal.reason.map(str::to_owned),
        since: refusal.since,
    }
}

/// Adds the generation or version as entity tag.
#[must_use]
pub fn tagged(mut answer: Answer, generation: u64) -> Answer {
    answer.body_mut().usual.generation = Some(generation);
    answer
}

/// Adds the methods that the path takes.
#[must_use]
pub fn allowing(mut answer: Answer, methods: &str) -> Answer {
    if let Ok(methods) = HeaderValue::from_str(methods) {
        answer.headers_mut().insert(ALLOW, methods);
    }
    answer
}

/// Says that the connection ends after it.
#[must_use]
pub fn closing(mut answer: Answer) -> Answer {
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// Adds what every answer over TLS carries.
#[must_use]
pub fn strict(mut answer: Answer) -> Answer {
    const TWO_YEARS: HeaderValue = HeaderValue::from_static(STRICT_TRANSPORT.1);
    answer.headers_mut().insert(STRICT_TRANSPORT_SECURITY, TWO_YEARS);
    answer
}

/// Adds what every answer carries; the request is in flight until the body has gone. The fields are written into `spare`,
/// the map of the request's, which nobody needs any more.
#[must_use]
pub fn finish(mut answer: Answer, request: RequestId, in_flight: InFlight, mut spare: HeaderMap) -> Answer {
    spare.clear();
    let Usual { kind, generation } = std::mem::take(&mut answer.body_mut().usual);
    if let Some(kind) = kind {
        spare.insert(CONTENT_TYPE, kind);
    }
    if let Some(tag) = generation.and_then(entity_tag) {
        spare.insert(ETAG, tag);
    }
    spare.insert(CACHE_CONTROL, NO_STORE);
    if let Ok(id) = HeaderValue::from_str(request.as_str()) {
        spare.insert(X_REQUEST_ID, id);
    }
    let others = std::mem::replace(answer.headers_mut(), spare);
    if !others.is_empty() {
        answer.headers_mut().extend(others);
    }
    let body = answer.body_mut();
    body.piece = body.piece.take().map(|piece| piece.for_request(&in_flight));
    body.in_flight = Some(in_flight);
    answer
}

fn entity_tag(generation: u64) -> Option<HeaderValue> {
    let digits = digits(generation);
    let mut tag = Vec::with_capacity(digits.len() + 2);
    tag.push(b'"');
    tag.extend_from_slice(&digits);
    tag.push(b'"');
    // Of exact size: `Bytes` takes it over as it is.
    HeaderValue::from_maybe_shared(Bytes::from(tag)).ok()
}

fn with_body(status: StatusCode, kind: Option<HeaderValue>, piece: Option<Piece>) -> Answer {
    let usual = Usual { kind, generation: None };
    let mut answer = Response::new(AnswerBody { piece, usual, in_flight: None });
    *answer.status_mut() = status;
    answer
}
