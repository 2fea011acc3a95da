//! Requests and responses, and HTTP/1.1 by hand: so that bytes can be sent that no client library would.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;
use tokenkeep_client::problem::Problem;

use super::PATIENCE;

#[derive(Debug, Clone)]
pub struct Request {
    pub method: &'static str,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<Vec<u8>>,
}

impl Request {
    pub fn new(method: &'static str, target: impl Into<String>) -> Self {
        Self { method, target: target.into(), headers: Vec::new(), body: None }
    }

    pub fn get(target: impl Into<String>) -> Self {
        Self::new("GET", target)
    }

    pub fn delete(target: impl Into<String>) -> Self {
        Self::new("DELETE", target)
    }

    /// PUT of JSON.
    pub fn put(target: impl Into<String>, json: &Value) -> Self {
        Self::new("PUT", target).json(json.to_string())
    }

    /// POST of JSON.
    pub fn post(target: impl Into<String>, json: &Value) -> Self {
        Self::new("POST", target).json(json.to_string())
    }

    /// With a body that says it is JSON.
    pub fn json(self, text: impl Into<Vec<u8>>) -> Self {
        self.with("content-type", "application/json").body(text)
    }

    pub fn body(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.body = Some(bytes.into());
        self
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// As it goes over an HTTP/1.1 connection.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes =
            format!("{} {} HTTP/1.1\r\nhost: tokenkeep\r\n", self.method, self.target).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        if let Some(body) = &self.body {
            bytes.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(self.body.as_deref().unwrap_or_default());
        bytes
    }
}

#[derive(Debug, Clone)]
pub struct Response {
    pub status: u16,
    /// Lower-case names.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }

    /// The JSON of a success.
    pub fn json(&self) -> Value {
        assert!(self.status < 300, "{}", self.shown());
        assert_eq!(self.header("content-type"), Some("application/json"), "{}", self.shown());
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// A success with this status.
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.shown());
        self
    }

    /// The problem document, whole and in agreement with the header (RFC 9457; the contract).
    pub fn problem(&self) -> Problem {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.shown());
        let problem: Problem = serde_json::from_slice(&self.body).expect("a problem document");
        assert_eq!(problem.status, self.status);
        assert_eq!(problem.kind, format!("urn:tokenkeep:problem:{}", problem.code));
        assert_eq!(self.header("x-request-id"), Some(problem.request_id.as_str()));
        assert_eq!(
            self.header("retry-after"),
            problem.retry_after.map(|seconds| seconds.to_string()).as_deref()
        );
        assert!(!problem.title.is_empty() && !problem.detail.is_empty());
        problem
    }

    /// Refused with this code.
    pub fn refused(self, status: u16, code: &str) -> Problem {
        assert_eq!(self.status, status, "{}", self.shown());
        let problem = self.problem();
        assert_eq!(problem.code, code, "{}", self.shown());
        problem
    }

    /// What every answer carries, whatever it says.
    pub fn well_kept(self) -> Self {
        assert_eq!(self.header("cache-control"), Some("no-store"), "{}", self.shown());
        let id = self.header("x-request-id").unwrap_or_default();
        assert!(id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{}", self.shown());
        self
    }

    pub fn shown(&self) -> String {
        format!("{} {:?} {}", self.status, self.headers, String::from_utf8_lossy(&self.body))
    }

    /// Head and body in one, to look for bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{:?}", self.headers).into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// What a connection is made of.
pub trait Stream: Read + Write + Send {
    fn set_nonblocking(&self, on: bool) -> io::Result<()>;
    /// No more will be written.
    fn finish(&mut self);
}

impl Stream for UnixStream {
    fn set_nonblocking(&self, on: bool) -> io::Result<()> {
        Self::set_nonblocking(self, on)
    }

    fn finish(&mut self) {
        // The daemon may have closed already.
        let _ = self.shutdown(std::net::Shutdown::Write);
    }
}

/// A connection on which bytes are sent as they are.
pub struct Wire {
    stream: Box<dyn Stream>,
    unread: Vec<u8>,
}

impl Wire {
    pub fn connect(socket: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self::over(stream))
    }

    pub fn over(stream: impl Stream + 'static) -> Self {
        Self { stream: Box::new(stream), unread: Vec::new() }
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// Sends a request and reads its answer.
    pub fn send(&mut self, request: &Request) -> io::Result<Response> {
        // A daemon that refuses before it has read everything answers and hangs up: the answer counts.
        let written = self.write(&request.bytes());
        self.read_response()?.ok_or_else(|| written.err().unwrap_or(io::ErrorKind::UnexpectedEof.into()))
    }

    /// The next answer; none where the daemon hung up first.
    pub fn read_response(&mut self) -> io::Result<Option<Response>> {
        let end = loop {
            if let Some(at) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                break at;
            }
            if !self.read_more()? {
                assert!(self.unread.is_empty(), "half an answer: {}", String::from_utf8_lossy(&self.unread));
                return Ok(None);
            }
        };
        let head = String::from_utf8(self.unread[..end].to_vec()).expect("an ASCII head");
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")).expect("a status line");
        let status = status[..3].parse().expect("a status");
        let headers: Vec<(String, String)> = lines
            .map(|line| line.split_once(": ").expect("a header field"))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let length = length.map_or(0, |(_, value)| value.parse().expect("a length"));
        while self.unread.len() < end + 4 + length {
            assert!(self.read_more()?, "half a body");
        }
        let body = self.unread[end + 4..end + 4 + length].to_vec();
        self.unread.drain(..end + 4 + length);
        Ok(Some(Response { status, headers, body }))
    }

    /// Everything up to the end of the connection.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        while self.read_more().unwrap_or(false) {}
        std::mem::take(&mut self.unread)
    }

    /// Whether the daemon has closed the connection.
    pub fn is_closed(&mut self) -> bool {
        self.stream.set_nonblocking(true).expect("non-blocking");
        let more = self.read_more();
        self.stream.set_nonblocking(false).expect("blocking");
        match more {
            Ok(more) => !more,
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        }
    }

    /// No more will be written.
    pub fn finish(&mut self) {
        self.stream.finish();
    }

    fn read_more(&mut self) -> io::Result<bool> {
        let mut piece = [0; 8192];
        let read = loop {
            match self.stream.read(&mut piece) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.unread.extend_from_slice(&piece[..read]);
        Ok(read > 0)
    }
}
