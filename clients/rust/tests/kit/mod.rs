//! A scripted daemon on a Unix socket or behind TLS: answers as a test says, and remembers what it was asked.
//!
//! Plain bytes on plain threads, so that it can also do what no HTTP server would: hang up with the
//! request in hand, stay silent, speak nonsense.

#![allow(dead_code, reason = "each test binary uses its share")]
#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

pub mod pki;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    /// `GET /v1/status`.
    pub line: String,
    /// Lower-case names.
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// The connection it came on, from 1.
    pub connection: usize,
    /// Its place among all requests, from 1.
    pub nth: usize,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What the daemon does with a request.
pub enum Answer {
    /// Closes the connection with the request in hand.
    HangUp,
    /// Status and JSON.
    Json(u16, String),
    /// Status and JSON, then closes the connection without having said so.
    JsonThenHangUp(u16, String),
    /// These bytes, as they are.
    Raw(Vec<u8>),
    /// These bytes, then closes the connection.
    RawThenHangUp(Vec<u8>),
    /// Nothing, and the connection stays open.
    Silence,
}

type Script = dyn Fn(&Asked) -> Answer + Send + Sync;

pub struct Daemon {
    directory: tempfile::TempDir,
    asked: Arc<Mutex<Vec<Asked>>>,
    closed: Mutex<Receiver<usize>>,
    shared: Arc<Shared>,
}

struct Shared {
    script: Box<Script>,
    asked: Arc<Mutex<Vec<Asked>>>,
    connections: AtomicUsize,
    closed: Sender<usize>,
    closers: Mutex<Vec<Closer>>,
}

/// Closes a connection.
type Closer = Arc<dyn Fn() + Send + Sync>;

impl Daemon {
    pub fn start(script: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let daemon = Self::stopped(script);
        daemon.listen();
        daemon
    }

    /// A daemon whose socket is not there yet.
    pub fn stopped(script: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let directory = tempfile::tempdir().expect("a directory for the socket");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (closed, hear) = channel();
        let shared = Arc::new(Shared {
            script: Box::new(script),
            asked: Arc::clone(&asked),
            connections: AtomicUsize::new(0),
            closed,
            closers: Mutex::default(),
        });
        Self { directory, asked, closed: Mutex::new(hear), shared }
    }

    pub fn listen(&self) {
        let listener = UnixListener::bind(self.socket()).expect("bind the socket");
        let shared = Arc::clone(&self.shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let own = stream.try_clone().expect("clone the stream");
                shared.serve(stream, Arc::new(move || drop(own.shutdown(Shutdown::Both))));
            }
        });
    }

    /// Listens behind TLS, too, with another certificate for each connection where `config` says so.
    pub fn listen_tls(&self, config: impl Fn(usize) -> Arc<ServerConfig> + Send + 'static) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::clone(&self.shared);
        thread::spawn(move || {
            for (at, stream) in listener.incoming().flatten().enumerate() {
                let own = stream.try_clone().expect("clone the stream");
                let tls = ServerConnection::new(config(at + 1)).expect("a TLS server");
                shared.serve(
                    StreamOwned::new(tls, stream),
                    Arc::new(move || drop(own.shutdown(Shutdown::Both))),
                );
            }
        });
        address
    }

    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("socket")
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("lock").clone()
    }

    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Closes every connection, now.
    pub fn hang_up(&self) {
        for close in self.shared.closers.lock().expect("lock").drain(..) {
            close();
        }
    }

    /// Whether a connection has ended since the last time this said so.
    pub fn hung_up(&self) -> bool {
        self.closed.lock().expect("lock").try_recv().is_ok()
    }
}

impl Shared {
    fn serve(self: &Arc<Self>, stream: impl Read + Write + Send + 'static, close: Closer) {
        let connection = self.connections.fetch_add(1, Ordering::SeqCst) + 1;
        self.closers.lock().expect("lock").push(Arc::clone(&close));
        let shared = Arc::clone(self);
        thread::spawn(move || {
            shared.converse(stream, connection);
            close();
            // Nobody may be listening any more.
            let _ = shared.closed.send(connection);
        });
    }

    fn converse(&self, stream: impl Read + Write, connection: usize) {
        let mut stream = BufReader::new(stream);
        while let Some(mut asked) = read(&mut stream, connection) {
            {
                let mut all = self.asked.lock().expect("lock");
                asked.nth = all.len() + 1;
                all.push(asked.clone());
            }
            let (bytes, goes_on) = match (self.script)(&asked) {
                Answer::HangUp => (Vec::new(), false),
                Answer::Json(status, body) => (json(status, &body), true),
                Answer::JsonThenHangUp(status, body) => (json(status, &body), false),
                Answer::Raw(bytes) => (bytes, true),
                Answer::RawThenHangUp(bytes) => (bytes, false),
                Answer::Silence => continue,
            };
            let stream = stream.get_mut();
            if stream.write_all(&bytes).and_then(|()| stream.flush()).is_err() || !goes_on {
                break;
            }
        }
    }
}

fn read(reader: &mut impl BufRead, connection: usize) -> Option<Asked> {
    let mut first = String::new();
    reader.read_line(&mut first).ok().filter(|&n| n > 0)?;
    let line = first.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length =
        headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, n)| n.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Asked { line, headers, body: String::from_utf8(body).expect("UTF-8"), connection, nth: 0 })
}

fn json(status: u16, body: &str) -> Vec<u8> {
    let kind = if status < 400 { "application/json" } else { "application/problem+json" };
    format!(
        "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nx-request-id: r-1\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A problem document.
pub fn problem(code: &str, status: u16, detail: &str) -> Answer {
    let body = format!(
        r#"{{"type":"urn:tokenkeep:problem:{code}","title":"T","status":{status},"code":"{code}","detail":"{detail}","request_id":"r-1"}}"#
    );
    Answer::Json(status, body)
}
