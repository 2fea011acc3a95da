//! The second yardstick: the least that a vault must do for a read. On the yardstick's hyper: find a sealed record under a
//! blind key, open it, answer with it, and have the read in a chained log before the answer leaves.
//!
//! The hard problem: a ratio to bare hyper does not say what is the daemon's doing and what is the task's. The answer: the
//! task alone, with the same crates and the same bytes: no policy, no frame that binds a value to its place, no wiping, no
//! separate stack, no limits, deadlines or metrics, no sync.
//!
//! Never a vault to install: it keeps none of the promises.

use std::cell::RefCell;
use std::convert::Infallible;
use std::fs::File;
use std::future::poll_fn;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::rc::Rc;
use std::task::Poll;
use std::time::SystemTime;

use bytes::Bytes;
use fernet::Fernet;
use hashbrown::HashTable;
use hmac::{Hmac, Mac};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use sha2::Sha256;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::{LocalSet, spawn_local};
use tokio_rustls::TlsAcceptor;

use super::address::Address;
use super::bare;
use super::process::Server;
use super::request::{Act, ORGS};
use super::tls;

/// What stands in the daemon's seals before the body: the frame, and when the token ends.
const BEFORE_BODY: usize = 59 + 8;

/// Starts one that answers as the daemon answers: `answer` is the whole text of its answer for key 0.
pub(crate) fn start(directory: &Path, at: &Address, keys: u32, answer: &[u8]) -> Server {
    let file = directory.join("least-answer");
    std::fs::write(&file, answer).expect("the answer is kept");
    let log = directory.join(match at {
        Address::Tls(..) => "least-tls.log",
        Address::Unix(_) => "least.log",
    });
    let mut command = Command::new(std::env::current_exe().expect("own path"));
    command.arg("serve-least").arg(at.to_word()).arg(keys.to_string()).arg(&file).arg(&log);
    Server::start(command)
}

pub(crate) fn serve(words: &[String]) {
    let [address, keys, answer, log] = words else { panic!("four words") };
    let answer = std::fs::read(answer).expect("the answer");
    let vault = Vault::of(keys.parse().expect("a number"), &answer, Path::new(log));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    LocalSet::new().block_on(&runtime, accept(Address::parse(address), Rc::new(vault)));
}

async fn accept(address: Address, vault: Rc<Vault>) {
    match address {
        Address::Unix(path) => {
            let listener = UnixListener::bind(path).expect("a socket");
            println!("ready");
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                spawn_local(serve_one(stream, Rc::clone(&vault)));
            }
        }
        Address::Tls(address, directory) => {
            let listener = TcpListener::bind(address).await.expect("a port");
            let acceptor = TlsAcceptor::from(tls::server(&directory));
            println!("ready");
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                stream.set_nodelay(true).expect("no delay");
                let (acceptor, vault) = (acceptor.clone(), Rc::clone(&vault));
                spawn_local(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve_one(stream, vault).await;
                    }
                });
            }
        }
    }
}

async fn serve_one(io: impl AsyncRead + AsyncWrite + Unpin, vault: Rc<Vault>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let vault = Rc::clone(&vault);
        async move { Ok::<_, Infallible>(vault.read(&request).await) }
    });
    let http = hyper::server::conn::http1::Builder::new();
    let _ended = http.serve_connection(TokioIo::new(io), service).await;
}

type BlindKey = [u8; 32];

struct Vault {
    records: HashTable<(BlindKey, Box<str>)>,
    orgs: Vec<Fernet>,
    blind: Hmac<Sha256>,
    fields: HeaderMap,
    log: RefCell<Log>,
}

