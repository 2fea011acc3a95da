//! HTTP/2 with prior knowledge (RFC 9113, section 3.3), over a connection for many requests.

use std::path::Path;
use std::pin::Pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio::runtime::Runtime;

use super::{PATIENCE, Request, Response};

type Sender = SendRequest<Full<Bytes>>;
type Connecting = Pin<Box<dyn Future<Output = Sender> + Send>>;

/// A connection that is made anew where the daemon has ended it: it ends those that rest.
pub struct Session {
    runtime: Runtime,
    connect: Box<dyn Fn() -> Connecting + Send>,
    sender: Sender,
    used: Instant,
}

/// Shorter than a connection that rests is kept.
const RESTS: Duration = Duration::from_secs(1);

impl Session {
    /// Over the connections that `connect` makes.
    pub fn over<S, C>(connect: impl Fn() -> C + Send + 'static) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        C: Future<Output = S> + Send + 'static,
    {
        let connect = move || -> Connecting {
            let connecting = connect();
            Box::pin(async {
                let stream = TokioIo::new(connecting.await);
                let (sender, connection) =
                    http2::handshake(TokioExecutor::new(), stream).await.expect("HTTP/2");
                tokio::spawn(connection);
                sender
            })
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let sender = in_time(&runtime, connect());
        Self { runtime, connect: Box::new(connect), sender, used: Instant::now() }
    }

    /// Over a Unix socket.
    pub fn at(socket: &Path) -> Self {
        let socket = socket.to_owned();
        Self::over(move || {
            let socket = socket.clone();
            async { UnixStream::connect(socket).await.expect("the daemon listens") }
        })
    }

    pub fn send(&mut self, request: &Request) -> Response {
        if self.used.elapsed() > RESTS {
            self.sender = in_time(&self.runtime, (self.connect)());
        }
        let answer = in_time(&self.runtime, exchange(&mut self.sender, request));
        let answer = answer.or_else(|_| {
            self.sender = in_time(&self.runtime, (self.connect)());
            in_time(&self.runtime, exchange(&mut self.sender, request))
        });
        self.used = Instant::now();
        answer.expect("an answer over a new connection")
    }
}

fn in_time<T>(runtime: &Runtime, task: impl Future<Output = T>) -> T {
    runtime.block_on(async { tokio::time::timeout(PATIENCE, task).await }).expect("in time")
}

/// An error is of a request that was not answered: this client looks at its connection only when it sends, and learns late
/// that the daemon has ended it.
async fn exchange(sender: &mut Sender, request: &Request) -> Result<Response, hyper::Error> {
    let mut message =
        hyper::Request::builder().method(request.method).uri(format!("http://tokenkeep{}", request.target));
    for (name, value) in &request.headers {
        message = message.header(name, value);
    }
    let body = Full::new(Bytes::from(request.body.clone().unwrap_or_default()));
    let message = message.body(body).expect("a request");
    let answer = sender.send_request(message).await?;
    let (head, body) = answer.into_parts();
    let text = |value: &hyper::header::HeaderValue| value.to_str().expect("ASCII").to_owned();
    let headers = head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
    let body = body.collect().await.expect("the whole body").to_bytes().to_vec();
    Ok(Response { status: head.status.as_u16(), headers, body })
}
