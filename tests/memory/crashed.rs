//! A daemon that crashes with plaintext in hand leaves none of it: no core, nothing in what it said, nothing on its disk.

use std::os::unix::process::ExitStatusExt;

use nix::sys::signal::Signal;
use tokenkeep_scanner::{Needles, Scanner};

use crate::canaries::Canaries;
use crate::kit::line::Protocol;
use crate::kit::{Configuration, TestVault, WAYS, files};

#[test]
fn a_crash_leaves_no_plaintext() {
    for signal in [Signal::SIGSEGV, Signal::SIGABRT, Signal::SIGBUS, Signal::SIGILL, Signal::SIGQUIT] {
        let mut vault =
            TestVault::with(Configuration { log: "level = \"trace\"", ..Configuration::default() });
        let canaries = Canaries::default();
        vault.create_org("acme");
        vault.put_pair("acme", "github/a", &canaries.plant("access token"), &canaries.plant("refresh token"));
        let waiting = half_sent(&vault, &canaries);
        vault.signal(signal);
        let status = vault.crashed();
        assert_eq!(status.signal(), Some(signal as i32), "{status:?}");
        assert!(!status.core_dumped(), "{signal} left a core");
        drop(waiting);
        let mut needles = Needles::default();
        canaries.add_to(&mut needles);
        assert!(needles.fernet_key("root key", &vault.root_key()));
        crate::keys::add_to(&mut needles, &vault, &[vault.root_key()]);
        let scanner = Scanner::new(needles);
        for (path, bytes) in files::below(vault.state()) {
            assert_eq!(scanner.bytes(&path.display().to_string(), &bytes).hits, []);
        }
        assert_eq!(scanner.bytes("what it said", vault.said().as_bytes()).hits, []);
    }
}

/// Requests that have come in part, so that plaintext is in memory.
fn half_sent(vault: &TestVault, canaries: &Canaries) -> Vec<crate::kit::http::Wire> {
    let ways = WAYS.into_iter().filter(|way| way.protocol == Protocol::Http1);
    let unix = ways.filter(|way| way.door == crate::kit::way::Door::Unix).map(|way| vault.line_by(way));
    let head =
        "PUT /v1/orgs/acme/connections/github/b HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
    let mut wires = Vec::new();
    for line in unix {
        for _ in 0..8 {
            let mut wire = line.wire().expect("the daemon listens");
            let body = format!("{{\"access_token\": \"{}\", ", canaries.plant("half a body"));
            wire.write(format!("{head}content-length: 1000\r\n\r\n{body}").as_bytes()).expect("it reads");
            wires.push(wire);
        }
    }
    // Answered after those were read, or at least after they came.
    vault.get("/v1/status").is(200);
    wires
}
