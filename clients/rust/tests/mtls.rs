//! The client over mTLS against a scripted daemon: who is believed, who is not, and what happens when
//! certificates change.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod kit;

use kit::pki::{Ca, Issued, replace};
use kit::{Answer, Daemon};
use rustls::version::TLS13;
use std::net::SocketAddr;
use std::time::Duration;
use tokenkeep_client::ids::{ConnectionId, OrgId};
use tokenkeep_client::mtls::{Credentials, Unusable};
use tokenkeep_client::wire::{Token, TokenSet};
use tokenkeep_client::{Client, Condition, Error, Handshake, Transport};

const TOKEN: &str =
    r#"{"access_token":"at-1","token_type":"Bearer","expires_at":null,"scopes":[],"generation":7}"#;

async fn token(client: &Client) -> Result<Token, Error> {
    let id: ConnectionId = "github/main".parse().unwrap();
    client.org(&OrgId::parse("acme").unwrap()).token(&id, Duration::from_secs(60)).await
}

async fn put(client: &Client) -> Result<(), Error> {
    let id: ConnectionId = "github/main".parse().unwrap();
    let set = TokenSet::new(tokenkeep_client::secret::AccessToken::new("at".into()));
    client.org(&OrgId::parse("acme").unwrap()).put_connection(&id, &set, Condition::Always).await.map(drop)
}

fn daemon() -> Daemon {
    Daemon::stopped(|_| Answer::Json(200, TOKEN.into()))
}

/// A daemon that shows this certificate.
fn shows(daemon: &Daemon, ca: &Ca, server: &Issued) -> String {
    let config = ca.tls(server, &TLS13);
    at(daemon.listen_tls(move |_| config.clone()))
}

fn at(address: SocketAddr) -> String {
    format!("localhost:{}", address.port())
}

fn refused(why: Handshake) -> Error {
    Error::Transport(Transport::Handshake(why))
}

#[tokio::test]
async fn one_connection_serves_one_request_after_another() {
    let (daemon, ca) = (daemon(), Ca::new());
    let address = shows(&daemon, &ca, &ca.server("localhost"));
    let client = Client::mtls(&address, ca.credentials(&ca.client("web"))).unwrap();
    for _ in 0..5 {
        assert_eq!(token(&client).await.unwrap().access_token.expose(), "at-1");
    }
    assert_eq!(daemon.connections(), 1);
    assert_eq!(daemon.asked()[0].header("host"), Some(address.as_str()));
    assert_eq!(client.socket(), None);
}

#[tokio::test]
async fn whoever_cannot_prove_to_be_the_daemon_is_asked_nothing() {
    let ca = Ca::new();
    let other = Ca::new();
    let client = ca.client("web");
    for server in [
        other.server("localhost"),
        ca.server("elsewhere"),
        ca.expired_server("localhost"),
        ca.client("localhost"),
    ] {
        let daemon = daemon();
        let address = shows(&daemon, &ca, &server);
        let client = Client::mtls(&address, ca.credentials(&client)).unwrap();
        assert_eq!(token(&client).await.unwrap_err(), refused(Handshake::Unproven));
        assert!(daemon.asked().is_empty());
        assert_eq!(daemon.connections(), 1, "asking again would change nothing");
    }
}

#[tokio::test]
async fn a_daemon_may_be_called_by_another_name_than_its_address() {
    let (daemon, ca) = (daemon(), Ca::new());
    let address = shows(&daemon, &ca, &ca.server("vault.internal"));
    let own = ca.client("web");
    let client = Client::mtls_named(&address, "vault.internal", ca.credentials(&own)).unwrap();
    token(&client).await.unwrap();
    let client = Client::mtls(&address, ca.credentials(&own)).unwrap();
    assert_eq!(token(&client).await.unwrap_err(), refused(Handshake::Unproven));
}

