//! SIGHUP: the whole file or nothing of it, for connections that stand too.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::ScopedJoinHandle;

use super::{Notified, value};
use crate::kit::http::Wire;
use crate::kit::vault::write_private;
use crate::kit::{Client, Configuration, Request, TestVault, poll};
use crate::mtls::Second;

const READ: &str = "/v1/orgs/acme/connections/github/main/token";

fn with_a_token(configuration: Configuration) -> (TestVault, Notified) {
    let (mut vault, manager) = Notified::over(configuration);
    vault.start();
    manager.hears("READY=1");
    vault.create_org("acme");
    vault.put_pair("acme", "github/main", "at", "rt");
    (vault, manager)
}

/// Tells the daemon, and gives the status afterwards.
fn reload(vault: &TestVault, manager: &Notified) -> String {
    vault.hang_up();
    manager.hears("RELOADING=1");
    value(&manager.hears("READY=1"), "STATUS").to_owned()
}

#[test]
fn rights_change_on_connections_that_stand() {
    let (mut vault, manager) = with_a_token(Configuration::default());
    let mut wire = Wire::connect(&vault.socket()).unwrap();
    wire.send(&Request::get(READ)).unwrap().is(200);
    vault.configuration.clients = vec![Client { allow: &["connection:read"], ..Client::own() }];
    vault.write_configuration();
    assert_eq!(reload(&vault, &manager), "serving: 3 records, store ok, audit ok");
    wire.send(&Request::get(READ)).unwrap().refused(403, "forbidden");
    wire.send(&Request::get("/v1/orgs/acme/connections/github/main")).unwrap().is(200);
    vault.configuration.clients = Vec::new();
    vault.write_configuration();
    reload(&vault, &manager);
    wire.send(&Request::get(READ)).unwrap().refused(401, "unauthenticated");
    vault.configuration.clients = vec![Client::own()];
    vault.write_configuration();
    reload(&vault, &manager);
    wire.send(&Request::get(READ)).unwrap().is(200);
    let reloads = vault.audit().into_iter().filter(|entry| entry.target.as_deref() == Some("reload"));
    assert_eq!(reloads.count(), 3, "who may do what has changed three times");
}

#[test]
fn a_provider_and_its_client_come_together() {
    let (mut vault, manager) = with_a_token(Configuration::default());
    let set = serde_json::json!({"access_token": "at"});
    vault.try_put("acme", "jira/main", &set).refused(400, "unknown_provider");
    vault.configuration.more = "[[provider]]\nid = \"jira\"";
    vault.configuration.clients = vec![Client { providers: &["jira"], ..Client::own() }];
    vault.write_configuration();
    reload(&vault, &manager);
    vault.put("acme", "jira/main", &set);
    vault.token("acme", "github/main").refused(403, "forbidden");
}

#[test]
fn a_broken_configuration_is_refused_with_its_place_and_the_old_one_stands() {
    let (mut vault, manager) = with_a_token(Configuration::default());
    let text = std::fs::read_to_string(vault.configuration_file()).unwrap();
    write_private(&vault.configuration_file(), (text + "canary = 1\n").as_bytes());
    let status = reload(&vault, &manager);
    assert!(status.starts_with("serving: 3 records"), "{status}");
    assert!(
        status.contains("the last reload was refused: ") && status.contains("tokenkeep.toml:"),
        "{status}"
    );
    vault.token("acme", "github/main").is(200);
    // What is wrong is forgotten once it is mended.
    vault.write_configuration();
    assert_eq!(reload(&vault, &manager), "serving: 3 records, store ok, audit ok");
    vault.restart();
}

#[test]
fn what_needs_a_restart_is_named_and_nothing_else_is_taken() {
    let (mut vault, manager) = with_a_token(Configuration::default());
    vault.configuration.clients = Vec::new();
    vault.configuration.limits = "connections = 7";
    vault.configuration.root_key = "wait = \"1s\"";
    vault.write_configuration();
    let status = reload(&vault, &manager);
    assert!(
        status.ends_with("refused: [root_key], [limits] cannot change while the daemon runs; restart it"),
        "{status}"
    );
    vault.token("acme", "github/main").is(200);
}

