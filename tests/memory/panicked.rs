//! A panic in a daemon that serves, with tokens in hand: none of them in what it says or in its files.
//!
//! `make fault-points` builds a daemon that panics where it is told to. In a refresh the thread is unwound and the daemon
//! goes on; on the thread that writes the journal, the store is poisoned and the daemon ends. What the dead part of a stack
//! holds until its thread works again (seen: the last bytes that were copied before the panic, out of vector registers, which
//! the unwinding writes down once a frame) is printed. There is none of it elsewhere, and no key anywhere.

use std::path::PathBuf;

use serde_json::json;
use tokenkeep_scanner::{Kind, Place};

use crate::canaries::Canaries;
use crate::kit::vault::new_key;
use crate::kit::{Configuration, Request, TestVault, poll};
use crate::load::KeyRing;
use crate::provider::OAuthServer;
use crate::survey::{Survey, may_look, rest};

const CONNECTION: &str = "/v1/orgs/acme/connections/oidc/main";

/// How a panic is told (`src/os/crash.rs`).
const FAULT: &str = "a fault of tokenkeep at ";

/// With the refresh token in hand, with the answer as bytes, and with its tokens sealed.
const IN_A_REFRESH: [&str; 3] = ["request/due", "answer/whole", "answer/sealed"];

/// With the refresh token in hand: before its record is written, written, on the disk, in the index; and with the answer in
/// hand, which is tried to be kept to the end of the drain.
const IN_A_COMMIT: [&str; 5] = [
    "intent/sealed,journal/due",
    "intent/sealed,journal/written",
    "intent/sealed,journal/synced",
    "intent/sealed,journal/published",
    "answer/sealed,journal/due",
];

#[test]
#[ignore = "`make fault-points` builds what panics"]
fn a_panic_in_a_refresh_leaves_no_plaintext() {
    let variables = [("KEEP_PLAINTEXT", "yes")];
    let Some(server) = OAuthServer::start_with(3600, &variables) else { return };
    for point in IN_A_REFRESH {
        let vault = vault_that_panics(&server, point);
        if !may_look(&vault) {
            return;
        }
        let canaries = Canaries::default();
        canaries.note("refresh token", &put(&server, &vault));
        let answer = vault.send(&refresh());
        assert_ne!(answer.status, 200, "{point}");
        poll("its panic", || vault.said().contains(FAULT).then_some(()));
        vault.get(&format!("{CONNECTION}/token")).is(200);
        note_all(&server, &canaries);
        let ring = KeyRing { roots: [vault.root_key(), new_key()], retired: new_key() };
        let survey = Survey::new(&vault, &ring, &canaries);
        rest(&vault);
        for report in survey.live(&vault, point) {
            let not_there = report.of(Kind::Canary).filter(|hit| hit.place != Place::Stack).count();
            assert_eq!(not_there, 0, "{point}: {report}");
            assert_eq!(report.count(Kind::Key), 0, "{point}: {report}");
        }
        survey.files(&vault);
    }
}

#[test]
#[ignore = "`make fault-points` builds what panics"]
fn a_panic_in_a_commit_leaves_no_plaintext() {
    let variables = [("KEEP_PLAINTEXT", "yes")];
    let Some(server) = OAuthServer::start_with(3600, &variables) else { return };
    for point in IN_A_COMMIT {
        let mut vault = vault_that_panics(&server, point);
        let canaries = Canaries::default();
        canaries.note("refresh token", &put(&server, &vault));
        let ring = KeyRing { roots: [vault.root_key(), new_key()], retired: new_key() };
        let mut wire = vault.line().wire().expect("it listens");
        wire.write(&refresh().bytes()).expect("it reads");
        let ended = vault.wait();
        assert_eq!(ended.code, Some(74), "{point}: {}", ended.line);
        note_all(&server, &canaries);
        let survey = Survey::new(&vault, &ring, &canaries);
        survey.files(&vault);
        assert!(vault.said().contains(FAULT), "{point}: {}", vault.said());
        // And what was acknowledged is there.
        vault.dowry.variables.clear();
        vault.start();
        vault.get(&format!("{CONNECTION}/token")).is(200);
        vault.audit_is_intact();
    }
}

fn vault_that_panics(server: &OAuthServer, way: &str) -> TestVault {
    let built = std::env::var_os("TOKENKEEP_TEST_FAULT_DAEMON");
    let built = PathBuf::from(built.expect("`make fault-points` builds the daemon and names it here"));
    let log = "level = \"trace\"";
    let mut vault = TestVault::stopped(Configuration { log, ..Configuration::default() });
    vault.dowry.program = Some(built.into_os_string());
    vault.dowry.variables = vec![("TOKENKEEP_FAULT_POINTS".to_owned(), format!("{way}!").into())];
    let lines = "client_id = \"rotates\"\nrotation = \"rotates\"\nrefresh_early = \"allowed\"";
    server.configure_as(&mut vault, lines);
    vault.start();
    vault.create_org("acme");
    vault
}

fn put(server: &OAuthServer, vault: &TestVault) -> String {
    let refresh = server.issue("rotates");
    let set = json!({ "access_token": "first", "refresh_token": refresh, "expires_in": 3600 });
    vault.put("acme", "oidc/main", &set);
    refresh
}

fn refresh() -> Request {
    Request::post(format!("{CONNECTION}/refresh"), &json!({ "if_generation": 1 }))
}

fn note_all(server: &OAuthServer, canaries: &Canaries) {
    for (name, text) in server.plaintext() {
        canaries.note(&name, &text[text.len().saturating_sub(40)..]);
    }
}
