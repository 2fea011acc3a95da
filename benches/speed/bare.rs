//! The yardstick: a bare hyper HTTP/1.1 server that gives the same answer to whatever it is asked, over a Unix socket
//! or over mTLS.
//!
//! Never does less than any server of HTTP must, and nothing more.

use std::convert::Infallible;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio_rustls::TlsAcceptor;

use super::address::Address;
use super::process::Server;
use super::tls;

/// The flavours of the runtime; the better one is the yardstick.
pub(crate) const FLAVOURS: [&str; 2] = ["current_thread", "multi_thread"];

/// Starts one that answers `answer`, the whole text of an answer of the daemon.
pub(crate) fn start(directory: &Path, at: &Address, flavour: &str, answer: &[u8]) -> Server {
    let file = directory.join("answer");
    std::fs::write(&file, answer).expect("the answer is kept");
    let mut command = Command::new(std::env::current_exe().expect("own path"));
    command.arg("serve-bare").arg(at.to_word()).arg(flavour).arg(&file);
    Server::start(command)
}

pub(crate) fn serve(words: &[String]) {
    let [address, flavour, answer] = words else { panic!("three words") };
    let answer = std::fs::read(answer).expect("the answer");
    let (fields, body) = parse(&answer);
    let mut runtime = match flavour.as_str() {
        "current_thread" => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = runtime.enable_all().build().expect("a runtime");
    let answer = Answer { fields, body };
    // Its own task, so that no connection is served from `block_on` where there are workers.
    runtime.block_on(async {
        let accepting = match Address::parse(address) {
            Address::Tls(address, directory) => {
                let listener = TcpListener::bind(address).await.expect("a port");
                let acceptor = TlsAcceptor::from(tls::server(&directory));
                tokio::spawn(accept_tls(listener, acceptor, answer))
            }
            Address::Unix(path) => tokio::spawn(accept(UnixListener::bind(path).expect("a socket"), answer)),
        };
        println!("ready");
        accepting.await.expect("accepts");
    });
}

/// What everybody is given.
#[derive(Clone)]
struct Answer {
    fields: HeaderMap,
    body: Bytes,
}

async fn accept(listener: UnixListener, answer: Answer) {
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        tokio::spawn(serve_one(stream, answer.clone()));
    }
}

async fn accept_tls(listener: TcpListener, acceptor: TlsAcceptor, answer: Answer) {
    let answer = Arc::new(answer);
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        let (acceptor, answer) = (acceptor.clone(), Arc::clone(&answer));
        tokio::spawn(async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                serve_one(stream, Answer::clone(&answer)).await;
            }
        });
    }
}

async fn serve_one(io: impl AsyncRead + AsyncWrite + Unpin, answer: Answer) {
    let service = service_fn(move |_: Request<hyper::body::Incoming>| {
        let mut response = Response::new(Full::new(answer.body.clone()));
        for (name, value) in &answer.fields {
            response.headers_mut().insert(name.clone(), value.clone());
        }
        async move { Ok::<_, Infallible>(response) }
    });
    let http = hyper::server::conn::http1::Builder::new();
    let _ended = http.serve_connection(TokioIo::new(io), service).await;
}

/// The fields and the body; hyper writes date and length itself.
pub(crate) fn parse(answer: &[u8]) -> (HeaderMap, Bytes) {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    let head = std::str::from_utf8(&answer[..end]).expect("ASCII");
    let fields = head.lines().skip(1).map(|line| {
        let (name, value) = line.split_once(": ").expect("a field");
        let name: HeaderName = name.parse().expect("a name");
        (name, HeaderValue::from_str(value).expect("a value"))
    });
    let fields = fields.filter(|(name, _)| name != "date" && name != "content-length").collect();
    (fields, Bytes::copy_from_slice(&answer[end + 4..]))
}
