//! An answer: its status and its body, in one buffer that is wiped when it goes.
//!
//! The body is read into a buffer of its announced length, so that no growth leaves a copy behind. What hyper hands over
//! is a piece of its own read buffer: that is wiped by whoever holds it last, which is hyper itself, before it reads
//! again ([`WipedIo`](crate::wiped_io::WipedIo)), or this, where hyper has gone on to another buffer.
//!
//! Never larger than the request allowed.

use crate::error::{Error, Transport};
use crate::problem::Problem;
use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Incoming};
use serde::de::DeserializeOwned;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use zeroize::{Zeroize, Zeroizing};

/// First buffer for a body of unannounced length.
const UNANNOUNCED: usize = 4096;

/// What the daemon answered, whatever the status.
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// Of `X-Request-Id`; empty where there is none.
    pub request_id: String,
    /// As it came.
    pub body: Zeroizing<Vec<u8>>,
}

/// Why a body could not be read.
pub(crate) enum Unread {
    Lost,
    TooLarge,
}

impl Response {
    pub(crate) async fn collect(answer: hyper::Response<Incoming>, limit: usize) -> Result<Self, Unread> {
        let status = answer.status().as_u16();
        let request_id =
            answer.headers().get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
        let request_id = request_id.to_owned();
        let body = read(answer.into_body(), limit).await?;
        Ok(Self { status, request_id, body })
    }

    /// The answer itself where it is a success; the problem it carries otherwise.
    ///
    /// # Errors
    /// Whose fault it is.
    pub fn success(self) -> Result<Self, Error> {
        if (200..300).contains(&self.status) {
            return Ok(self);
        }
        let problem = serde_json::from_slice(&self.body).unwrap_or_else(|_| self.bare_problem());
        Err(Error::from(problem))
    }

    /// Reads the shape of a success.
    ///
    /// # Errors
    /// Whose fault it is; a shape that cannot be read is [`Transport::Protocol`].
    pub fn read<T: DeserializeOwned>(self) -> Result<T, Error> {
        let answer = self.success()?;
        // The error of serde_json may quote the value it stumbled over, so it ends here.
        serde_json::from_slice(&answer.body)
            .map_err(|_| Transport::Protocol("the body has another shape").into())
    }

    /// Reads the text of a success.
    ///
    /// # Errors
    /// Whose fault it is; what is not UTF-8 is [`Transport::Protocol`].
    pub fn text(self) -> Result<String, Error> {
        let answer = self.success()?;
        let text = std::str::from_utf8(&answer.body);
        text.map(str::to_owned).map_err(|_| Transport::Protocol("the body is not UTF-8").into())
    }

    /// RFC 9457, section 4.2.1: `about:blank` says no more than the status. hyper answers so by itself
    /// where a request does not get as far as the daemon.
    fn bare_problem(&self) -> Problem {
        Problem {
            kind: "about:blank".into(),
            title: format!("HTTP status {}", self.status),
            status: self.status,
            code: String::new(),
            detail: format!("the daemon answered with status {} and no more", self.status),
            request_id: self.request_id.clone(),
            retry_after: None,
            reason: None,
            since: None,
        }
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Response({}, {} bytes)", self.status, self.body.len())
    }
}

async fn read(mut body: Incoming, limit: usize) -> Result<Zeroizing<Vec<u8>>, Unread> {
    let announced = body.size_hint().exact();
    let room = match announced.map(usize::try_from) {
        Some(Ok(length)) if length <= limit => length,
        Some(_) => return Err(Unread::TooLarge),
        None => UNANNOUNCED.min(limit),
    };
    let mut whole = Zeroizing::new(Vec::with_capacity(room));
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let Ok(data) = frame.map_err(|_| Unread::Lost)?.into_data() else { continue };
        let length = whole.len() + data.len();
        if length > limit {
            return Err(Unread::TooLarge);
        }
        if length > whole.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity((length * 2).min(limit)));
            larger.extend_from_slice(&whole);
            whole = larger;
        }
        whole.extend_from_slice(&data);
        drop(wiped(data));
    }
    Ok(whole)
}

/// A piece of hyper's buffer with zeros in it; none where hyper still has that buffer.
fn wiped(piece: Bytes) -> Option<BytesMut> {
    let mut last = piece.try_into_mut().ok()?;
    last.as_mut().zeroize();
    Some(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_wiped_by_whoever_holds_it_last() {
        let mut buffer = bytes::BytesMut::from(&b"canary"[..]);
        let (first, second) = (buffer.split_to(3).freeze(), buffer.freeze());
        let place = second.as_ptr();
        assert_eq!(wiped(first), None, "its buffer is still in use");
        let last = wiped(second).expect("nobody else holds it");
        assert_eq!((&last[..], last.as_ptr()), (&[0; 3][..], place), "in its place, not in a copy");
    }
}
