//! One exchange with a server that is well, and with each that is not.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;

const MOST: usize = 1000;

/// Answers every connection by `answer`, for as long as the test runs.
fn server(answer: impl Fn(TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || listener.incoming().flatten().for_each(&answer));
    port
}

/// Reads the header of a request, then writes these bytes and closes.
fn say(mut stream: impl Read + Write, said: &[u8]) -> Vec<u8> {
    let (mut heard, mut byte) = (Vec::new(), [0]);
    while !heard.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        heard.push(byte[0]);
    }
    let _ = stream.write_all(said);
    let _ = stream.flush();
    heard
}

fn get(port: u16, roots: &Roots) -> Result<Answer, OutboundError> {
    let scheme = if matches!(roots, Roots::Host) { "http" } else { "https" };
    ask(&format!("{scheme}://localhost:{port}"), roots)
}

fn ask(address: &str, roots: &Roots) -> Result<Answer, OutboundError> {
    let request = Request::new("GET", "/x").with_header("x-token", Zeroizing::new("canary".into()));
    Door::Direct.exchange(&Endpoint::parse(address).unwrap(), roots, request, MOST, Deadlines::REMOTE)
}

fn plain(said: &'static [u8]) -> Result<(u16, Vec<u8>), OutboundError> {
    let port = server(move |stream| drop(say(stream, said)));
    get(port, &Roots::Host).map(|answer| (answer.status, answer.body.to_vec()))
}

