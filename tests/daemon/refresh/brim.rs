//! A disk that fills up to the last byte while a refresh is under way.
//!
//! Judged by the provider's account, and by what a kill leaves.

use std::thread;

use super::*;
use crate::kit::skip;
use crate::kit::tmpfs::Tmpfs;

/// As in `full_disk`.
const MEBIBYTES: u32 = 96;

#[test]
fn an_answer_that_comes_to_a_full_disk_is_kept_and_no_other_is_asked_for() {
    let disk = match Tmpfs::mount(MEBIBYTES) {
        Ok(disk) => disk,
        Err(why) => return skip(&why),
    };
    let Some(server) = OAuthServer::start(60) else { return };
    let mut vault = TestVault::stopped_with_state(&disk.path().join("state"), Configuration::default());
    server.configure(&mut vault, "refresh_early = \"allowed\"\n[refresh]\nearly = \"none\"");
    vault.start();
    vault.create_org("acme");
    put_ended(&vault, &server, MAIN);
    put_ended(&vault, &server, "oidc/other");
    server.fault(&json!({ "delay_ms": 2000 }));
    let answer = thread::scope(|scope| {
        let asked = scope.spawn(|| vault.token("acme", MAIN));
        poll("the flight", || (shown(&vault, MAIN)["state"] == "refreshing").then_some(()));
        disk.fill();
        asked.join().expect("an answer")
    });
    let answer = answer.is(200).json();
    assert_eq!(answer["generation"], json!(2));
    assert_eq!(server.results(), ["granted"]);
    poll("a refusal", || (vault.token("acme", "oidc/other").status != 200).then_some(()));
    vault.token("acme", "oidc/other").refused(507, "storage_full");
    assert_eq!(server.results(), ["granted"], "without room for its answer, the provider is not asked");

    // Killed while it is full: what came is in the journal.
    vault.kill9();
    disk.fill();
    vault.start();
    assert_eq!(vault.access_token("acme", MAIN), answer["access_token"]);
    disk.clear();
    let other = poll("room", || {
        let answer = vault.token("acme", "oidc/other");
        (answer.status != 507).then_some(answer)
    });
    other.is(200);
    refreshed(&vault, MAIN, 2).is(200);
    assert_eq!(
        server.results(),
        ["granted", "granted", "granted"],
        "the token that was kept is the provider's"
    );
    vault.audit_is_intact();
    vault.restart();
    assert_eq!(shown(&vault, MAIN)["generation"], json!(3));
}
