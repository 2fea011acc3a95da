//! Sockets that the service manager holds: taken when they are what they should be, and left where they are.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;

use crate::kit::http::Wire;
use crate::kit::{Configuration, Request, TestVault};
use crate::mtls::Second;

/// As a socket unit makes it.
fn listening(path: &Path, mode: u32) -> OwnedFd {
    let listener = UnixListener::bind(path).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    listener.into()
}

/// A vault whose two sockets the service manager holds.
fn handed() -> TestVault {
    let mut vault = TestVault::stopped(Configuration::default());
    let application = listening(&vault.socket(), 0o666);
    let admin = listening(&vault.admin_socket(), 0o600);
    vault.dowry.sockets = vec![("application", application), ("admin", admin)];
    vault
}

#[test]
fn who_connects_before_the_daemon_runs_is_answered_when_it_does() {
    let mut vault = handed();
    let mut early = Wire::connect(&vault.socket()).unwrap();
    early.write(&Request::get("/v1/status").bytes()).unwrap();
    vault.start();
    early.read_response().unwrap().expect("an answer").is(200);
    assert_eq!(vault.admin().get("/v1/status").is(200).json()["principal"]["proof"], "admin");
}

#[test]
fn a_crash_costs_no_client_its_socket() {
    let mut vault = handed();
    let inode = |vault: &TestVault| fs::metadata(vault.socket()).unwrap().ino();
    let before = inode(&vault);
    vault.start();
    vault.create_org("acme");
    vault.kill9();
    let mut meanwhile = Wire::connect(&vault.socket()).expect("the socket is there");
    meanwhile.write(&Request::get("/v1/orgs/acme").bytes()).unwrap();
    vault.start();
    meanwhile.read_response().unwrap().expect("an answer").is(200);
    vault.stop();
    assert_eq!(inode(&vault), before, "the file is the service manager's");
    let mut after = UnixStream::connect(vault.socket()).expect("it stands after a stop too");
    after.write_all(b"GET").unwrap();
    vault.start();
}

#[test]
fn one_that_is_not_handed_over_is_made_and_removed() {
    let mut vault = TestVault::stopped(Configuration::default());
    vault.dowry.sockets = vec![("application", listening(&vault.socket(), 0o660))];
    vault.start();
    vault.admin().get("/v1/status").is(200);
    vault.stop();
    assert!(vault.socket().exists() && !vault.admin_socket().exists());
}

#[test]
fn sockets_for_another_process_are_not_taken() {
    let mut vault = TestVault::stopped(Configuration::default());
    vault.dowry.sockets = vec![("application", listening(&vault.room().join("elsewhere"), 0o666))];
    vault.dowry.variables.push(("LISTEN_PID".into(), "1".into()));
    vault.start();
    vault.get("/v1/status").is(200);
}

#[test]
fn what_is_not_as_it_should_be_is_refused() {
    let in_vain = |code, words: &[&str], sockets: fn(&TestVault) -> Vec<(&'static str, OwnedFd)>| {
        let mut vault = TestVault::stopped(Configuration::default());
        vault.dowry.sockets = sockets(&vault);
        vault.start_in_vain().with(code, words);
    };
    in_vain(78, &["application", "other.sock", "the configuration says"], |vault| {
        vec![("application", listening(&vault.room().join("other.sock"), 0o666))]
    });
    in_vain(78, &["nothing here asks for", "FileDescriptorName="], |vault| {
        vec![("tokenkeepd.socket", listening(&vault.socket(), 0o666))]
    });
    in_vain(78, &["nothing here asks for", "mtls"], |_| {
        vec![("mtls", std::net::TcpListener::bind("127.0.0.1:0").unwrap().into())]
    });
    in_vain(78, &["application is not a Unix stream socket"], |_| {
        vec![("application", std::net::TcpListener::bind("127.0.0.1:0").unwrap().into())]
    });
    in_vain(78, &["application is not a Unix stream socket"], |vault| {
        vec![("application", UnixDatagram::bind(vault.socket()).unwrap().into())]
    });
    in_vain(78, &["application is not a Unix stream socket"], |_| {
        vec![("application", UnixStream::pair().unwrap().0.into())]
    });
    in_vain(78, &["two sockets named application"], |vault| {
        let second = vault.room().join("second");
        vec![("application", listening(&vault.socket(), 0o666)), ("application", listening(&second, 0o666))]
    });
    in_vain(77, &["admin.sock", "SocketMode=0600"], |vault| {
        vec![("admin", listening(&vault.admin_socket(), 0o660))]
    });
    in_vain(77, &["chmod go-w"], |vault| {
        let socket = listening(&vault.socket(), 0o666);
        fs::set_permissions(vault.room(), Permissions::from_mode(0o777)).unwrap();
        vec![("application", socket)]
    });
}

#[test]
fn the_mtls_listener_is_handed_over_too() {
    let mut second = Second::closed(Configuration::default());
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    second.vault.dowry.sockets = vec![("mtls", socket.into())];
    second.vault.start();
    assert_eq!(second.vault.mtls_address(), address);
    assert_eq!(second.web().send(&Request::get("/v1/status")).is(200).json()["principal"]["name"], "app");
}
