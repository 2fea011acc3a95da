//! A daemon that sees no other users and no other processes, and the doorman who tells it who calls.

use std::fs;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::kit::configuration::other_uid;
use crate::kit::{Client, Configuration, Request, TestVault, is_root, poll, skip};

/// The daemon in a user namespace in which it is alone (`PrivateUsers=yes`).
const ALONE: [&str; 3] = ["unshare", "--user", "--map-current-user"];

struct Doorman(Child);

impl Doorman {
    fn at_the_door_of(vault: &TestVault) -> Self {
        let doorman = Command::new(env!("CARGO_BIN_EXE_tokenkeep-doorman"))
            .arg("--socket")
            .arg(vault.room().join("doorman.sock"))
            .stderr(Stdio::null())
            .spawn();
        let doorman = Self(doorman.expect("it starts"));
        poll("the doorman", || fs::symlink_metadata(vault.room().join("doorman.sock")).ok());
        doorman
    }
}

impl Drop for Doorman {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A vault in which the other user is a client, and whose daemon is alone.
fn alone(has_doorman: bool) -> Option<TestVault> {
    let works = Command::new(ALONE[0]).args(&ALONE[1..]).arg("true").output();
    if !is_root() || !works.is_ok_and(|out| out.status.success()) {
        skip("a daemon in a user namespace of its own: needs root and such namespaces");
        return None;
    }
    let other = Client { name: "other", uid: other_uid(), ..Client::own() };
    let clients = vec![Client::own(), other];
    let mut vault = TestVault::stopped(Configuration { clients, ..Configuration::default() });
    vault.dowry.before = ALONE.map(str::to_owned).to_vec();
    if has_doorman {
        vault.dowry.arguments = vec!["--doorman".into(), vault.room().join("doorman.sock").into()];
    }
    Some(vault)
}

fn as_other(vault: &TestVault) -> String {
    let answer = vault.send_as_stranger(&Request::get("/v1/status")).unwrap();
    answer.is(200).json()["principal"]["name"].as_str().expect("a name").to_owned()
}

/// The connection of the other user is closed without an answer, and that process says so.
fn gets_no_answer(vault: &TestVault) {
    let ask = || vault.send_as_stranger(&Request::get("/v1/status"));
    let asked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(ask));
    assert!(asked.is_err(), "{asked:?}");
}

#[test]
fn a_daemon_that_sees_nobody_is_told_who_calls() {
    let Some(mut vault) = alone(true) else { return };
    let first = Doorman::at_the_door_of(&vault);
    vault.start();
    assert_eq!(as_other(&vault), "other");
    assert_eq!(vault.get("/v1/status").is(200).json()["principal"]["name"], "app");
    let pid = vault.audit().pop().unwrap().principal.pid;
    assert!(pid.is_some_and(|pid| pid != 0));
    // Killed and started again: the next caller is known.
    drop(first);
    let _second = Doorman::at_the_door_of(&vault);
    assert_eq!(as_other(&vault), "other");
}

#[test]
fn whom_nobody_names_is_not_let_in() {
    let Some(mut vault) = alone(true) else { return };
    let doorman = Doorman::at_the_door_of(&vault);
    vault.start();
    assert_eq!(as_other(&vault), "other");
    drop(doorman);
    gets_no_answer(&vault);
    // Root and the daemon's own user are seen: an admin finds out what is wrong.
    vault.admin().get("/admin/v1/keys").is(200);
    assert!(vault.said().contains("does not say who calls"), "{}", vault.said());
}

#[test]
fn a_doorman_who_stands_still_holds_up_nobody_for_long() {
    let Some(mut vault) = alone(true) else { return };
    let doorman = Doorman::at_the_door_of(&vault);
    vault.start();
    vault.get("/v1/status").is(200);
    kill(Pid::from_raw(doorman.0.id().try_into().unwrap()), Signal::SIGSTOP).unwrap();
    vault.get("/v1/status").is(200);
    kill(Pid::from_raw(doorman.0.id().try_into().unwrap()), Signal::SIGCONT).unwrap();
    poll("the doorman", || (as_other(&vault) == "other").then_some(()));
}

#[test]
fn without_a_doorman_a_daemon_that_is_alone_knows_itself_alone() {
    let Some(mut vault) = alone(false) else { return };
    vault.start();
    vault.get("/v1/status").is(200);
    gets_no_answer(&vault);
}
