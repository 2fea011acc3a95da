//! A request without a body over HTTP/2 may say so at the end of its header, or by its length and an empty frame after it
//! (RFC 9113, section 8.1), as `httpx` does. Either way there is none.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::kit::TestVault;

/// One empty frame, of which nobody knows before.
struct Late(Option<Bytes>);

impl Body for Late {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|piece| Ok(Frame::data(piece))))
    }
}

async fn put_org(vault: &TestVault, length: &str, body: &'static str) -> u16 {
    let stream = tokio::net::UnixStream::connect(vault.socket()).await.expect("the daemon listens");
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("HTTP/2");
    tokio::spawn(connection);
    let request = hyper::Request::put("http://tokenkeep/v1/orgs/acme").header("content-length", length);
    let request = request.body(Late(Some(Bytes::from_static(body.as_bytes())))).expect("a request");
    sender.send_request(request).await.expect("an answer").status().as_u16()
}

#[test]
fn a_body_of_length_nought_is_none_and_another_is_refused() {
    let vault = TestVault::running();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    assert_eq!(runtime.block_on(put_org(&vault, "0", "")), 201);
    assert_eq!(runtime.block_on(put_org(&vault, "2", "{}")), 400);
}
