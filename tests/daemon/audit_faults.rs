//! An audit log that is taken away while the daemon runs: nothing is released from then on.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::json;

use crate::kit::way::Way;
use crate::kit::{Configuration, Response, TestVault, WAYS, poll};

/// Does something to the last file of a running daemon's log, and sees that nothing is released any more.
/// Gives the last refusal.
fn after(deed: impl Fn(&Path)) -> (TestVault, Response) {
    after_over(WAYS[0], deed)
}

fn after_over(way: Way, deed: impl Fn(&Path)) -> (TestVault, Response) {
    let vault = TestVault::over(way, Configuration::default());
    vault.create_org("acme");
    vault.put_pair("acme", "github/main", "never-after", "nor-this");
    assert_eq!(vault.access_token("acme", "github/main"), "never-after");
    deed(&vault.audit_files().pop().unwrap());
    let refused = poll("the loss to be noticed", || {
        let answer = vault.token("acme", "github/main");
        (answer.status != 200).then_some(answer)
    });
    refused.clone().refused(503, "audit_unavailable");
    for path in ["token", "refresh-token"] {
        let answer = vault.get(&format!("/v1/orgs/acme/connections/github/main/{path}"));
        assert!(!answer.text().contains("never-after") && !answer.text().contains("nor-this"));
        answer.refused(503, "audit_unavailable");
    }
    vault.try_put("acme", "github/main", &json!({"access_token": "t"})).refused(503, "audit_unavailable");
    vault.get("/v1/status").refused(503, "audit_unavailable");
    vault.get("/v2/nonsense").refused(503, "audit_unavailable");
    let batch = json!({"connections": [{"provider": "github", "name": "main"}]});
    vault.line().post("/v1/orgs/acme/tokens", &batch).refused(503, "audit_unavailable");
    vault.admin().get("/admin/v1/audit?last=5").refused(503, "audit_unavailable");
    let unready = vault.get("/readyz").refused(503, "not_ready");
    assert!(unready.detail.contains("audit log"), "{}", unready.detail);
    vault.get("/healthz").is(200);
    (vault, refused)
}

/// The answer for the table of errors.
pub(crate) fn refusals(way: Way) -> Vec<Response> {
    let (vault, refused) = after_over(way, |log| fs::remove_file(log).unwrap());
    vec![refused, vault.get("/readyz")]
}

#[test]
fn a_log_that_is_replaced_stops_everything() {
    after(|log| {
        let bytes = fs::read(log).unwrap();
        let beside = log.with_extension("beside");
        fs::write(&beside, bytes).unwrap();
        fs::set_permissions(&beside, fs::Permissions::from_mode(0o600)).unwrap();
        fs::rename(beside, log).unwrap();
    });
}

#[test]
fn a_log_that_is_truncated_stops_everything_and_is_damage_at_the_next_start() {
    let (mut vault, _) = after(|log| {
        let file = File::options().write(true).open(log).unwrap();
        let length = file.metadata().unwrap().len();
        file.set_len(length / 3).unwrap();
    });
    vault.kill9();
    vault.start_in_vain().with(74, &["audit log"]);
}

#[test]
fn a_log_that_somebody_else_writes_to_stops_everything() {
    let (mut vault, _) = after(|log| {
        let mut file = File::options().append(true).open(log).unwrap();
        file.write_all(b"{\"seq\":1}\n").unwrap();
    });
    vault.kill9();
    vault.start_in_vain().with(74, &["audit log is damaged"]);
}

#[test]
fn a_log_directory_that_is_moved_away_stops_everything_until_it_is_back() {
    let (mut vault, _) = after(|log| {
        let directory = log.parent().unwrap();
        fs::rename(directory, directory.with_extension("away")).unwrap();
    });
    let away = vault.audit_directory().with_extension("away");
    vault.kill9();
    vault.start_in_vain().with(74, &["audit log", "restore"]);
    fs::remove_dir_all(vault.audit_directory()).unwrap();
    fs::rename(away, vault.audit_directory()).unwrap();
    vault.start();
    assert_eq!(vault.access_token("acme", "github/main"), "never-after");
    vault.audit_is_intact();
}

#[test]
fn a_log_that_is_opened_to_others_stops_everything() {
    after(|log| fs::set_permissions(log, fs::Permissions::from_mode(0o644)).unwrap());
}
