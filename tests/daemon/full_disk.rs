//! A full disk: writes are refused and say so, reads go on, nothing acknowledged is lost, and room heals it.

use serde_json::json;

use crate::kit::tmpfs::Tmpfs;
use crate::kit::way::Way;
use crate::kit::{Configuration, Response, TestVault, WAYS, poll, skip};

/// Room for a journal segment and the next one, the audit log's reserve and the index.
const MEBIBYTES: u32 = 96;

fn vault_on(disk: &Tmpfs, way: Way) -> TestVault {
    let vault = TestVault::stopped_with_state(&disk.path().join("state"), Configuration::default());
    let mut vault = vault.by(way);
    vault.start();
    vault.create_org("acme");
    vault
}

/// Fills the disk and writes until that is refused; gives the refusal and how many were acknowledged.
fn write_until_full(vault: &TestVault, disk: &Tmpfs, first: u32) -> (Response, u32) {
    disk.fill();
    let mut at = first;
    let refused = poll("a write to be refused", || {
        let answer =
            vault.try_put("acme", &format!("github/c{at}"), &json!({"access_token": format!("at-{at}")}));
        if answer.status >= 300 {
            return Some(answer);
        }
        at += 1;
        None
    });
    (refused, at)
}

/// The answer for the table of errors.
///
/// # Errors
/// Why it cannot be had here.
pub(crate) fn refusal(way: Way) -> Result<Response, String> {
    let disk = Tmpfs::mount(MEBIBYTES)?;
    let vault = vault_on(&disk, way);
    Ok(write_until_full(&vault, &disk, 0).0)
}

fn all_are_there(vault: &TestVault, count: u32) {
    for at in 0..count {
        assert_eq!(vault.access_token("acme", &format!("github/c{at}")), format!("at-{at}"), "{at}");
    }
}

#[test]
fn a_full_disk_refuses_writes_serves_reads_and_heals() {
    let disk = match Tmpfs::mount(MEBIBYTES) {
        Ok(disk) => disk,
        Err(why) => return skip(&why),
    };
    let mut vault = vault_on(&disk, WAYS[0]);
    for at in 0..5 {
        vault.put("acme", &format!("github/c{at}"), &json!({"access_token": format!("at-{at}")}));
    }
    let (refused, kept) = write_until_full(&vault, &disk, 5);
    refused.refused(507, "storage_full");
    all_are_there(&vault, kept);
    vault.get("/readyz").is(200);
    let status = vault.get("/v1/status").json();
    let (store, audit) = (&status["store"]["state"], &status["audit"]["state"]);
    assert!(store == "full" || audit == "low", "{status}");
    for write in [
        vault.line().put("/v1/orgs/acme/secrets/s", &json!({"value": "v"})),
        vault.line().delete("/v1/orgs/acme/connections/github/c0"),
        vault.send(&crate::kit::Request::new("PUT", "/v1/orgs/another")),
    ] {
        write.refused(507, "storage_full");
    }

    // Started again while it is full: reads at least. What the daemon had set aside is given back by a start,
    // so that is filled too.
    vault.kill9();
    disk.fill();
    vault.start();
    all_are_there(&vault, kept);
    let (refused, kept) = write_until_full(&vault, &disk, kept);
    refused.refused(507, "storage_full");
    all_are_there(&vault, kept);

    // Room again: no restart is needed.
    disk.clear();
    poll("writes to go on", || {
        let answer = vault.try_put("acme", "github/again", &json!({"access_token": "at-again"}));
        (answer.status < 300).then_some(())
    });
    all_are_there(&vault, kept);
    vault.audit_is_intact();
    vault.restart();
    all_are_there(&vault, kept);
    assert_eq!(vault.access_token("acme", "github/again"), "at-again");
    let status = vault.get("/v1/status").json();
    assert_eq!((&status["store"]["state"], &status["audit"]["state"]), (&json!("ok"), &json!("ok")));
    vault.audit_is_intact();
}