#[tokio::test]
async fn a_daemon_that_does_not_take_our_certificate_is_understood() {
    let ca = Ca::new();
    let server = ca.server("localhost");
    for name in ["one of the tests", "another", "one of the tests", "another"] {
        let stranger = Ca::named(name).client("web");
        let key = stranger.key.serialize_pem();
        let daemon = daemon();
        let address = shows(&daemon, &ca, &server);
        let credentials =
            Credentials::from_pem(stranger.certificate.pem().as_bytes(), key.as_bytes(), ca.pem.as_bytes());
        let client = Client::mtls(&address, credentials.unwrap()).unwrap();
        let error = token(&client).await.unwrap_err();
        assert_eq!(error, refused(Handshake::Refused));
        assert!(daemon.asked().is_empty());
    }
}

#[tokio::test]
async fn a_peer_without_tls_is_not_spoken_to() {
    let ca = Ca::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = at(listener.local_addr().unwrap());
    std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        let mut hello = Vec::new();
        let _ = stream.read_to_end(&mut hello);
    });
    let client = Client::mtls(&address, ca.credentials(&ca.client("web"))).unwrap();
    assert_eq!(token(&client).await.unwrap_err(), refused(Handshake::Failed));
}

#[tokio::test]
async fn an_answer_cut_off_in_the_middle_is_no_answer() {
    let ca = Ca::new();
    let whole = format!("HTTP/1.1 200 X\r\ncontent-type: application/json\r\n\r\n{TOKEN}");
    // No length is announced: only the end of TLS says that the answer is whole, and that never comes.
    let daemon = Daemon::stopped(move |asked| match asked.line.as_str() {
        line if line.starts_with("PUT") => Answer::HangUp,
        _ => Answer::RawThenHangUp(whole.clone().into_bytes()),
    });
    let address = shows(&daemon, &ca, &ca.server("localhost"));
    let client = Client::mtls(&address, ca.credentials(&ca.client("web"))).unwrap();
    assert_eq!(token(&client).await.unwrap_err(), Error::Transport(Transport::Lost));
    assert_eq!(daemon.asked().len(), 3, "a read is sent again, and not for ever");
    assert_eq!(put(&client).await.unwrap_err(), Error::Transport(Transport::Lost));
    assert_eq!(daemon.asked().len(), 4, "a write is not");
}

#[tokio::test]
async fn a_kept_connection_that_died_is_not_used_for_a_write() {
    let ca = Ca::new();
    let daemon = Daemon::stopped(|asked| match asked.line.as_str() {
        line if line.starts_with("PUT") => kit::problem("forbidden", 403, "it came"),
        _ => Answer::Json(200, TOKEN.into()),
    });
    let address = shows(&daemon, &ca, &ca.server("localhost"));
    let client = Client::mtls(&address, ca.credentials(&ca.client("web"))).unwrap();
    token(&client).await.unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    daemon.hang_up();
    assert_eq!(put(&client).await.unwrap_err().code(), Some("forbidden"));
    assert_eq!(daemon.asked().len(), 2);
    assert_eq!(daemon.asked()[1].connection, 2);
}

#[tokio::test]
async fn the_deadline_holds_where_the_peer_says_nothing_at_all() {
    let ca = Ca::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = at(listener.local_addr().unwrap());
    let client = Client::mtls(&address, ca.credentials(&ca.client("web"))).unwrap();
    let client = client.with_deadline(Duration::from_millis(100));
    assert_eq!(token(&client).await.unwrap_err(), Error::Transport(Transport::Deadline));
    drop(listener);
}