#[test]
fn an_answer_is_taken_whole_or_not_at_all() {
    assert_eq!(plain(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab"), Ok((200, b"ab".to_vec())));
    let chunked = b"HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n";
    assert_eq!(plain(chunked), Ok((403, b"ab".to_vec())));
    assert_eq!(plain(b"HTTP/1.1 200 OK\r\n\r\nab"), Ok((200, b"ab".to_vec())));
    for broken in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab"[..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 200",
        b"SSH-2.0-x\r\n",
        b"",
    ] {
        assert_eq!(plain(broken), Err(OutboundError::NotHttp), "{}", String::from_utf8_lossy(broken));
    }
}

#[test]
fn a_redirect_is_an_answer_like_any_other() {
    let redirect = b"HTTP/1.1 302 Found\r\nLocation: http://localhost:1/\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(plain(redirect), Ok((302, vec![])));
}

#[test]
fn what_is_too_large_is_not_read() {
    assert_eq!(plain(b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n"), Err(OutboundError::TooLarge(MOST)));
    let endless = server(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(&[b'a'; 4096]).is_ok() {}
    });
    assert_eq!(get(endless, &Roots::Host).err(), Some(OutboundError::TooLarge(MOST)));
}

#[test]
fn the_request_says_what_was_given_and_nothing_of_the_environment() {
    let (heard, hears) = std::sync::mpsc::channel();
    let port = server(move |stream| {
        heard.send(say(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")).unwrap();
    });
    let body = Zeroizing::new(b"{}".to_vec());
    let request = Request::new("POST", "/a?b=c").with_body("text/x", body);
    let endpoint = Endpoint::parse(&format!("http://127.0.0.1:{port}/base")).unwrap();
    Door::Direct.exchange(&endpoint, &Roots::Host, request, MOST, Deadlines::REMOTE).unwrap();
    let meant = format!(
        "POST /base/a?b=c HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: text/x\r\ncontent-length: 2\r\n\r\n"
    );
    assert_eq!(String::from_utf8(hears.recv().unwrap()).unwrap(), meant);
}

#[test]
fn who_is_not_there_or_says_nothing_is_given_up() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let refused = get(gone, &Roots::Host).err().unwrap();
    assert_eq!(refused.reason(), "outbound_unreachable");
    assert!(refused.is_retryable(), "{refused}");
    let unresolved = ask("http://no-such-host.invalid", &Roots::Host).err().unwrap();
    assert!(unresolved.is_retryable(), "{unresolved}");

    let silent = server(std::mem::forget);
    let short = Deadlines { connect: Duration::from_millis(50), whole: Duration::from_millis(100) };
    let endpoint = Endpoint::parse(&format!("http://localhost:{silent}")).unwrap();
    let late = Door::Direct.exchange(&endpoint, &Roots::Host, Request::new("GET", "/"), MOST, short).err();
    assert_eq!(late, Some(OutboundError::Deadline("to answer")));
}

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Self {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap())
    }

    fn file(&self, room: &Path, name: &str) -> Roots {
        let path = room.join(name);
        std::fs::write(&path, self.0.pem()).unwrap();
        Roots::File(path)
    }

    /// A server with a certificate of this authority.
    fn server(&self, name: &str, years: std::ops::Range<i32>) -> u16 {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new([name.to_owned()]).unwrap();
        parameters.not_before = rcgen::date_time_ymd(years.start, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(years.end, 1, 1);
        let certificate = parameters.signed_by(&key, &self.0).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            );
        let config = Arc::new(config.unwrap());
        server(move |stream| {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            say(StreamOwned::new(connection, stream), b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab");
        })
    }
}

#[test]
fn only_whom_the_named_authority_signed_for_this_name_is_trusted() {
    let room = tempfile::tempdir().unwrap();
    let (ours, others) = (Authority::new("ours"), Authority::new("others"));
    let roots = ours.file(room.path(), "ca.pem");
    let good = ours.server("localhost", 2020..2100);
    assert_eq!(get(good, &roots).map(|answer| answer.body.to_vec()), Ok(b"ab".to_vec()));

    let foreign = get(others.server("localhost", 2020..2100), &roots).err().unwrap();
    assert!(foreign.is_unsafe() && foreign.to_string().contains("no authority"), "{foreign}");
    // One that only bears the name of ours.
    let posing = get(Authority::new("ours").server("localhost", 2020..2100), &roots).err().unwrap();
    assert!(posing.is_unsafe() && posing.to_string().contains("no authority"), "{posing}");
    let host = ask(&format!("https://localhost:{good}"), &Roots::Host).err().unwrap();
    assert!(!matches!(host, OutboundError::NotHttp), "the host's list does not know ours: {host}");
    let other_name = get(ours.server("bao.example", 2020..2100), &roots).err().unwrap();
    assert!(other_name.is_unsafe() && other_name.to_string().contains("another name"), "{other_name}");
    for years in [2020..2021, 2090..2100] {
        let untimely = get(ours.server("localhost", years), &roots).err().unwrap();
        assert!(untimely.is_retryable() && untimely.to_string().contains("clock"), "{untimely}");
    }
    let no_tls = server(|mut stream| drop(stream.write_all(b"HTTP/1.1 400 Bad\r\n\r\n")));
    let no_tls = get(no_tls, &roots).err().unwrap();
    assert!(matches!(no_tls, OutboundError::Tls(_)), "{no_tls}");
}

#[test]
fn a_list_of_authorities_is_whole_and_not_anybody_s() {
    use std::os::unix::fs::PermissionsExt;
    let room = tempfile::tempdir().unwrap();
    let authority = Authority::new("ours");
    let refused = |name: &str, text: &str| {
        let path = room.path().join(name);
        std::fs::write(&path, text).unwrap();
        get(1, &Roots::File(path)).err().unwrap()
    };
    let pem = authority.0.pem();
    let broken = "-----BEGIN CERTIFICATE-----\nYQ==\n-----END CERTIFICATE-----\n";
    for text in ["", "nothing", broken, &format!("{pem}{broken}")] {
        let error = refused("ca.pem", text);
        assert!(matches!(error, OutboundError::Roots(_)), "{error}");
    }
    let Roots::File(loose) = authority.file(room.path(), "loose.pem") else { unreachable!() };
    std::fs::set_permissions(&loose, std::fs::Permissions::from_mode(0o666)).unwrap();
    assert!(matches!(get(1, &Roots::File(loose)).err(), Some(OutboundError::Roots(_))));
}
