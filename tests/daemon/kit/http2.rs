//! HTTP/2 with prior knowledge (RFC 9113, section 3.3), one connection a request.

use std::path::Path;

use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;

use super::{PATIENCE, Request, Response};

/// Sends a request over a connection of its own.
pub fn send(socket: &Path, request: &Request) -> Response {
    send_over(request, async { UnixStream::connect(socket).await.expect("the daemon listens") })
}

/// Sends a request over the connection that `connecting` makes.
pub fn send_over<S>(request: &Request, connecting: impl Future<Output = S>) -> Response
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let exchange =
        async { tokio::time::timeout(PATIENCE, async { exchange(connecting.await, request).await }).await };
    runtime.block_on(exchange).expect("an answer in time")
}

async fn exchange<S>(stream: S, request: &Request) -> Response
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.expect("HTTP/2");
    tokio::spawn(connection);
    let mut message =
        hyper::Request::builder().method(request.method).uri(format!("http://tokenkeep{}", request.target));
    for (name, value) in &request.headers {
        message = message.header(name, value);
    }
    let body = Full::new(bytes::Bytes::from(request.body.clone().unwrap_or_default()));
    let message = message.body(body).expect("a request");
    let answer = sender.send_request(message).await.expect("an answer");
    let (head, body) = answer.into_parts();
    let text = |value: &hyper::header::HeaderValue| value.to_str().expect("ASCII").to_owned();
    let headers = head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
    let body = body.collect().await.expect("the whole body").to_bytes().to_vec();
    Response { status: head.status.as_u16(), headers, body }
}
