//! A request before it is sent: method, path and query, body, and whether it may be sent twice.
//!
//! A read may be sent again when its answer is lost; a write may not, because nobody knows whether it was
//! carried out. Identifiers stand in the path as they are: all of their characters are `pchar` (RFC 3986,
//! section 3.3). Values in the query are escaped.
//!
//! The body and the pass are wiped when the last copy of the request goes.

use crate::secret::Pass;
use bytes::Bytes;
use hyper::Method;
use hyper::header::HeaderValue;
use std::fmt;
use zeroize::Zeroizing;

/// Largest answer that is read: any page of a list.
const ANSWER: usize = 8 << 20;

const BEARER: &[u8] = b"Bearer ";

/// On what a write depends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// `If-None-Match: *`: only where there is nothing yet.
    Absent,
    /// Whatever is stored is replaced.
    Always,
    /// `If-Match: "7"`: only while this generation is the current one.
    Generation(u64),
}

/// A request to the daemon.
#[derive(Clone)]
pub struct Request {
    pub(crate) method: Method,
    pub(crate) target: String,
    pub(crate) body: Bytes,
    pub(crate) condition: Condition,
    /// `Authorization`; none where the pass is no text for a header field.
    pub(crate) authorization: Option<Option<HeaderValue>>,
    pub(crate) repeatable: bool,
    pub(crate) answer: usize,
}

impl Request {
    /// A read.
    #[must_use]
    pub fn get(path: impl Into<String>) -> Self {
        Self { repeatable: true, ..Self::new(Method::GET, path.into()) }
    }

    /// A write of this JSON.
    #[must_use]
    pub fn put(path: impl Into<String>, json: Zeroizing<Vec<u8>>) -> Self {
        Self::new(Method::PUT, path.into()).with_body(json)
    }

    /// An act, with this JSON.
    #[must_use]
    pub fn post(path: impl Into<String>, json: Zeroizing<Vec<u8>>) -> Self {
        Self::new(Method::POST, path.into()).with_body(json)
    }

    /// A deletion.
    #[must_use]
    pub fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path.into())
    }

    /// Adds a value to the query.
    #[must_use]
    pub fn with_query(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.target.push(if self.target.contains('?') { '&' } else { '?' });
        self.target.push_str(name);
        self.target.push('=');
        for byte in value.to_string().bytes() {
            // RFC 3986, section 2.3; `+` too, which some readers take for a space.
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                self.target.push(char::from(byte));
            } else {
                self.target.push_str(&format!("%{byte:02X}"));
            }
        }
        self
    }

    /// Adds a value to the query where there is one.
    #[must_use]
    pub fn with_query_if(self, name: &str, value: Option<impl fmt::Display>) -> Self {
        match value {
            Some(value) => self.with_query(name, value),
            None => self,
        }
    }

    /// Makes a write conditional.
    #[must_use]
    pub fn on(mut self, condition: Condition) -> Self {
        self.condition = condition;
        self
    }

    /// Shows a pass.
    #[must_use]
    pub fn with_pass(mut self, pass: &Pass) -> Self {
        self.authorization = Some(bearer(pass.expose()));
        self
    }

    /// Says that sending it twice does no more than sending it once.
    #[must_use]
    pub fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }

    /// Sets the largest answer that is read, in bytes.
    #[must_use]
    pub fn with_answer_up_to(mut self, bytes: usize) -> Self {
        self.answer = bytes;
        self
    }

    fn new(method: Method, target: String) -> Self {
        Self {
            method,
            target,
            body: Bytes::new(),
            condition: Condition::Always,
            authorization: None,
            repeatable: false,
            answer: ANSWER,
        }
    }

    fn with_body(mut self, json: Zeroizing<Vec<u8>>) -> Self {
        if !json.is_empty() {
            self.body = Bytes::from_owner(json);
        }
        self
    }
}

/// `Bearer`, and a token or a pass (RFC 6750, section 2.1): marked as sensitive, wiped when the last copy goes.
pub(crate) fn bearer(token: &str) -> Option<HeaderValue> {
    let mut text = Zeroizing::new(Vec::with_capacity(BEARER.len() + token.len()));
    text.extend_from_slice(BEARER);
    text.extend_from_slice(token.as_bytes());
    let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(text)).ok()?;
    value.set_sensitive(true);
    Some(value)
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} {}, {} bytes)", self.method, self.target, self.body.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_in_the_query_are_escaped() {
        let request =
            Request::get("/v1/orgs").with_query("after", "a+b&c=d é").with_query_if("limit", Some(5));
        assert_eq!(request.target, "/v1/orgs?after=a%2Bb%26c%3Dd%20%C3%A9&limit=5");
    }

    #[test]
    fn a_pass_is_sensitive_and_one_that_is_no_header_is_noticed() {
        let request = Request::get("/v1/orgs/acme").with_pass(&Pass::new("canary".into()));
        let shown = request.authorization.clone().flatten().expect("a header");
        assert_eq!(shown, "Bearer canary");
        assert!(shown.is_sensitive() && !format!("{request:?} {shown:?}").contains("canary"));
        let broken = Request::get("/v1/orgs/acme").with_pass(&Pass::new("a\r\nb: c".into()));
        assert_eq!(broken.authorization, Some(None));
    }

    #[test]
    fn debug_shows_no_body() {
        let request = Request::put("/v1/orgs/acme", Zeroizing::new(b"canary".to_vec()));
        assert_eq!(format!("{request:?}"), "Request(PUT /v1/orgs/acme, 6 bytes)");
    }
}