/// Says which client certificate was shown, by the order in which they were made: the CA that signed it is
/// the only one that this connection's server knows.
#[tokio::test]
async fn new_files_are_taken_up_and_half_new_ones_are_not() {
    let (daemon, ca, next) = (daemon(), Ca::new(), Ca::new());
    let server = ca.server("localhost");
    let (old, new) = (ca.tls(&server, &TLS13), next.tls(&server, &TLS13));
    // The second connection is of a daemon that knows the next CA alone.
    let address = at(daemon.listen_tls(move |nth| if nth == 1 { old.clone() } else { new.clone() }));
    let room = daemon.directory();
    let path = |name: &str| room.join(name);
    ca.client("web").write(room);
    replace(&path("ca.crt"), ca.pem.as_bytes());
    let credentials = Credentials::from_files(path("client.crt"), path("client.key"), path("ca.crt"));
    let client = Client::mtls(&address, credentials.unwrap()).unwrap();
    token(&client).await.unwrap();

    let renewed = next.client("web");
    replace(&path("client.crt"), renewed.certificate.pem().as_bytes());
    assert_eq!(client.reload_credentials(), Err(Unusable::Mismatch));
    // Past the interval in which files are not looked at.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    token(&client).await.expect("the old ones are in use");
    assert_eq!(daemon.connections(), 1);

    replace(&path("client.key"), renewed.key.serialize_pem().as_bytes());
    while daemon.connections() == 1 {
        token(&client).await.expect("the old ones or the new ones");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    token(&client).await.expect("the new ones");
    assert_eq!(daemon.connections(), 2, "opened with the new ones, and kept");
    client.reload_credentials().unwrap();
    token(&client).await.unwrap();
    assert_eq!(daemon.connections(), 3);
}

#[tokio::test]
async fn credentials_in_memory_are_replaced_by_others() {
    let (daemon, ca) = (daemon(), Ca::new());
    let address = shows(&daemon, &ca, &ca.server("localhost"));
    let client = Client::mtls(&address, ca.credentials(&ca.client("web"))).unwrap();
    let clone = client.clone();
    token(&client).await.unwrap();
    client.replace_credentials(ca.credentials(&ca.client("web"))).unwrap();
    token(&clone).await.unwrap();
    assert_eq!(daemon.connections(), 2, "for its clones too");
    let unix = Client::unix("/nowhere");
    assert_eq!(unix.replace_credentials(ca.credentials(&ca.client("web"))), Err(Unusable::Door));
}

#[test]
fn what_cannot_be_used_is_said_at_once_and_shows_nothing() {
    let ca = Ca::new();
    let (one, two) = (ca.client("one"), ca.client("two"));
    let (certificate, key) = (one.certificate.pem(), one.key.serialize_pem());
    let two = two.key.serialize_pem();
    let unusable = |certificate: &str, key: &str, authority: &str| {
        Credentials::from_pem(certificate.as_bytes(), key.as_bytes(), authority.as_bytes()).unwrap_err()
    };
    assert_eq!(unusable("", &key, &ca.pem), Unusable::Certificate);
    assert_eq!(unusable(&key, &key, &ca.pem), Unusable::Certificate);
    assert_eq!(unusable(&certificate, "", &ca.pem), Unusable::Key);
    assert_eq!(unusable(&certificate, &certificate, &ca.pem), Unusable::Key);
    assert_eq!(unusable(&certificate, &two, &ca.pem), Unusable::Mismatch);
    assert_eq!(unusable(&certificate, &key, ""), Unusable::Ca);
    let broken = ca.pem.replace("MII", "AAA");
    assert_eq!(unusable(&certificate, &key, &broken), Unusable::Ca);
    let missing = Credentials::from_files("/nowhere/a", "/nowhere/b", "/nowhere/c").unwrap_err();
    assert_eq!(missing.to_string(), "/nowhere/a cannot be read: entity not found");
    for wrong in ["localhost", "https://localhost:1", ""] {
        assert_eq!(Client::mtls(wrong, ca.credentials(&one)).unwrap_err(), Unusable::Address, "{wrong}");
    }
    let shown = format!("{:?}", Client::mtls("localhost:1", ca.credentials(&one)).unwrap());
    assert!(shown.contains("localhost:1") && !shown.contains("BEGIN"), "{shown}");
}
