//! Configurations that are refused: unknown keys, other environments, root, loose modes.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use tokenkeep::clock::{Clock, SystemClock};
use tokenkeep::crypto::key_list::RootKeys;
use tokenkeep::vault::header::Header;

use super::{kept, nothing_is_lost};
use crate::kit::vault::write_private;
use crate::kit::{Client, Configuration, is_root, skip};

#[test]
fn an_unknown_key_is_refused_with_file_and_line() {
    let mut vault = kept();
    let text = fs::read_to_string(vault.configuration_file()).unwrap();
    let wrong = text.replace("[log]\n", "[log]\nlevle = \"s3cr3t-pasted-here\"\n");
    let line = wrong.lines().position(|line| line.starts_with("levle")).unwrap() + 1;
    write_private(&vault.configuration_file(), wrong.as_bytes());
    let place = format!("tokenkeep.toml:{line}:1: ");
    vault.start_in_vain_as_configured().with(78, &[&place, "levle", "docs/configuration.md"]);
    assert!(!vault.said().contains("s3cr3t"), "a value is never repeated");
    nothing_is_lost(&mut vault);
}

#[test]
fn what_is_not_toml_or_not_there_is_refused() {
    let mut vault = kept();
    write_private(&vault.configuration_file(), b"environment = \"s3cr3t");
    vault.start_in_vain_as_configured().with(78, &["tokenkeep.toml:1:"]);
    assert!(!vault.said().contains("s3cr3t"));
    fs::remove_file(vault.configuration_file()).unwrap();
    vault.start_in_vain_as_configured().with(78, &["tokenkeep.toml", "does not exist"]);
    nothing_is_lost(&mut vault);
}

#[test]
fn a_store_of_another_environment_does_not_open() {
    if is_root() {
        return skip("as root no other environment gets as far as its store");
    }
    let mut vault = kept();
    vault.configuration.environment = "staging";
    vault.start_in_vain().with(78, &["development", "staging", "correct one of them"]);
    vault.configuration.environment = "development";
    nothing_is_lost(&mut vault);
}

/// The same as root can see it: the store is the one of another environment.
#[test]
fn a_store_that_was_stamped_elsewhere_does_not_open() {
    let mut vault = kept();
    let header = vault.state().join("vault.json");
    let right = fs::read(&header).unwrap();
    let root = RootKeys::parse(vault.root_key().as_bytes()).unwrap();
    Header::create(vault.state(), "production", &root, SystemClock.now().into()).unwrap();
    vault.start_in_vain().with(78, &["\"production\"", "\"development\"", "correct one of them"]);
    write_private(&header, &right);
    nothing_is_lost(&mut vault);
}

/// The keys in the header are bound to the environment that was written: a name that was altered is no other
/// environment, whichever of the two is configured.
#[test]
fn a_store_whose_environment_was_altered_by_hand_is_damaged() {
    let mut vault = kept();
    let header = vault.state().join("vault.json");
    let right = fs::read_to_string(&header).unwrap();
    write_private(&header, right.replace("\"development\"", "\"production\"").as_bytes());
    vault.start_in_vain().with(74, &["vault.json is damaged", "restore"]);
    write_private(&header, right.as_bytes());
    nothing_is_lost(&mut vault);
}

#[test]
fn root_runs_it_in_development_alone() {
    if !is_root() {
        return skip("it takes root to be refused as root");
    }
    let mut vault = kept();
    vault.configuration.environment = "production";
    vault.start_in_vain().with(77, &["root", "User=", "development"]);
    vault.configuration.environment = "development";
    nothing_is_lost(&mut vault);
}

#[test]
fn a_configuration_that_others_can_change_is_refused() {
    let mut vault = kept();
    for mode in [0o620, 0o602] {
        fs::set_permissions(vault.configuration_file(), fs::Permissions::from_mode(mode)).unwrap();
        vault.start_in_vain_as_configured().with(77, &["tokenkeep.toml", "chmod"]);
    }
    fs::set_permissions(vault.configuration_file(), fs::Permissions::from_mode(0o644)).unwrap();
    vault.start_as_configured();
    vault.stop();
    nothing_is_lost(&mut vault);
}

#[test]
fn a_state_directory_that_others_can_enter_is_refused() {
    let mut vault = kept();
    for mode in [0o750, 0o701, 0o777] {
        fs::set_permissions(vault.state(), fs::Permissions::from_mode(mode)).unwrap();
        vault.start_in_vain().with(77, &["state", "chmod"]);
    }
    fs::set_permissions(vault.state(), fs::Permissions::from_mode(0o700)).unwrap();
    for below in ["audit", "vault.json"] {
        let path = vault.state().join(below);
        let right = fs::metadata(&path).unwrap().permissions();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        vault.start_in_vain().with(77, &[below, "chmod"]);
        fs::set_permissions(&path, right).unwrap();
    }
    nothing_is_lost(&mut vault);
}

#[test]
fn two_clients_that_nothing_tells_apart_are_refused() {
    let mut vault = kept();
    vault.configuration.clients.push(Client { name: "twin", ..Client::own() });
    vault.start_in_vain().with(78, &["tokenkeep.toml:", "nothing tells them apart"]);
    vault.configuration = Configuration::default();
    nothing_is_lost(&mut vault);
}

#[test]
fn a_wrong_command_line_has_its_own_code() {
    let told =
        std::process::Command::new(env!("CARGO_BIN_EXE_tokenkeepd")).arg("--nonsense").output().unwrap();
    assert_eq!(told.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&told.stderr).contains("--help"));
}