#[test]
fn a_configuration_that_others_can_change_is_not_taken() {
    use std::os::unix::fs::PermissionsExt;
    let (vault, manager) = with_a_token(Configuration::default());
    let loose = std::fs::Permissions::from_mode(0o666);
    std::fs::set_permissions(vault.configuration_file(), loose).unwrap();
    assert!(reload(&vault, &manager).contains("the last reload was refused: configuration: "));
}

#[test]
fn levels_of_the_log_change() {
    let (mut vault, manager) =
        with_a_token(Configuration { log: "level = \"error\"", ..Configuration::default() });
    reload(&vault, &manager);
    assert!(!vault.said().contains("reloaded"), "{}", vault.said());
    vault.configuration.log = "level = \"error\"\nlevels = { daemon = \"info\" }";
    vault.write_configuration();
    reload(&vault, &manager);
    assert!(vault.said().contains("INFO tokenkeep::daemon::run: reloaded"), "{}", vault.said());
}

#[test]
fn a_used_up_allowance_is_not_filled_by_a_reload() {
    let client = Client { rate: Some((1, 1000)), ..Client::own() };
    let configuration = Configuration { clients: vec![client], ..Configuration::default() };
    let (mut vault, manager) = Notified::over(configuration);
    vault.start();
    manager.hears("READY=1");
    let mut wire = Wire::connect(&vault.socket()).unwrap();
    let mut ask = || wire.send(&Request::get("/v1/status")).unwrap().status;
    poll("the burst to be spent", || (ask() == 429).then_some(()));
    reload(&vault, &manager);
    let served = (0..100).filter(|_| ask() == 200).count();
    assert!(served < 100, "a new burst of 1000");
}

#[test]
fn a_caller_with_a_certificate_is_judged_anew_too() {
    let mut second = Second::open();
    second.vault.create_org("acme");
    second.vault.put_pair("acme", "github/main", "at", "rt");
    let mut wire = second.web().wire().unwrap();
    wire.send(&Request::get(READ)).unwrap().is(200);
    second.vault.configuration.clients[0].allow = &["connection:read"];
    second.vault.write_configuration();
    second.vault.hang_up();
    poll("the new rules", || (wire.send(&Request::get(READ)).unwrap().status == 403).then_some(()));
    second.vault.configuration.clients[0].san = None;
    second.vault.write_configuration();
    second.vault.hang_up();
    poll("the new rules", || (wire.send(&Request::get(READ)).unwrap().status == 401).then_some(()));
}

#[test]
fn certificates_that_are_no_good_refuse_the_whole_reload() {
    let mut second = Second::open();
    second.vault.create_org("acme");
    second.vault.put_pair("acme", "github/main", "at", "rt");
    let certificates: Vec<_> = std::fs::read_dir(second.vault.room())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "crt"))
        .collect();
    assert!(!certificates.is_empty());
    for file in certificates {
        write_private(&file, b"canary");
    }
    second.vault.configuration.clients = Vec::new();
    second.vault.write_configuration();
    second.vault.hang_up();
    poll("the reload to be refused", || {
        second.vault.said().contains("the last reload was refused: [listen.mtls]: ").then_some(())
    });
    second.vault.token("acme", "github/main").is(200);
    second.web().send(&Request::get(READ)).is(200);
    assert!(!second.vault.said().contains("canary"));
}

#[test]
fn reloads_under_load_drop_nobody() {
    let (vault, manager) = with_a_token(Configuration::default());
    let (over, served) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..4)
            .map(|caller| {
                let (vault, over, served) = (&vault, &over, &served);
                scope.spawn(move || {
                    let mut wire = Wire::connect(&vault.socket()).unwrap();
                    while !over.load(Ordering::Relaxed) {
                        // Half of them keep their connection, half come anew each time.
                        if caller % 2 == 0 {
                            wire = Wire::connect(&vault.socket()).unwrap();
                        }
                        wire.send(&Request::get(READ)).expect("an answer").is(200);
                        served.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        // On a busy machine it takes more reloads until so many were served meanwhile. A caller that fails ends it.
        let (mut reloads, mut refused) = (0, false);
        while (reloads < 20 || served.load(Ordering::Relaxed) < 100)
            && !refused
            && !callers.iter().any(ScopedJoinHandle::is_finished)
        {
            refused = reload(&vault, &manager).contains("refused");
            reloads += 1;
        }
        over.store(true, Ordering::Relaxed);
        callers.into_iter().for_each(|caller| caller.join().expect("each was answered"));
        assert!(!refused, "a reload was refused");
    });
}
