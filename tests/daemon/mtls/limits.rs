//! Callers over TLS that stall, come in numbers, or stay: those inside do not notice.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::{Second, WEB, client};
use crate::kit::{Client, Configuration, PATIENCE, Request, poll};

fn strict() -> Second {
    let limits =
        "connections = 40\nconnections_per_user = 8\nheader_deadline = \"1s\"\nidle_deadline = \"60s\"";
    let clients = vec![Client::own(), client("other", "other.example")];
    Second::with(Configuration { limits, clients, ..Configuration::default() })
}

/// Half a handshake: nothing, or a beginning.
fn half_open(second: &Second, bytes: &[u8]) -> TcpStream {
    let mut socket = TcpStream::connect(second.vault.mtls_address()).expect("it listens");
    socket.set_read_timeout(Some(PATIENCE)).expect("a deadline");
    // It may have given way already.
    let _ = socket.write_all(bytes);
    socket
}

#[test]
fn a_handshake_that_stalls_is_ended() {
    let second = strict();
    for bytes in [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"] {
        let mut socket = half_open(&second, bytes);
        // By its deadline: a read that waited for longer than all patience would be an error of its own kind.
        let end = socket.read_to_end(&mut Vec::new()).map_err(|error| error.kind());
        assert!(matches!(end, Ok(_) | Err(std::io::ErrorKind::ConnectionReset)), "{end:?}");
    }
}

/// More than there are places for handshakes, all from one host, and the door still opens.
#[test]
fn half_open_handshakes_keep_nobody_out() {
    let second = Second::open();
    let web = second.web();
    let mut inside = web.wire().expect("TLS");
    inside.send(&Request::get("/v1/status")).expect("it is inside").is(200);
    let half_open: Vec<TcpStream> = (0..300).map(|_| half_open(&second, b"\x16\x03\x01")).collect();
    for _ in 0..20 {
        inside.send(&Request::get("/v1/status")).expect("those inside are served").is(200);
        web.send(&Request::get("/v1/status")).is(200);
    }
    drop(half_open);
}

#[test]
fn a_client_s_places_are_its_own() {
    let second = strict();
    let web = second.web();
    let mut inside = Vec::new();
    let turned_away = poll("the cap", || {
        let mut wire = web.wire().expect("TLS");
        let answer = wire.send(&Request::get("/v1/status")).expect("an answer");
        if answer.status == 200 {
            inside.push(wire);
            return None;
        }
        Some(answer)
    });
    assert_eq!(turned_away.header("strict-transport-security"), Some("max-age=63072000; includeSubDomains"));
    turned_away.well_kept().refused(429, "rate_limited");
    assert_eq!(inside.len(), 8);
    // Neither another client, nor the socket's callers, are those who filled it.
    let other = second.caller(&second.pki.client("other.example"));
    assert_eq!(other.send(&Request::get("/v1/status")).is(200).json()["principal"]["name"], "other");
    second.vault.get("/v1/status").is(200);
    inside.pop();
    poll("a place again", || {
        let answer = web.wire().ok()?.send(&Request::get("/v1/status")).ok()?;
        (answer.status == 200).then_some(())
    });
}

/// Whoever has a certificate and no right here has few places, and takes none from the clients.
#[test]
fn strangers_take_no_client_s_place() {
    let second = strict();
    let strangers: Vec<_> = ["a.example", "b.example", "c.example", "d.example"]
        .into_iter()
        .cycle()
        .take(60)
        .map(|san| second.caller(&second.pki.client(san)).wire())
        .collect();
    assert_eq!(second.caller(&second.pki.client(WEB)).send(&Request::get("/v1/status")).status, 200);
    drop(strangers);
}
