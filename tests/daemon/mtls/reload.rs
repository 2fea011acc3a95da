//! New files while the daemon runs: taken without dropping anybody, or not taken at all.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;

use super::{Second, WEB};
use crate::kit::http::Wire;
use crate::kit::pki::{Ca, HOUR, Identity, Wish, write};
use crate::kit::tls::TlsCaller;
use crate::kit::{Configuration, Request, Response, poll};

/// A connection that is ended in these tests is not ended for being idle.
const PATIENT: &str = "idle_deadline = \"1h\"";

fn patient() -> Configuration {
    Configuration { limits: PATIENT, ..Configuration::default() }
}

fn status() -> Request {
    Request::get("/v1/status")
}

/// A vault whose list of the revoked is empty yet.
fn with_list(configuration: Configuration) -> Second {
    let mtls = Some("crl = \"ROOM/clients.crl\"");
    let mut second = Second::closed(Configuration { mtls, ..configuration });
    revoke(&second, &[]);
    second.vault.start();
    second
}

fn revoke(second: &Second, revoked: &[&Identity]) {
    let list = second.pki.clients.revocation_list(revoked);
    write(&second.vault.room().join("clients.crl"), &list);
}

/// The certificate that the daemon shows now.
fn shown(second: &Second) -> CertificateDer<'static> {
    let stream = second.web().connect().expect("TLS");
    stream.conn.peer_certificates().expect("a certificate")[0].clone().into_owned()
}

fn is_shown(second: &Second, identity: &Identity) -> Option<()> {
    let certificate = CertificateDer::from_pem_slice(identity.chain.as_bytes()).expect("PEM");
    (shown(second) == certificate).then_some(())
}

fn finding(second: &Second, check: &str) -> Value {
    let doctor = second.vault.admin().get("/admin/v1/doctor").is(200).json();
    let findings = doctor["findings"].as_array().expect("findings");
    findings.iter().find(|finding| finding["check"] == check).expect(check).clone()
}

