//! Directories and sockets that are taken: a second daemon, a living socket, a stale one, something else.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;

use super::{kept, nothing_is_lost};
use crate::kit::{Configuration, TestVault};

#[test]
fn a_second_daemon_on_the_same_directory_is_refused() {
    let mut first = TestVault::running();
    first.create_org("acme");
    first.put("acme", "github/main", &serde_json::json!({"access_token": "kept"}));
    let mut second = TestVault::stopped_with_state(first.state(), Configuration::default());
    second.write_root_key(&[&first.root_key()]);
    second.start_in_vain().with(78, &["another daemon", "stop it first"]);
    assert_eq!(first.access_token("acme", "github/main"), "kept", "the first one goes on");
    first.stop();
    nothing_is_lost(&mut first);
}

#[test]
fn a_socket_that_somebody_answers_on_is_left_alone() {
    for name in ["app.sock", "admin.sock"] {
        let mut vault = kept();
        let listener = UnixListener::bind(vault.room().join(name)).unwrap();
        vault.start_in_vain().with(78, &[name, "listens", "stop it first"]);
        assert!(vault.room().join(name).exists());
        drop(listener);
        nothing_is_lost(&mut vault);
    }
}

#[test]
fn a_stale_socket_is_replaced_and_has_its_mode() {
    let mut vault = TestVault::running();
    vault.create_org("acme");
    vault.put("acme", "github/main", &serde_json::json!({"access_token": "kept"}));
    vault.kill9();
    assert!(vault.socket().exists(), "a killed daemon leaves its socket file");
    nothing_is_lost(&mut vault);
    let mode = |path: std::path::PathBuf| {
        let found = fs::symlink_metadata(path).unwrap();
        assert!(found.file_type().is_socket());
        found.permissions().mode() & 0o777
    };
    assert_eq!((mode(vault.socket()), mode(vault.admin_socket())), (0o666, 0o600));
    vault.stop();
    assert!(
        !vault.socket().exists() && !vault.admin_socket().exists(),
        "a daemon that stops takes them away"
    );
}

#[test]
fn what_is_not_a_socket_is_never_removed() {
    let mut vault = kept();
    fs::write(vault.socket(), "precious").unwrap();
    vault.start_in_vain().with(78, &["app.sock", "not a socket", "move it away"]);
    assert_eq!(fs::read_to_string(vault.socket()).unwrap(), "precious");
    fs::remove_file(vault.socket()).unwrap();
    fs::create_dir(vault.admin_socket()).unwrap();
    vault.start_in_vain().with(78, &["admin.sock", "not a socket"]);
    fs::remove_dir(vault.admin_socket()).unwrap();
    nothing_is_lost(&mut vault);
}

#[test]
fn a_directory_in_which_others_may_put_a_socket_is_refused() {
    let mut vault = kept();
    fs::set_permissions(vault.room(), fs::Permissions::from_mode(0o777)).unwrap();
    vault.start_in_vain().with(77, &["others can replace", "chmod go-w"]);
    fs::set_permissions(vault.room(), fs::Permissions::from_mode(0o711)).unwrap();
    nothing_is_lost(&mut vault);
}
