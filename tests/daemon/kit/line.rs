//! A way to a socket: the same stories are told over HTTP/1.1 and over HTTP/2.

use std::path::PathBuf;

use serde_json::Value;

use super::http::Wire;
use super::{Request, Response, TestVault, http2};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Http1,
    Http2,
}

#[derive(Debug, Clone)]
pub struct Line {
    pub protocol: Protocol,
    pub socket: PathBuf,
}

/// Tells a story over each protocol, to a vault of its own.
pub fn over_each_protocol(story: impl Fn(&TestVault, &Line)) {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let vault = TestVault::running();
        let line = Line { protocol, socket: vault.socket() };
        story(&vault, &line);
    }
}

impl Line {
    /// Sends a request; what every answer must carry is looked at here, once for all tests.
    pub fn send(&self, request: &Request) -> Response {
        let answer = match self.protocol {
            Protocol::Http1 => Wire::connect(&self.socket).and_then(|mut wire| wire.send(request)),
            Protocol::Http2 => Ok(http2::send(&self.socket, request)),
        };
        answer.expect("the daemon answers").well_kept()
    }

    pub fn get(&self, target: &str) -> Response {
        self.send(&Request::get(target))
    }

    pub fn put(&self, target: &str, json: &Value) -> Response {
        self.send(&Request::put(target, json))
    }

    pub fn post(&self, target: &str, json: &Value) -> Response {
        self.send(&Request::post(target, json))
    }

    pub fn delete(&self, target: &str) -> Response {
        self.send(&Request::delete(target))
    }
}
