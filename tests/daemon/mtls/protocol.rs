//! What is spoken at the second door: versions, key exchange, application protocols, no resumption.

use std::io::{Read, Write};

use rustls::version::{TLS12, TLS13};
use rustls::{HandshakeKind, NamedGroup, ProtocolVersion, SupportedProtocolVersion};

use super::{Second, WEB};
use crate::kit::tls::TlsCaller;
use crate::kit::{Configuration, Request};

#[test]
fn the_newest_version_and_the_hybrid_key_exchange_are_spoken() {
    let second = Second::open();
    let stream = second.web().offering(&["h2", "http/1.1"]).connect().expect("TLS");
    assert_eq!(stream.conn.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    let group = stream.conn.negotiated_key_exchange_group().expect("a group").name();
    assert_eq!(group, NamedGroup::X25519MLKEM768);
    assert_eq!(stream.conn.alpn_protocol(), Some(&b"h2"[..]));
}

#[test]
fn an_older_version_is_spoken_only_where_it_is_configured() {
    for (mtls, is_spoken) in [("", false), ("minimum_version = \"1.2\"", true)] {
        let second = Second::with(Configuration { mtls: Some(mtls), ..Configuration::default() });
        let identity = second.pki.client(WEB);
        let with = |versions: &[&'static SupportedProtocolVersion]| {
            TlsCaller::with(second.vault.mtls_address(), &second.pki.servers, Some(&identity), versions)
        };
        let old = with(&[&TLS12][..]).offering(&["http/1.1"]).connect();
        assert_eq!(old.is_ok(), is_spoken, "{mtls}");
        if let Ok(stream) = old {
            let suite = stream.conn.negotiated_cipher_suite().expect("a suite");
            assert!(format!("{:?}", suite.suite()).contains("ECDHE"), "{suite:?}");
            with(&[&TLS12][..]).send(&Request::get("/v1/status")).is(200);
        }
        let both = with(&[&TLS12, &TLS13][..]).connect().expect("TLS");
        assert_eq!(both.conn.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    }
}

/// A resumed session would bring back somebody who was revoked meanwhile.
#[test]
fn nothing_is_resumed() {
    for mtls in ["", "minimum_version = \"1.2\""] {
        let second = Second::with(Configuration { mtls: Some(mtls), ..Configuration::default() });
        let identity = second.pki.client(WEB);
        let versions = if mtls.is_empty() { &[&TLS13][..] } else { &[&TLS12][..] };
        let caller =
            TlsCaller::with(second.vault.mtls_address(), &second.pki.servers, Some(&identity), versions);
        for _ in 0..3 {
            let mut stream = caller.connect().expect("TLS");
            // A ticket would come with the first answer.
            stream.write_all(&Request::get("/v1/status").bytes()).expect("written");
            assert!(stream.read(&mut [0; 64]).expect("an answer") > 0);
            assert_eq!(stream.conn.tls13_tickets_received(), 0);
            assert_ne!(stream.conn.handshake_kind(), Some(HandshakeKind::Resumed));
        }
    }
}

#[test]
fn each_protocol_is_agreed_upon() {
    let second = Second::open();
    let web = second.web();
    for (offered, agreed) in [
        (&["h2", "http/1.1"][..], Some(&b"h2"[..])),
        (&["http/1.1", "h2"], Some(b"h2")),
        (&["http/1.1"], Some(b"http/1.1")),
        (&[], None),
    ] {
        assert_eq!(web.offering(offered).connect().expect("TLS").conn.alpn_protocol(), agreed, "{offered:?}");
    }
    web.offering(&["spdy/3"]).connect().expect_err("there is none in common");
}
