//! Certificates that are wrong: each is refused, and the audit log says why.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, SystemTime};

use super::{Second, WEB, client};
use crate::kit::entry::AuditEntry;
use crate::kit::pki::{Ca, HOUR, Identity, Wish, write};
use crate::kit::tls::TlsCaller;
use crate::kit::{Client, Configuration, Request, poll};

/// A vault that knows who is revoked.
fn with_revocation(revoked: impl FnOnce(&Second) -> Vec<Identity>) -> (Second, Vec<Identity>) {
    let mtls = Some("crl = \"ROOM/clients.crl\"");
    let mut second = Second::closed(Configuration { mtls, ..Configuration::default() });
    let identities = revoked(&second);
    let list = second.pki.clients.revocation_list(&identities.iter().collect::<Vec<_>>());
    write(&second.vault.room().join("clients.crl"), &list);
    second.vault.start();
    (second, identities)
}

/// What was written down of those who did not get in, oldest first.
fn turned_away(second: &Second) -> Vec<AuditEntry> {
    second.vault.audit().into_iter().filter(|entry| entry.action == "connect").collect()
}

/// What is written of this certificate: what it says of itself is told only where a trusted CA has signed it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Name,
    Number,
    Nothing,
}

#[test]
fn each_wrong_certificate_is_refused_and_the_audit_log_says_why() {
    let (second, revoked) = with_revocation(|second| vec![second.pki.client(WEB)]);
    let (pki, wish) = (&second.pki, Wish::client(WEB));
    let stolen = Identity { key: pki.client(WEB).key, ..pki.client(WEB) };
    let between = pki.clients.below("between");
    let from_between = between.issue(&wish);
    let from_between = Identity { chain: from_between.chain + &between.certificate, ..from_between };
    let cases = [
        ("certificate_absent", None, Told::Nothing),
        ("certificate_untrusted", Some(pki.others.issue(&wish)), Told::Nothing),
        ("certificate_untrusted", Some(Ca::new("clients").issue(&wish)), Told::Nothing),
        ("certificate_untrusted", Some(pki.servers.issue(&wish)), Told::Nothing),
        ("certificate_expired", Some(pki.clients.issue(&wish.clone().expired())), Told::Name),
        ("certificate_expired", Some(pki.others.issue(&wish.clone().expired())), Told::Nothing),
        ("certificate_not_yet_valid", Some(pki.clients.issue(&wish.clone().not_yet_valid())), Told::Name),
        ("certificate_revoked", Some(revoked[0].clone()), Told::Name),
        ("certificate_wrong_purpose", Some(pki.clients.issue(&wish.clone().for_servers())), Told::Nothing),
        ("certificate_without_san", Some(pki.clients.issue(&wish.clone().named(&[]))), Told::Number),
        (
            "certificate_without_san",
            Some(pki.clients.issue(&wish.clone().named(&["127.0.0.1"]))),
            Told::Number,
        ),
        (
            "certificate_ambiguous",
            Some(pki.clients.issue(&wish.clone().named(&[WEB, "spiffe://example/other"]))),
            Told::Name,
        ),
        ("certificate_not_owned", Some(stolen), Told::Name),
        ("revocation_unknown", Some(from_between), Told::Nothing),
    ];
    for (reason, identity, told) in cases {
        let before = turned_away(&second).len();
        let caller = TlsCaller::new(second.vault.mtls_address(), &pki.servers, identity.as_ref());
        let heard = caller.refused().to_string();
        assert!(heard.contains("fatal alert"), "the caller hears why: {heard}");
        let entry = poll(reason, || turned_away(&second).get(before).cloned());
        assert_eq!((entry.reason.as_deref(), entry.decision.as_str()), (Some(reason), "deny"));
        assert_eq!(entry.outcome, "unauthenticated");
        assert_eq!(
            (entry.principal.name.as_str(), entry.principal.proof.as_str()),
            ("unknown", "mtls"),
            "{reason}"
        );
        assert!(entry.principal.address.is_some_and(|address| address.starts_with("127.0.0.1:")), "{reason}");
        let serial = identity.filter(|_| told != Told::Nothing).map(|identity| identity.serial);
        assert_eq!(entry.principal.serial, serial, "{reason}");
        assert_eq!(entry.principal.san.as_deref(), (told == Told::Name).then_some(WEB), "{reason}");
        assert_eq!((entry.org, entry.target, entry.generation), (None, None, None));
        // The wrong ones are in the way of none of the right ones.
        second.web().send(&Request::get("/v1/status")).is(200);
    }
    second.vault.audit_is_intact();
    let said = second.vault.said();
    assert!(said.contains("certificate_revoked"), "the server log names the reason: {said}");
    assert!(!said.contains("example/web") && !said.contains(&revoked[0].serial), "and nothing else: {said}");
}

/// A trusted CA says who it is, but nobody is configured by that name: as on the socket, it is told so.
#[test]
fn a_caller_that_no_client_is_configured_for_is_told_so() {
    let second = Second::open();
    for san in ["spiffe://example/other", "web.example", "spiffe://example/web/deeper", "urn:x"] {
        let answer = second.caller(&second.pki.client(san)).send(&Request::get("/v1/status"));
        let entry = second.vault.audited(&answer);
        answer.refused(401, "unauthenticated");
        assert_eq!((entry.principal.name.as_str(), entry.decision.as_str()), ("unknown", "deny"));
        assert_eq!(entry.principal.san.as_deref(), Some(san));
    }
}