#[test]
fn new_files_are_taken_under_load_and_no_request_is_dropped() {
    let second = with_list(Configuration::default());
    let (over, served) = (AtomicBool::new(false), AtomicU64::new(0));
    let web = second.web();
    std::thread::scope(|scope| {
        // Two that keep their connection, one that makes a new one each time, one over HTTP/2.
        for _ in 0..2 {
            scope.spawn(|| {
                let mut wire = web.wire().expect("TLS");
                while !over.load(Ordering::Relaxed) {
                    wire.send(&status()).expect("no request is dropped").is(200);
                    served.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let ways: [fn(&TlsCaller) -> Response; 2] =
            [|web| web.send(&status()), |web| web.send_http2(&status())];
        for send in ways {
            let (web, over, served) = (&web, &over, &served);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    send(web).is(200);
                    served.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for _ in 0..6 {
            let server = second.pki.server();
            second.pki.furnish_with(second.vault.room(), &server);
            revoke(&second, &[&second.pki.client(WEB)]);
            second.vault.hang_up();
            poll("the new certificate", || is_shown(&second, &server));
            let before = served.load(Ordering::Relaxed);
            poll("everybody to be served", || (served.load(Ordering::Relaxed) > before + 40).then_some(()));
        }
        over.store(true, Ordering::Relaxed);
    });
    assert_eq!(finding(&second, "tls_files")["level"], "ok");
}

#[test]
fn files_that_change_are_noticed_without_a_word() {
    let second = Second::open();
    let server = second.pki.server();
    second.pki.furnish_with(second.vault.room(), &server);
    poll("the new certificate", || is_shown(&second, &server));
}

/// Each in its turn, the rest being as it should be: what is put in place, and what is said of it.
fn bad_sets(second: &Second) -> Vec<(&'static str, &'static str, String, &'static str)> {
    let (pki, now) = (&second.pki, SystemTime::now());
    let server = Wish::client("localhost").named(&["localhost"]).for_servers();
    let of_another = pki.others.revocation_list(&[]);
    let forged = Ca::new("clients").revocation_list(&[]);
    let ended = pki.clients.revocation_list_until(&[], now - HOUR);
    let old_ca = Ca::valid("old", now - 48 * HOUR, now - HOUR).certificate;
    vec![
        ("another key", "server.key", pki.server().key, "is not the key of the certificate"),
        ("no key", "server.key", "nothing".into(), "holds no private key"),
        ("no certificate", "server.crt", String::new(), "holds no certificate"),
        ("an expired one", "server.crt", pki.servers.issue(&server.clone().expired()).chain, "has expired"),
        ("one for clients", "server.crt", pki.client("localhost").chain, "is not for servers"),
        ("one too early", "server.crt", pki.servers.issue(&server.not_yet_valid()).chain, "is not valid yet"),
        ("no CA", "clients-ca.crt", "\n".into(), "holds no certificate"),
        ("an old CA", "clients-ca.crt", pki.clients.certificate.clone() + &old_ca, "a CA that has expired"),
        (
            "a CA without a list",
            "clients-ca.crt",
            pki.clients.certificate.clone() + &pki.others.certificate,
            "lacks the list of a CA",
        ),
        ("no list", "clients.crl", "nothing".into(), "holds no revocation list"),
        ("a list of another", "clients.crl", of_another, "lacks the list of a CA"),
        ("a forged list", "clients.crl", forged, "that its CA did not sign"),
        ("an ended list", "clients.crl", ended, "has ended"),
        (
            "two lists",
            "clients.crl",
            pki.clients.revocation_list(&[]) + &pki.clients.revocation_list(&[]),
            "two lists",
        ),
    ]
}

/// The file that is named: not the CA's where it is its list that is missing.
fn named(file: &'static str, words: &str) -> &'static str {
    if words.contains("lacks the list") { "clients.crl" } else { file }
}

#[test]
fn bad_files_are_refused_with_one_line_and_the_old_ones_kept() {
    let second = with_list(Configuration::default());
    let before = shown(&second);
    let mut inside = second.web().wire().expect("TLS");
    for (what, file, text, words) in bad_sets(&second) {
        let path = second.vault.room().join(file);
        let good = fs::read_to_string(&path).expect("the good one");
        let lines = || {
            let said = second.vault.said();
            said.lines().filter(|line| line.contains(words) && line.contains(named(file, words))).count()
        };
        let before_it = lines();
        write(&path, &text);
        second.vault.hang_up();
        let found = poll(what, || {
            let found = finding(&second, "tls_files");
            (found["level"] == "fail" && found["detail"].as_str()?.contains(words)).then_some(found)
        });
        assert!(
            found["detail"].as_str().is_some_and(|detail| detail.contains(named(file, words))),
            "{found}"
        );
        assert_eq!(lines(), before_it + 1, "{what}: {}", second.vault.said());
        assert_eq!(shown(&second), before, "{what}: the old one serves on");
        inside.send(&status()).expect("nobody is dropped").is(200);
        write(&path, &good);
        second.vault.hang_up();
        poll("the good one again", || (finding(&second, "tls_files")["level"] == "ok").then_some(()));
    }
    let key = second.vault.room().join("server.key");
    fs::set_permissions(&key, Permissions::from_mode(0o644)).expect("chmod");
    second.vault.hang_up();
    poll("the loose key", || {
        let found = finding(&second, "tls_files");
        found["detail"].as_str()?.contains("so others can get at it").then_some(())
    });
    inside.send(&status()).expect("nobody is dropped").is(200);
}

/// Nobody comes in by files that were never any good: the daemon does not start.
#[test]
fn bad_files_at_the_start_are_refused_with_file_and_mend() {
    let mtls = Some("crl = \"ROOM/clients.crl\"");
    let mut second = Second::closed(Configuration { mtls, ..Configuration::default() });
    revoke(&second, &[]);
    for (_, file, text, words) in bad_sets(&second) {
        let path = second.vault.room().join(file);
        let good = fs::read_to_string(&path).expect("the good one");
        write(&path, &text);
        second.vault.start_in_vain().with(78, &[named(file, words), words, "; "]);
        write(&path, &good);
    }
    let key = second.vault.room().join("server.key");
    fs::set_permissions(&key, Permissions::from_mode(0o640)).expect("chmod");
    second.vault.start_in_vain().with(77, &["server.key", "chmod go-rwx"]);
    fs::remove_file(&key).expect("removed");
    second.vault.start_in_vain().with(78, &["server.key", "does not exist"]);
}

fn ends(wire: &mut Wire) {
    poll("the connection to be ended", || wire.is_closed().then_some(()));
}

#[test]
fn a_connection_whose_certificate_is_revoked_is_ended_and_the_others_stay() {
    let second = with_list(patient());
    let (good, bad) = (second.pki.client(WEB), second.pki.client(WEB));
    let mut stays = second.caller(&good).wire().expect("TLS");
    let mut goes = second.caller(&bad).wire().expect("TLS");
    for wire in [&mut stays, &mut goes] {
        wire.send(&status()).expect("an answer").is(200);
    }
    revoke(&second, &[&bad]);
    second.vault.hang_up();
    ends(&mut goes);
    stays.send(&status()).expect("the other one stays").is(200);
    second.caller(&bad).refused();
}

#[test]
fn a_connection_whose_ca_is_gone_is_ended() {
    let second = Second::with(patient());
    let mut wire = second.web().wire().expect("TLS");
    wire.send(&status()).expect("an answer").is(200);
    write(&second.vault.room().join("clients-ca.crt"), &second.pki.others.certificate);
    ends(&mut wire);
    let identity = second.pki.others.issue(&Wish::client(WEB));
    second.caller(&identity).send(&status()).is(200);
}

#[test]
fn a_connection_ends_with_its_certificate() {
    let second = Second::with(patient());
    let short = second.pki.clients.issue(&Wish::client(WEB).ending_in(Duration::from_secs(8)));
    let mut wire = second.caller(&short).wire().expect("TLS");
    wire.send(&status()).expect("an answer").is(200);
    let mut lasting = second.web().wire().expect("TLS");
    lasting.send(&status()).expect("an answer").is(200);
    ends(&mut wire);
    lasting.send(&status()).expect("an answer").is(200);
}
