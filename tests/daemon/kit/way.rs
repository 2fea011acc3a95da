//! The ways in for an application: each door, in each protocol. A test of the API goes over all of them.
//!
//! The hard problem is the next test: nobody notices that it knocks at one door alone. So the table of the
//! ways stands here, and every test of this program either goes over it or is in a file that is listed below,
//! with the reason.
//!
//! Never knows what a story is about.

use super::line::Protocol;
use super::{Configuration, Line, TestVault};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    Mtls,
    Unix,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    pub door: Door,
    pub protocol: Protocol,
}

/// Every way there is.
pub const WAYS: [Way; 4] = [
    Way { door: Door::Unix, protocol: Protocol::Http1 },
    Way { door: Door::Unix, protocol: Protocol::Http2 },
    Way { door: Door::Mtls, protocol: Protocol::Http1 },
    Way { door: Door::Mtls, protocol: Protocol::Http2 },
];

/// Each door once, in the protocol that can be written by hand.
pub fn doors() -> impl Iterator<Item = Way> {
    WAYS.into_iter().filter(|way| way.protocol == Protocol::Http1)
}

/// Tells a story over each way, to a vault of its own.
pub fn over_each_way(story: impl FnMut(&TestVault, &Line)) {
    over_each_way_with(&Configuration::default(), story);
}

/// As [`over_each_way`], to vaults of this configuration.
pub fn over_each_way_with(configuration: &Configuration, mut story: impl FnMut(&TestVault, &Line)) {
    for way in WAYS {
        let vault = TestVault::over(way, configuration.clone());
        story(&vault, &vault.line());
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    /// What is not about the API, and so goes in by one door: a test, a file or a folder, and why.
    const ONE_DOOR: &[(&str, &str)] = &[
        (
            "api/application_keys.rs::a_list_that_is_loose_absent_or_none_keeps_the_daemon_from_starting",
            "no door yet",
        ),
        ("api/application_keys.rs::a_root_key_is_no_application_key", "no door yet"),
        ("audit_faults.rs", "what becomes of the log decides, whoever asks; errors.rs asks over each way"),
        ("backup", "admins make backups, and they have a socket of their own"),
        ("canary.rs::the_root_key_is_nowhere_but_in_its_file", "a root key comes in by no door"),
        ("client.rs::the_client_understands_that_its_certificate_is_not_taken", "about certificates"),
        ("doorman.rs", "about who calls at the socket; a certificate names its bearer by itself"),
        ("egress", "about the way out"),
        ("full_disk.rs", "about the disk, of which there is one; errors.rs asks over each way"),
        ("grants", "about what is exchanged with a provider; pass/table.rs asks at each of its endpoints"),
        ("http2_empty.rs", "about the frames of HTTP/2, which one loop reads at either door"),
        ("http2_rest.rs", "about the life of connections, which one loop serves at either door"),
        ("import.rs", "admins import, and they have a socket of their own"),
        ("kit", "the kit itself"),
        ("metrics.rs", "on the admin socket alone"),
        ("misplaced.rs", "about bytes on the disk; errors.rs asks over each way"),
        ("misplaced", "about bytes on the disk"),
        ("mtls", "about that door"),
        ("openapi", "what is printed, without a daemon"),
        ("pass/life.rs::a_pass_is_its_clients_by_whichever_door_it_comes", "goes from door to door"),
        ("pass/places.rs", "about what is sealed in a pass"),
        ("pass/table.rs", "asks at each endpoint through each door by itself"),
        ("providers", "admins look at them and check them, and they have a socket of their own"),
        ("refresh", "about what is exchanged with a provider; api asks for tokens over each way"),
        ("root_key", "about where the root key comes from"),
        ("rekey.rs", "admins rotate, and they have a socket of their own"),
        ("rotation.rs", "admins rotate, and they have a socket of their own"),
        (
            "refused_early.rs::a_connection_on_which_a_body_was_left_is_not_used_again",
            "about the bytes of HTTP/1.1",
        ),
        ("sandbox.rs", "about the process, whoever asks"),
        ("service_manager", "about the life of the daemon and its sockets"),
        ("slow_clients.rs::an_admin_who_stalls_is_hung_up_on_too", "about the socket of admins"),
        ("start_faults", "there is no door yet"),
        ("witnesses.rs", "about journal and audit log"),
    ];

    #[test]
    fn every_test_of_the_api_goes_over_each_way() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/daemon");
        let mut findings = Vec::new();
        for path in sources(&root) {
            let name = path.strip_prefix(&root).expect("below the root").to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).expect("readable");
            let tests = tests_of_one_door(&text).map(|test| format!("{name}::{test}"));
            findings.extend(tests.filter(|test| !is_listed(test)));
        }
        assert!(
            findings.is_empty(),
            "these knock at one door alone: tell them with over_each_way, or list the file with the reason:\n{}",
            findings.join("\n")
        );
    }

    fn is_listed(test: &str) -> bool {
        let is_below = |rest: &str| rest.is_empty() || rest.starts_with('/') || rest.starts_with("::");
        ONE_DOOR.iter().any(|(listed, _)| test.strip_prefix(listed).is_some_and(is_below))
    }

    #[test]
    fn a_test_that_knocks_at_one_door_alone_is_found() {
        let found = |body: &str| tests_of_one_door(&format!("#[test]\nfn a() {{\n{body}\n}}\n")).count();
        assert_eq!(found("    let vault = TestVault::running();"), 1);
        assert_eq!(found("    over_each_way(|vault, line| {});"), 0);
        assert_eq!(found("    for way in WAYS {}"), 0);
        assert_eq!(found("    for door in doors() {}"), 0);
        assert_eq!(found("    // over_each_way(\n"), 1, "a comment");
    }

    #[test]
    fn every_exception_is_still_there() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/daemon");
        for (listed, _) in ONE_DOOR {
            let (file, test) = listed.split_once("::").unwrap_or((listed, ""));
            let path = root.join(file);
            let is_there = path.is_dir() || fs::read_to_string(path).is_ok_and(|text| text.contains(test));
            assert!(is_there, "{listed} is gone: take it off the list");
        }
    }

    /// The names of the tests in a file that do not go over the table.
    fn tests_of_one_door(text: &str) -> impl Iterator<Item = String> {
        let of_one = |test: &&str| {
            let mut code = test.lines().filter(|line| !line.trim_start().starts_with("//"));
            !code
                .any(|line| ["over_each_way", "in WAYS", "in doors()"].iter().any(|word| line.contains(word)))
        };
        let name = |test: &str| {
            let after = test.split_once("fn ").map_or("", |(_, after)| after);
            after.split('(').next().unwrap_or_default().to_owned()
        };
        text.split("#[test]").skip(1).filter(of_one).map(name).collect::<Vec<_>>().into_iter()
    }

    fn sources(directory: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for entry in fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                found.extend(sources(&path));
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
        found
    }
}