#[test]
fn a_certificate_that_names_two_clients_is_neither_of_them() {
    let other = client("other", "other.example");
    let second =
        Second::with(Configuration { clients: vec![Client::own(), other], ..Configuration::default() });
    let both = second.pki.clients.issue(&Wish::client(WEB).named(&[WEB, "other.example"]));
    let answer = second.caller(&both).send(&Request::get("/v1/status"));
    let problem = answer.refused(401, "unauthenticated");
    assert!(problem.detail.contains("several"), "{}", problem.detail);
    let entry = turned_away(&second).pop().expect("an entry");
    assert_eq!(
        (entry.reason.as_deref(), entry.principal.name.as_str()),
        (Some("certificate_ambiguous"), "unknown")
    );
    // More names than one are fine where they are one client's, or nobody's.
    for (sans, name) in [(&[WEB, "elsewhere.example"], "app"), (&["OTHER.example", "urn:x"], "other")] {
        let answer = second.caller(&second.pki.clients.issue(&Wish::client(WEB).named(sans)));
        let answer = answer.send(&Request::get("/v1/status")).is(200);
        assert_eq!(answer.json()["principal"]["name"], name);
    }
}

#[test]
fn a_certificate_by_way_of_another_ca_is_good_where_nobody_asks_who_is_revoked() {
    let second = Second::open();
    let between = second.pki.clients.below("between");
    let leaf = between.issue(&Wish::client(WEB));
    let whole = Identity { chain: leaf.chain.clone() + &between.certificate, ..leaf.clone() };
    second.caller(&whole).send(&Request::get("/v1/status")).is(200);
    second.caller(&leaf).refused();
    let entry = poll("the entry", || turned_away(&second).pop());
    assert_eq!(entry.reason.as_deref(), Some("certificate_untrusted"), "the CA between was not shown");
}

/// A list that has ended says nothing of anybody, so nobody comes in.
#[test]
fn a_revocation_list_that_has_ended_lets_nobody_in() {
    let mtls = Some("crl = \"ROOM/clients.crl\"");
    let mut second = Second::closed(Configuration { mtls, ..Configuration::default() });
    let path = second.vault.room().join("clients.crl");
    let soon = SystemTime::now() + Duration::from_secs(12);
    write(&path, &second.pki.clients.revocation_list_until(&[], soon));
    second.vault.start();
    let web = second.web();
    web.send(&Request::get("/v1/status")).is(200);
    poll("the list to end", || (SystemTime::now() > soon + Duration::from_secs(1)).then_some(()));
    web.refused();
    let entry = poll("the entry", || turned_away(&second).pop());
    assert_eq!(entry.reason.as_deref(), Some("revocation_list_expired"));
    write(&path, &second.pki.clients.revocation_list_until(&[], SystemTime::now() + HOUR));
    second.vault.hang_up();
    poll("the new list to be used", || {
        let mut wire = web.wire().ok()?;
        (wire.send(&Request::get("/v1/status")).ok()?.status == 200).then_some(())
    });
}

/// Nor does a connection outlive the CA that it came in by.
#[test]
fn a_ca_that_has_ended_lets_nobody_in() {
    let mut second =
        Second::closed(Configuration { limits: "idle_deadline = \"1h\"", ..Configuration::default() });
    let ends = SystemTime::now() + Duration::from_secs(15);
    let short = Ca::valid("short", SystemTime::now() - HOUR, ends);
    let both = second.pki.clients.certificate.clone() + &short.certificate;
    write(&second.vault.room().join("clients-ca.crt"), &both);
    second.vault.start();
    let caller = second.caller(&short.issue(&Wish::client(WEB)));
    let mut wire = caller.wire().expect("TLS");
    wire.send(&Request::get("/v1/status")).expect("an answer").is(200);
    poll("the connection to be ended", || wire.is_closed().then_some(()));
    assert!(SystemTime::now() > ends);
    caller.refused();
    let entry = poll("the entry", || turned_away(&second).pop());
    assert_eq!(entry.reason.as_deref(), Some("certificate_untrusted"));
    second.web().send(&Request::get("/v1/status")).is(200);
}

/// What comes to the port without wanting in is noise, and a flood of the uninvited fills no log.
#[test]
fn neither_noise_nor_a_flood_fills_the_audit_log() {
    let second = Second::open();
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"", b"\x16\x03\x01\x00\x05hello", &[0xff; 300]] {
        let mut socket = TcpStream::connect(second.vault.mtls_address()).expect("it listens");
        // The daemon may have hung up already.
        let _ = socket.write_all(bytes);
    }
    second.web().send(&Request::get("/v1/status")).is(200);
    assert_eq!(turned_away(&second), [], "noise is not an attempt");
    let nobody = TlsCaller::new(second.vault.mtls_address(), &second.pki.servers, None);
    for _ in 0..150 {
        nobody.refused();
    }
    let entries = turned_away(&second);
    assert!((20..120).contains(&entries.len()), "{} entries", entries.len());
    assert!(
        entries.iter().any(|entry| entry.outcome == "rate_limited"),
        "and it is said that there were more"
    );
    second.web().send(&Request::get("/v1/status")).is(200);
}
