//! SIGTERM: who is in is answered, nobody else comes in, and a second signal ends the wait.

use std::convert::Infallible;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use nix::sys::signal::Signal;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::kit::http::Wire;
use crate::kit::{Configuration, PATIENCE, Request, TestVault, poll};

const BODY: &str = r#"{"access_token":"at-slow","expires_in":3600}"#;
const PUT: &str = "/v1/orgs/acme/connections/github/slow";

fn vault(limits: &'static str) -> TestVault {
    let vault = TestVault::with(Configuration { limits, ..Configuration::default() });
    vault.create_org("acme");
    vault
}

/// A request whose body is only half there.
fn half(vault: &TestVault) -> (Wire, Vec<u8>) {
    let mut bytes = Request::put(PUT, &serde_json::from_str(BODY).unwrap()).bytes();
    let rest = bytes.split_off(bytes.len() - 20);
    let mut wire = Wire::connect(&vault.socket()).unwrap();
    // So that the daemon is known to have taken the connection and to be in the next request.
    wire.send(&Request::get("/healthz")).unwrap().is(200);
    wire.write(&bytes).unwrap();
    (wire, rest)
}

fn until_nobody_is_let_in(vault: &TestVault) {
    poll("new connections to be refused", || UnixStream::connect(vault.socket()).err());
}

#[test]
fn a_request_in_flight_is_answered_an_idle_connection_is_closed_and_nobody_is_let_in() {
    let mut vault = vault("body_deadline = \"60s\"");
    let (mut slow, rest) = half(&vault);
    let mut idle = Wire::connect(&vault.socket()).unwrap();
    idle.send(&Request::get("/healthz")).unwrap().is(200);
    vault.signal(Signal::SIGTERM);
    until_nobody_is_let_in(&vault);
    assert!(idle.read_response().unwrap().is_none(), "closed, and nothing half said");
    slow.write(&rest).unwrap();
    let answer = slow.read_response().unwrap().expect("an answer").is(201);
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(slow.read_response().unwrap().is_none());
    assert_eq!(vault.wait().code, Some(0));
    assert!(!vault.socket().exists() && !vault.admin_socket().exists());
    vault.start();
    assert_eq!(vault.access_token("acme", "github/slow"), "at-slow");
    vault.audit_is_intact();
}

/// A body that comes as it is sent.
struct Slow(UnboundedReceiver<&'static str>);

impl Body for Slow {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|part| part.map(|part| Ok(Frame::data(Bytes::from_static(part.as_bytes())))))
    }
}

#[test]
fn over_http2_open_streams_end_well_and_then_the_connection_is_taken_down() {
    let mut vault = vault("body_deadline = \"60s\"");
    // Keeps the daemon in its drain, so that the end of the other connection is not the end of the process.
    let (mut slow, rest) = half(&vault);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let socket = tokio::net::UnixStream::connect(vault.socket()).await.unwrap();
        let (mut sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await.unwrap();
        let connection = tokio::spawn(connection);
        let (frames, body) = unbounded_channel();
        let target = format!("http://tokenkeep{PUT}-2");
        let request = hyper::Request::put(target).header("content-type", "application/json");
        let answer = tokio::spawn(sender.send_request(request.body(Slow(body)).unwrap()));
        let (begin, end) = BODY.split_at(20);
        frames.send(begin).unwrap();
        // A second stream has its answer: the first one, sent before, is in flight.
        let health = hyper::Request::get("http://tokenkeep/healthz").body(Slow(unbounded_channel().1));
        assert_eq!(sender.send_request(health.unwrap()).await.unwrap().status(), 200);
        vault.signal(Signal::SIGTERM);
        until_nobody_is_let_in(&vault);
        frames.send(end).unwrap();
        drop(frames);
        let answer = tokio::time::timeout(PATIENCE, answer).await.unwrap().unwrap().unwrap();
        assert_eq!(answer.status(), 201);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert!(String::from_utf8_lossy(&body).contains("\"generation\":1"));
        tokio::time::timeout(PATIENCE, connection).await.unwrap().unwrap().unwrap();
        assert!(sender.is_closed());
    });
    slow.write(&rest).unwrap();
    slow.read_response().unwrap().expect("an answer").is(201);
    assert_eq!(vault.wait().code, Some(0));
}

#[test]
fn a_second_signal_ends_the_wait() {
    let mut vault = vault("body_deadline = \"300s\"");
    let (mut slow, _) = half(&vault);
    vault.signal(Signal::SIGTERM);
    until_nobody_is_let_in(&vault);
    vault.signal(Signal::SIGINT);
    assert_eq!(vault.wait().code, Some(0));
    assert!(slow.read_response().ok().flatten().is_none(), "cut, not answered");
    vault.start();
    vault.token("acme", "github/slow").refused(404, "not_found");
    vault.audit_is_intact();
}