impl Vault {
    fn of(keys: u32, answer: &[u8], log: &Path) -> Self {
        let (fields, body) = bare::parse(answer);
        let body = String::from_utf8(body.to_vec()).expect("JSON");
        let orgs = (0..ORGS).map(|_| Fernet::new(&Fernet::generate_key()).expect("a key")).collect();
        let log = RefCell::new(Log::new(File::create(log).expect("a log")));
        let mut vault = Self { records: HashTable::new(), orgs, blind: mac(1), fields, log };
        let mut token = Act::Read.proof(keys).expect("reads have one");
        let first = String::from_utf8(token.of(0).to_vec()).expect("ASCII");
        assert!(body.contains(&first), "the answer for key 0");
        let mut request = Act::Read.request(keys);
        for key in 0..keys {
            let line = std::str::from_utf8(request.of(key)).expect("ASCII");
            let at = vault.blind_key(line.split(' ').nth(1).expect("a path"));
            let token = std::str::from_utf8(token.of(key)).expect("ASCII");
            let plain = format!("{}{}", "f".repeat(BEFORE_BODY), body.replace(&first, token));
            let sealed = vault.orgs[(key % ORGS) as usize].encrypt(plain.as_bytes());
            vault.records.insert_unique(slot(&at), (at, sealed.into()), |(at, _)| slot(at));
        }
        vault
    }

    fn blind_key(&self, path: &str) -> BlindKey {
        let mut mac = self.blind.clone();
        mac.update(path.as_bytes());
        mac.finalize().into_bytes().into()
    }

    async fn read(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        let (org, target) = org_and_target(path);
        let at = self.blind_key(path);
        let (_, sealed) = self.records.find(slot(&at), |(other, _)| *other == at).expect("a record");
        let number: usize = org["customer-".len()..].parse().expect("a number");
        let plain = self.orgs[number].decrypt_at_time(sealed, None, u64::MAX - 60).expect("it opens");
        let mut response = Response::new(Full::new(Bytes::from(plain).slice(BEFORE_BODY..)));
        self.is_recorded(org, target).await;
        for (name, value) in &self.fields {
            response.headers_mut().insert(name.clone(), value.clone());
        }
        response
    }

    /// Whoever comes first again writes for all that came meanwhile.
    async fn is_recorded(&self, org: &str, target: &str) {
        let group = self.log.borrow_mut().put(org, target);
        let mut has_yielded = false;
        poll_fn(|context| {
            if std::mem::replace(&mut has_yielded, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        self.log.borrow_mut().write(group);
    }
}

fn org_and_target(path: &str) -> (&str, &str) {
    let parts = path.strip_prefix("/v1/orgs/").and_then(|rest| rest.strip_suffix("/token"));
    parts.and_then(|parts| parts.split_once("/connections/")).expect("a read")
}

fn slot(at: &BlindKey) -> u64 {
    u64::from_le_bytes(*at.first_chunk().expect("it is longer"))
}

fn mac(key: u8) -> Hmac<Sha256> {
    Hmac::new_from_slice(&[key; 32]).expect("any length")
}

/// Lines, each with a MAC over it and the one before.
struct Log {
    file: File,
    lines: Vec<u8>,
    group: u64,
    sequence: u64,
    chain: Hmac<Sha256>,
    last: [u8; 32],
}

impl Log {
    fn new(file: File) -> Self {
        Self { file, lines: vec![], group: 0, sequence: 0, chain: mac(2), last: [0; 32] }
    }

    /// Gives the group that is written together.
    fn put(&mut self, org: &str, target: &str) -> u64 {
        let now = SystemTime::UNIX_EPOCH.elapsed().expect("after 1970");
        let begins = self.lines.len();
        self.sequence += 1;
        write!(
            self.lines,
            "{{\"seq\":{},\"at\":\"{}.{:09}\",\"request_id\":\"01K0000000000000000000{:08}\",\"principal\":{{\"name\":\"bench\",\
             \"proof\":\"unix\",\"uid\":0,\"gid\":0,\"pid\":1234567}},\"action\":\"token:read\",\"org\":\"{org}\",\
             \"target\":\"{target}\",\"decision\":\"allow\",\"outcome\":\"ok\",\"generation\":1,\"mac\":\"",
            self.sequence,
            now.as_secs(),
            now.subsec_nanos(),
            self.sequence % 100_000_000,
        )
        .expect("memory");
        let mut mac = self.chain.clone();
        mac.update(&self.last);
        mac.update(&self.lines[begins..]);
        self.last = mac.finalize().into_bytes().into();
        let digits = self.last.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        self.lines.extend(digits.map(|digit| b"0123456789abcdef"[usize::from(digit)]));
        self.lines.extend_from_slice(b"\"}\n");
        self.group
    }

    fn write(&mut self, group: u64) {
        if self.group == group {
            self.file.write_all(&self.lines).expect("it is written");
            self.lines.clear();
            self.group += 1;
        }
    }
}
