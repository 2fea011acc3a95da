//! One HTTP request to one named endpoint, and its answer: how secret managers are asked.
//!
//! The hard problem: whoever answers at boot decides which keys the vault has, and may also stall, redirect or
//! flood. The answer: one [door](door::Door) out; TLS against named roots; a deadline on every step and on the whole; a
//! cap on the answer; no redirect followed, no proxy taken from the environment, no connection kept.
//!
//! Blocks: called from threads of their own, never from an async task. The runtime is made for one exchange and
//! goes with it.
//!
//! Never retries, and never repeats a byte of what was sent or received in an error. What is sent and the body of
//! what is received lie in wiped memory; the buffers of rustls and hyper between are wiped while the exchange goes on
//! ([`WipedIo`](super::wiped_io::WipedIo)) and when it frees them, which is when it ends.

pub mod door;
pub mod endpoint;
mod error;
mod exchange;
pub mod identity;
pub mod roots;

use std::time::{Duration, Instant};

use zeroize::Zeroizing;

pub use door::Door;
pub use endpoint::Endpoint;
pub use error::OutboundError;
pub use identity::Identity;
pub use roots::Roots;

use crate::os::fault_points;

/// How long an exchange may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// Name, connection and TLS together.
    pub connect: Duration,
    /// All of it.
    pub whole: Duration,
}

impl Deadlines {
    /// A service somewhere on the network: far beyond what one that is well takes.
    pub const REMOTE: Self = Self { connect: Duration::from_secs(5), whole: Duration::from_secs(15) };

    /// A service on this host or its hypervisor: what is not there at once is not there at all (the AWS SDKs
    /// give it one second too).
    pub const LINK_LOCAL: Self = Self { connect: Duration::from_secs(1), whole: Duration::from_secs(5) };
}

/// What is asked.
pub struct Request {
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, Zeroizing<String>)>,
    body: Zeroizing<Vec<u8>>,
    identity: Option<Identity>,
}

impl Request {
    /// A request without a body. `path` begins with `/` and may have a query; it follows the endpoint's own.
    #[must_use]
    pub fn new(method: &'static str, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), headers: Vec::new(), body: Zeroizing::default(), identity: None }
    }

    /// With this body.
    #[must_use]
    pub fn with_body(mut self, content_type: &str, body: Zeroizing<Vec<u8>>) -> Self {
        self.body = body;
        self.with_header("content-type", Zeroizing::new(content_type.to_owned()))
    }

    /// With this header; its name is in lower case, and its value is taken for a secret.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: Zeroizing<String>) -> Self {
        self.headers.push((name, value));
        self
    }

    /// With this certificate, where the server asks for one.
    #[must_use]
    pub fn with_identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Method, path and query, for signing.
    #[must_use]
    pub fn target(&self) -> (&'static str, &str) {
        (self.method, &self.path)
    }

    /// The headers so far, for signing.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        self.headers.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// The body, for signing.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

/// What was answered, a redirect included.
pub struct Answer {
    /// The status.
    pub status: u16,
    /// `Retry-After`, where it is a span (RFC 9110, section 10.2.3).
    pub retry_after: Option<Duration>,
    /// `ETag`, as it was sent (RFC 9110, section 8.8.3).
    pub etag: Option<String>,
    /// The body, whole.
    pub body: Zeroizing<Vec<u8>>,
}

impl Door {
    /// Asks once. An answer of any status is an answer.
    ///
    /// # Errors
    /// See [`OutboundError`].
    pub fn exchange(
        &self,
        endpoint: &Endpoint,
        roots: &Roots,
        mut request: Request,
        most: usize,
        deadlines: Deadlines,
    ) -> Result<Answer, OutboundError> {
        let identity = request.identity.take();
        let tls = if endpoint.is_tls() { Some(roots::client(roots, identity)?) } else { None };
        let ends = Instant::now() + deadlines.whole;
        let connected = ends.min(Instant::now() + deadlines.connect);
        let stream = self.connect(endpoint.destination(), connected).map_err(OutboundError::Unconnected)?;
        fault_points::reach("request/connected");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|why| OutboundError::Host(why.to_string()))?;
        let deadlines = (connected.into(), ends.into());
        runtime.block_on(exchange::over(stream, endpoint, tls, request, most, deadlines))
    }
}

#[cfg(test)]
mod tests;
