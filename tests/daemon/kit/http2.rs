//! HTTP/2 with prior knowledge (RFC 9113, section 3.3), over a connection that stays.

use std::path::Path;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio::runtime::Runtime;

use super::{PATIENCE, Request, Response};

/// A connection that stays.
pub struct Session {
    runtime: Runtime,
    sender: SendRequest<Full<Bytes>>,
}

impl Session {
    /// Over the connection that `connecting` makes.
    pub fn over<S>(connecting: impl Future<Output = S>) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let handshake = async {
            let stream = TokioIo::new(connecting.await);
            let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.expect("HTTP/2");
            tokio::spawn(connection);
            sender
        };
        let sender = runtime.block_on(async { tokio::time::timeout(PATIENCE, handshake).await });
        Self { sender: sender.expect("a connection in time"), runtime }
    }

    /// Over a Unix socket.
    pub fn at(socket: &Path) -> Self {
        Self::over(async { UnixStream::connect(socket).await.expect("the daemon listens") })
    }

    pub fn send(&mut self, request: &Request) -> Response {
        let exchange = exchange(&mut self.sender, request);
        let answer = self.runtime.block_on(async { tokio::time::timeout(PATIENCE, exchange).await });
        answer.expect("an answer in time")
    }
}

async fn exchange(sender: &mut SendRequest<Full<Bytes>>, request: &Request) -> Response {
    let mut message =
        hyper::Request::builder().method(request.method).uri(format!("http://tokenkeep{}", request.target));
    for (name, value) in &request.headers {
        message = message.header(name, value);
    }
    let body = Full::new(Bytes::from(request.body.clone().unwrap_or_default()));
    let message = message.body(body).expect("a request");
    let answer = sender.send_request(message).await.expect("an answer");
    let (head, body) = answer.into_parts();
    let text = |value: &hyper::header::HeaderValue| value.to_str().expect("ASCII").to_owned();
    let headers = head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
    let body = body.collect().await.expect("the whole body").to_bytes().to_vec();
    Response { status: head.status.as_u16(), headers, body }
}
