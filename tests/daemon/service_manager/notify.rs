//! What the daemon says of itself, from the first word to the last.

use super::{Notified, has, value};
use crate::kit::vault::new_key;
use crate::kit::{Configuration, poll};

#[test]
fn the_service_manager_hears_of_the_whole_life() {
    let (mut vault, manager) = Notified::over(Configuration::default());
    vault.start();
    let ready = manager.hears("READY=1");
    assert_eq!(value(&ready, "STATUS"), "serving: 0 records, store ok, audit ok");
    vault.create_org("acme");
    vault.put_pair("acme", "github/main", "at-canary", "rt-canary");
    vault.hang_up();
    let reloading = manager.hears("RELOADING=1");
    let moment: u64 = value(&reloading, "MONOTONIC_USEC").parse().unwrap();
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
    let uptime: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
    assert!((1..=(uptime * 1e6) as u64 + 1_000_000).contains(&moment), "{moment} at {uptime}");
    let ready = manager.hears("READY=1");
    assert_eq!(value(&ready, "STATUS"), "serving: 3 records, store ok, audit ok");
    vault.stop();
    let stopping = manager.hears("STOPPING=1");
    assert!(value(&stopping, "STATUS").starts_with("draining"), "{stopping:?}");
    // The deadline of a body, 10 s, that of a provider's answer, 15 s, and what comes after them.
    assert_eq!(value(&stopping, "EXTEND_TIMEOUT_USEC"), "40000000");
}

#[test]
fn the_wait_for_the_root_key_is_told_and_asks_for_more_time() {
    let configuration = Configuration { root_key: "wait = \"10m\"", ..Configuration::default() };
    let (mut vault, manager) = Notified::over(configuration);
    std::fs::remove_file(vault.root_key_file()).unwrap();
    vault.write_configuration();
    vault.spawn();
    for attempt in ["(attempt 1)", "(attempt 2)"] {
        let waiting = manager.hears(&format!("STATUS=waiting for the root key {attempt}: "));
        assert!(value(&waiting, "EXTEND_TIMEOUT_USEC").parse::<u64>().unwrap() > 30_000_000);
        assert!(!has(&waiting, "READY"));
    }
    vault.write_root_key(&[&new_key()]);
    manager.hears("READY=1");
    vault.stop();
}

#[test]
fn who_waits_for_the_root_key_can_be_stopped_and_leaves_nothing_behind() {
    let configuration = Configuration { root_key: "wait = \"10m\"", ..Configuration::default() };
    let (mut vault, manager) = Notified::over(configuration);
    std::fs::remove_file(vault.root_key_file()).unwrap();
    vault.write_configuration();
    vault.spawn();
    manager.hears("STATUS=waiting for the root key (attempt 2)");
    vault.hang_up();
    vault.stop();
    assert!(!vault.socket().exists() && !vault.admin_socket().exists());
}

#[test]
fn why_it_does_not_start_is_told_too() {
    let (mut vault, manager) = Notified::over(Configuration::default());
    vault.write_root_key(&["not a key"]);
    vault.start_in_vain().with(65, &[]);
    let why = manager.hears("STATUS=root key wrong or incomplete: ");
    assert!(!format!("{why:?}").contains("not a key"));
}

#[test]
fn an_index_that_is_made_anew_is_told() {
    let (mut vault, manager) = Notified::over(Configuration::default());
    vault.start();
    vault.create_org("acme");
    vault.stop();
    manager.hears("STOPPING=1");
    std::fs::remove_dir_all(vault.state().join("index")).unwrap();
    vault.spawn();
    let told = manager.hears("STATUS=making the index anew: ");
    assert_eq!(value(&told, "EXTEND_TIMEOUT_USEC"), "60000000");
    manager.hears("READY=1");
    poll("the org to be served", || vault.socket().exists().then_some(()));
    vault.stop();
}
