//! The root key, fetched by a daemon that has no network; and each way in which it is not to be had, in the audit log.

use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::thread;

use serde_json::json;

use super::WayOut;
use crate::kit::configuration::other_uid;
use crate::kit::{Configuration, Request, TestVault, is_root, poll, skip};
use crate::root_key::aws::Aws;
use crate::root_key::openbao::OpenBao;
use crate::root_key::vault_from;

/// The words that start a program without any network; none, where that cannot be done here.
fn without_network() -> Option<Vec<String>> {
    let ways: [&[&str]; 2] = [&["unshare", "--net"], &["unshare", "--map-current-user", "--net"]];
    let works = |way: &&&[&str]| {
        Command::new(way[0]).args(&way[1..]).arg("true").output().is_ok_and(|out| out.status.success())
    };
    let way = ways.iter().find(works)?;
    Some(way.iter().map(|word| (*word).to_owned()).collect())
}

/// A vault whose key comes from there, by egress, and which has no network if that can be done here.
fn behind(way: &WayOut, root_key: &str, variables: &[(&str, &str)]) -> TestVault {
    let mut vault = vault_from(&format!("{root_key}\n{}", way.section()), variables);
    match without_network() {
        Some(words) => vault.dowry.before = words,
        None => skip("the daemon behind egress has a network: no network namespaces here"),
    }
    vault
}

/// A reload of the keys is refused, and the audit log says why.
fn reload_fails(vault: &TestVault, reason: &str, words: &[&str]) {
    let answer = vault.admin().send(&Request::new("POST", "/admin/v1/keys/reload"));
    let entry = vault.audited(&answer);
    let refused = answer.refused(503, "not_ready");
    for word in words {
        assert!(refused.detail.contains(word), "no {word:?} in: {}", refused.detail);
    }
    assert_eq!(
        (entry.action.as_str(), entry.decision.as_str(), entry.outcome.as_str(), entry.reason.as_deref()),
        ("key:reload", "allow", "not_ready", Some(reason))
    );
}

#[test]
fn a_daemon_without_a_network_gets_its_key_and_serves() {
    let Some(bao) = OpenBao::start() else { return };
    let root_key = bao.root_key("tokenkeep/root", &bao.with_token(&bao.reader()));
    let mut way = WayOut::stopped();
    let mut vault = behind(&way, &root_key, &[]);
    if !vault.dowry.before.is_empty() {
        // That there is none: the daemon cannot get it by itself.
        let direct = vault_from(&root_key, &[]);
        vault.start_in_vain_as_configured().with(69, &["tokenkeep-egress cannot be asked"]);
        let mut direct = direct;
        direct.dowry.before.clone_from(&vault.dowry.before);
        direct.start_in_vain_as_configured().with(69, &["cannot be reached"]);
    }
    way.start_with(&vault.configuration_file());
    vault.start_as_configured();
    vault.create_org("acme");
    vault.put("acme", "github/main", &json!({"access_token": "kept"}));
    vault.admin().send(&Request::new("POST", "/admin/v1/keys/reload")).is(200);
    assert!(way.said().contains("localhost: connected"), "{}", way.said());
    assert!(!way.said().contains("tokenkeep/root"), "the host, and nothing of what is asked there");

    drop(way);
    reload_fails(&vault, "outbound_egress", &["tokenkeep-egress cannot be asked", "the old list stands"]);
    assert_eq!(vault.access_token("acme", "github/main"), "kept");
    vault.audit_is_intact();
}

