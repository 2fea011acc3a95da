//! The receiver of the tests: a web server that does to a webhook what receivers do, and remembers what it was sent.
//!
//! Ends with the test.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;
use tempfile::TempDir;

use crate::kit::pki::Pki;
use crate::kit::poll;
use crate::kit::vault::write_private;

/// What it does with a delivery.
#[derive(Debug, Clone)]
pub(super) enum Mood {
    /// Answers with this status, and these header lines.
    Answer(u16, String),
    /// Hangs up without a word.
    HangUp,
    /// Answers with 204 after so long.
    Slow(Duration),
}

/// A delivery that arrived whole.
#[derive(Debug, Clone)]
pub(super) struct Got {
    pub(super) path: String,
    pub(super) id: String,
    pub(super) timestamp: String,
    pub(super) signature: String,
    pub(super) body: String,
    /// Whether it was answered with 204.
    pub(super) taken: bool,
}

impl Got {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    /// Type, reason, and name of the connection.
    pub(super) fn told(&self) -> (String, String, String) {
        let json = self.json();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&json["type"]), text(&json["data"]["reason"]), text(&json["data"]["name"]))
    }
}

#[derive(Default)]
struct Minded {
    next: VecDeque<Mood>,
    usual: Option<Mood>,
    got: Vec<Got>,
}

pub(super) struct Receiver {
    room: TempDir,
    url: String,
    minded: Arc<Mutex<Minded>>,
}

impl Receiver {
    /// Over plain HTTP.
    pub(super) fn start() -> Self {
        Self::over(None)
    }

    /// Over TLS, by a certificate of this authority for `localhost`.
    pub(super) fn encrypted(pki: &Pki) -> Self {
        let server = pki.server();
        let chain: Vec<_> =
            CertificateDer::pem_slice_iter(server.chain.as_bytes()).collect::<Result<_, _>>().expect("PEM");
        let key = PrivateKeyDer::from_pem_slice(server.key.as_bytes()).expect("PEM");
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(chain, key);
        let receiver = Self::over(Some(Arc::new(config.expect("a certificate"))));
        std::fs::write(receiver.room.path().join("ca.pem"), &pki.servers.certificate).expect("a file");
        std::fs::write(receiver.room.path().join("other-ca.pem"), &pki.others.certificate).expect("a file");
        receiver
    }

    fn over(tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let minded: Arc<Mutex<Minded>> = Arc::default();
        let shared = Arc::clone(&minded);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (minded, tls) = (Arc::clone(&shared), tls.clone());
                thread::spawn(move || match tls {
                    None => serve(stream, &minded),
                    Some(config) => {
                        let connection = ServerConnection::new(config).expect("a connection");
                        serve(StreamOwned::new(connection, stream), &minded)
                    }
                });
            }
        });
        let room = tempfile::tempdir().expect("a directory");
        let receiver = Self { room, url: format!("{scheme}://localhost:{port}/hook?team=ops"), minded };
        receiver.write_secrets(&[1]);
        receiver
    }

    /// Writes a secret of each of these bytes.
    pub(super) fn write_secrets(&self, bytes: &[u8]) {
        let lines: Vec<String> = bytes.iter().map(|byte| secret(*byte)).collect();
        write_private(&self.secret_file(), lines.join("\n").as_bytes());
    }

    pub(super) fn secret_file(&self) -> PathBuf {
        self.room.path().join("webhook.secret")
    }

    /// `[alerts]`, with these lines and these fields of the webhook beside.
    pub(super) fn table(&self, lines: &str, fields: &str) -> String {
        let (url, secret) = (&self.url, self.secret_file());
        let plain = if url.starts_with("https") { "" } else { ", http_loopback = true" };
        format!(
            "[alerts]\n{lines}\nwebhook = {{ url = \"{url}\", secret = {{ file = \"{}\" }}{plain}{fields} }}\n",
            secret.display()
        )
    }

    pub(super) fn file(&self, name: &str) -> String {
        self.room.path().join(name).display().to_string()
    }

    /// What it does with the next deliveries, before it is itself again.
    pub(super) fn next(&self, moods: impl IntoIterator<Item = Mood>) {
        self.minded().next.extend(moods);
    }

    /// What it does from now on.
    pub(super) fn usually(&self, mood: Mood) {
        self.minded().usual = Some(mood);
    }

    /// Takes what comes, from now on.
    pub(super) fn is_well(&self) {
        let mut minded = self.minded();
        minded.next.clear();
        minded.usual = None;
    }

    /// Every delivery that arrived whole, taken or not.
    pub(super) fn got(&self) -> Vec<Got> {
        self.minded().got.clone()
    }

    /// What it has taken.
    pub(super) fn taken(&self) -> Vec<Got> {
        self.got().into_iter().filter(|got| got.taken).collect()
    }

    /// Waits until it has taken so many.
    pub(super) fn await_taken(&self, count: usize) -> Vec<Got> {
        poll("deliveries", || Some(self.taken()).filter(|taken| taken.len() >= count))
    }

    fn minded(&self) -> std::sync::MutexGuard<'_, Minded> {
        self.minded.lock().expect("no test panics here")
    }
}

/// A secret, as the file has it.
pub(super) fn secret(byte: u8) -> String {
    format!("whsec_{}", STANDARD.encode([byte; 32]))
}

fn serve(stream: impl Read + Write, minded: &Mutex<Minded>) {
    let mut reader = BufReader::new(stream);
    let Ok(mut got) = read(&mut reader) else { return };
    let mood = {
        let mut minded = minded.lock().expect("no test panics here");
        let usual = minded.usual.clone().unwrap_or(Mood::Answer(204, String::new()));
        let mood = minded.next.pop_front().unwrap_or(usual);
        got.taken = matches!(mood, Mood::Answer(204, _));
        minded.got.push(got);
        mood
    };
    let stream = reader.get_mut();
    let (status, lines) = match mood {
        Mood::HangUp => return,
        Mood::Answer(status, lines) => (status, lines),
        Mood::Slow(span) => {
            thread::sleep(span);
            (204, String::new())
        }
    };
    // Whoever asked may have left.
    let _ = write!(stream, "HTTP/1.1 {status} Said\r\n{lines}content-length: 0\r\n\r\n");
    let _ = stream.flush();
}

fn read(reader: &mut BufReader<impl Read>) -> io::Result<Got> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut got = Got {
        path,
        id: String::new(),
        timestamp: String::new(),
        signature: String::new(),
        body: String::new(),
        taken: false,
    };
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        match name {
            "content-length" => length = value.parse().map_err(io::Error::other)?,
            "webhook-id" => value.clone_into(&mut got.id),
            "webhook-timestamp" => value.clone_into(&mut got.timestamp),
            "webhook-signature" => value.clone_into(&mut got.signature),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    got.body = String::from_utf8(body).map_err(io::Error::other)?;
    Ok(got)
}
