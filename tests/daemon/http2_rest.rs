//! A connection of HTTP/2 ends soon after its last answer, whether its client says goodbye or says nothing; one of HTTP/1.1
//! is kept. h2 holds what has passed through a connection for as long as that lives.
//!
//! The idle deadline is an hour away here: who ends the connection is never that.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;

use crate::kit::{Configuration, Request, TestVault};

/// Such a connection ends within three seconds; told or not, none is kept for longer than a minute.
const REST: Duration = Duration::from_secs(25);

const TOKEN: &str = "/v1/orgs/acme/connections/github/main/token";

fn patient() -> TestVault {
    let vault =
        TestVault::with(Configuration { limits: "idle_deadline = \"1h\"", ..Configuration::default() });
    vault.create_org("acme");
    vault.put("acme", "github/main", &json!({"access_token": "served"}));
    vault
}

async fn ask_twice_and_wait(vault: &TestVault) {
    let stream = tokio::net::UnixStream::connect(vault.socket()).await.expect("the daemon listens");
    let handshake = http2::handshake::<_, _, Empty<Bytes>>(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.expect("HTTP/2");
    let connection = tokio::spawn(connection);
    for _ in 0..2 {
        let request = hyper::Request::get(format!("http://tokenkeep{TOKEN}")).body(Empty::new()).unwrap();
        let answer = sender.send_request(request).await.expect("an answer on the same connection");
        assert_eq!(answer.status(), 200);
        answer.into_body().collect().await.expect("the whole body");
    }
    let ended = tokio::time::timeout(REST, connection).await.expect("it ends by itself");
    ended.expect("no panic").expect("it ends in good order");
    drop(sender);
}

#[test]
fn a_connection_of_http_2_ends_and_one_of_http_1_1_is_kept() {
    let vault = patient();
    let mut kept = vault.line().wire().expect("a connection");
    kept.send(&Request::get(TOKEN)).expect("an answer").is(200);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(ask_twice_and_wait(&vault));
    kept.send(&Request::get(TOKEN)).expect("an answer on the same connection").is(200);
}

/// h2 writes a bare value from a buffer that nobody can wipe: so the connection ends after it, however busy it is.
#[test]
fn a_busy_connection_of_http_2_ends_after_a_bare_value() {
    /// More than come between the answer and the client's hearing of the end; without it, they go on for a minute.
    const MOST: usize = 3000;
    let vault = patient();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let answered = runtime.block_on(async {
        let stream = tokio::net::UnixStream::connect(vault.socket()).await.expect("the daemon listens");
        let handshake = http2::handshake::<_, _, Empty<Bytes>>(TokioExecutor::new(), TokioIo::new(stream));
        let (mut sender, connection) = handshake.await.expect("HTTP/2");
        tokio::spawn(connection);
        let ask = |accept: &str| {
            let request = hyper::Request::get(format!("http://tokenkeep{TOKEN}")).header("accept", accept);
            request.body(Empty::new()).unwrap()
        };
        let bare = sender.send_request(ask("text/plain")).await.expect("an answer");
        assert_eq!(bare.into_body().collect().await.expect("the whole body").to_bytes(), "served");
        let mut answered = 0;
        while answered < MOST && sender.ready().await.is_ok() {
            let Ok(answer) = sender.send_request(ask("application/json")).await else { break };
            if answer.into_body().collect().await.is_err() {
                break;
            }
            answered += 1;
        }
        answered
    });
    assert!(answered < MOST, "it goes on");
}

/// RFC 9113, section 4.1.
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("a short one");
    [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
}

#[test]
fn a_client_that_acknowledges_nothing_keeps_no_connection_either() {
    const HEADERS: u8 = 1;
    const SETTINGS: u8 = 4;
    const END_STREAM_AND_HEADERS: u8 = 5;
    let vault = patient();
    let mut socket = UnixStream::connect(vault.socket()).expect("the daemon listens");
    socket.set_read_timeout(Some(REST)).expect("a timeout");
    // RFC 7541, appendix A: GET, http; then the path, not indexed, as it is.
    let mut fields = vec![0x82, 0x86, 0x04, u8::try_from(TOKEN.len()).expect("a short one")];
    fields.extend_from_slice(TOKEN.as_bytes());
    let mut said = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    said.extend(frame(SETTINGS, 0, 0, &[]));
    said.extend(frame(HEADERS, END_STREAM_AND_HEADERS, 1, &fields));
    socket.write_all(&said).expect("written");
    let mut heard = Vec::new();
    // However it ends, it ends: a reset is an end too.
    let ended = socket.read_to_end(&mut heard);
    assert!(!ended.is_err_and(|why| why.kind() == std::io::ErrorKind::WouldBlock), "it is still open");
    let answer = heard.windows(6).any(|six| six == b"served");
    assert!(answer, "after its answer");
    vault.send(&Request::get(TOKEN)).is(200);
}