#[test]
fn what_egress_refuses_is_audited() {
    let Some(bao) = OpenBao::start() else { return };
    let root_key = bao.root_key("tokenkeep/root", &bao.with_token(&bao.reader()));
    let mut way = WayOut::stopped();
    let mut vault = behind(&way, &root_key, &[]);
    way.start_with(&vault.configuration_file());
    vault.start_as_configured();
    // A configuration that names another host: the daemon has not read it.
    let named = std::fs::read_to_string(vault.configuration_file()).unwrap();
    let address = bao.address().to_owned();
    let other = named.replace(&address, "https://bao.example:8200");
    crate::kit::vault::write_private(&vault.configuration_file(), other.as_bytes());
    way.signal(nix::sys::signal::Signal::SIGHUP);
    way.says("reloaded");
    reload_fails(
        &vault,
        "outbound_not_named",
        &["finds it in no configuration", "systemctl reload tokenkeep-egress"],
    );
    crate::kit::vault::write_private(&vault.configuration_file(), named.as_bytes());
    way.signal(nix::sys::signal::Signal::SIGHUP);
    poll("the reload", || (way.said().matches("reloaded").count() > 1).then_some(()));
    vault.admin().send(&Request::new("POST", "/admin/v1/keys/reload")).is(200);

    // Somebody is there, and says nothing.
    let port: u16 = address.rsplit(':').next().unwrap().parse().unwrap();
    let _files = bao.end();
    reload_fails(&vault, "outbound_unreachable", &["connection refused"]);
    let stalled = poll("the port", || TcpListener::bind(("127.0.0.1", port)).ok());
    reload_fails(&vault, "outbound_deadline", &["took too long to shake hands"]);
    drop(stalled);
}

#[test]
fn a_redirect_is_not_followed() {
    let Some(aws) = Aws::start() else { return };
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let mut way = WayOut::stopped();
    let mut vault = behind(&way, &aws.root_key("tokenkeep/root"), &aws.keys_of("reader"));
    way.start_with(&vault.configuration_file());
    vault.start_as_configured();
    let location = format!("http://{}/", elsewhere.local_addr().unwrap());
    aws.misbehave(&json!({"times": 1, "status": 307, "location": location}));
    reload_fails(&vault, "outbound_redirect", &["status 307", "a redirect is not followed"]);
    assert!(elsewhere.accept().is_err(), "somebody went there");
    vault.admin().send(&Request::new("POST", "/admin/v1/keys/reload")).is(200);
}

/// Binds as root, listens as somebody else.
const IMPOSTOR: &str = "import os, socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.bind(sys.argv[1])\n\
    os.setresuid(*[int(sys.argv[2])] * 3)\ns.listen(9)\nprint(flush=True)\nsys.stdin.read()";

#[test]
fn who_stands_in_for_egress_is_asked_nothing() {
    let way = WayOut::stopped();
    let root_key = "source = \"openbao\"\naddress = \"http://localhost:1\"\npath = \"a\"\nwait = \"0s\"\ntoken = { file = \"ROOM/token\" }";
    let mut vault = TestVault::stopped(Configuration::default());
    let root_key = root_key.replace("ROOM", &vault.room().display().to_string());
    crate::kit::vault::write_private(&vault.room().join("token"), b"hvs.none");
    crate::root_key::reconfigure(&mut vault, &format!("{root_key}\n{}", way.section()), &[]);
    let listener = UnixListener::bind(way.socket()).unwrap();
    let closed = thread::spawn(move || drop(listener.accept()));
    vault.start_in_vain_as_configured().with(69, &["tokenkeep-egress cannot be asked"]);
    closed.join().unwrap();
    std::fs::remove_file(way.socket()).unwrap();
    if !is_root() {
        return skip("another user in place of egress: needs root");
    }
    let mut impostor = Command::new("/usr/bin/python3")
        .args(["-c", IMPOSTOR])
        .arg(way.socket())
        .arg(other_uid().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Read::read_exact(impostor.stdout.as_mut().unwrap(), &mut [0]).unwrap();
    let words = format!("in place of tokenkeep-egress is user {}", other_uid());
    vault.start_in_vain_as_configured().with(77, &[&words, "nothing was sent"]);
    drop(impostor.stdin.take());
    impostor.wait().unwrap();
}
