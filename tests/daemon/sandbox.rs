//! The sandbox of the real daemon: every thread is inside, whatever it is there for, and what is not done from inside
//! is refused with the mend. What the sandbox forbids is tried in `tests/sandbox`.

use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;

use crate::kit::vault::write_private;
use crate::kit::{Configuration, Request, TestVault, WAYS, poll};

/// A field of each thread's status (proc_pid_status(5)).
fn of_threads(pid: u32, field: &str) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let statuses =
        threads.filter_map(|thread| fs::read_to_string(thread.unwrap().path().join("status")).ok());
    statuses
        .map(|status| {
            let line = status.lines().find(|line| line.starts_with(field)).expect("the field").to_owned();
            line.split_once(":\t").expect("a value").1.to_owned()
        })
        .collect()
}

#[test]
fn every_thread_is_inside() {
    let vault = TestVault::over(WAYS[WAYS.len() - 1], Configuration::default());
    vault.create_org("acme");
    vault.put_pair("acme", "github/main", "at", "rt");
    assert_eq!(vault.access_token("acme", "github/main"), "at");
    // What blocks has threads of its own.
    vault.audit_is_intact();
    vault.hang_up();
    vault.admin().send(&Request::new("POST", "/admin/v1/keys/reload")).is(200);
    let filters = of_threads(vault.pid(), "Seccomp:");
    assert!(filters.len() > 3, "the runtime, the store and the audit log have threads: {filters:?}");
    assert!(filters.iter().all(|mode| mode == "2"), "{filters:?}");
    assert!(of_threads(vault.pid(), "NoNewPrivs:").iter().all(|is_set| is_set == "1"));
    assert!(
        of_threads(vault.pid(), "Seccomp_filters:").iter().all(|count| count.parse::<u32>().unwrap() >= 3)
    );
}

#[test]
fn memory_is_locked_where_the_kernel_lets_it_be_and_doctor_knows() {
    let vault = TestVault::running();
    let locked = of_threads(vault.pid(), "VmLck:")[0].trim().trim_end_matches(" kB").parse::<u64>().unwrap();
    let findings = vault.admin().get("/admin/v1/doctor").is(200).json();
    let finding = |check: &str| {
        let found = findings["findings"].as_array().unwrap().iter().find(|finding| finding["check"] == check);
        found.expect("a finding")["level"].as_str().unwrap().to_owned()
    };
    // Locking one page is not locking all: it has tens of MiB.
    assert_eq!(
        finding("locked_memory"),
        if locked > 16 << 10 { "ok" } else { "warn" },
        "{locked} KiB are locked"
    );
    assert_ne!(finding("sandbox"), "fail");
}

#[test]
fn a_program_is_run_for_the_root_key_at_start_alone() {
    let mut vault = TestVault::stopped(Configuration::default());
    vault.write_configuration();
    let text = fs::read_to_string(vault.configuration_file()).unwrap();
    let file = format!("source = \"file\"\npath = \"{}\"", vault.root_key_file().display());
    let exec =
        format!("source = \"exec\"\ncommand = [\"/bin/cat\", \"{}\"]", vault.root_key_file().display());
    assert!(text.contains(&file));
    write_private(&vault.configuration_file(), text.replace(&file, &exec).as_bytes());
    vault.start_as_configured();
    vault.create_org("acme");
    let answer = vault.admin().send(&Request::new("POST", "/admin/v1/keys/reload"));
    assert!(answer.text().contains("restart it"), "{}", answer.shown());
    answer.refused(503, "not_ready");
    vault.put_pair("acme", "github/main", "at", "rt");
    assert_eq!(vault.access_token("acme", "github/main"), "at", "it serves on");
    vault.signal(Signal::SIGTERM);
    assert_eq!(vault.wait().code, Some(0), "{}", vault.said());
}

/// A name leads through libraries of the host, which are not loaded from inside.
#[test]
fn a_user_that_was_not_named_at_start_is_taken_by_number() {
    let mut vault = TestVault::running();
    let named = |vault: &TestVault, user: &str| {
        let client = format!(
            "[[client]]\nname = \"more\"\nunix = {{ user = {user} }}\norgs = [\"*\"]\nproviders = []\nallow = [\"secret:read\"]\n"
        );
        vault.write_configuration();
        let text = fs::read_to_string(vault.configuration_file()).unwrap();
        write_private(&vault.configuration_file(), (text + &client).as_bytes());
        vault.hang_up();
    };
    named(&vault, "\"daemon\"");
    poll("the refusal", || {
        vault.said().contains("restart the daemon: it asks for names at start alone").then_some(())
    });
    named(&vault, "4000000000");
    poll("the reload", || vault.said().contains("reloaded").then_some(()));
    vault.stop();
    named_at_start(&mut vault);
}

fn named_at_start(vault: &mut TestVault) {
    let client = "[[client]]\nname = \"more\"\nunix = { user = \"daemon\" }\norgs = [\"*\"]\nproviders = []\nallow = [\"secret:read\"]\n";
    vault.write_configuration();
    let text = fs::read_to_string(vault.configuration_file()).unwrap();
    write_private(&vault.configuration_file(), (text + client).as_bytes());
    vault.start_as_configured();
    vault.hang_up();
    poll("the reload", || vault.said().contains("reloaded").then_some(()));
}

#[test]
fn the_socket_files_are_gone_when_it_has_stopped() {
    let mut vault = TestVault::running();
    vault.stop();
    assert!(!vault.socket().exists() && !vault.admin_socket().exists(), "{}", vault.said());
}

/// An audit log beside the state is written too, from its first day.
#[test]
fn an_audit_directory_elsewhere_is_written() {
    let elsewhere = tempfile::tempdir().unwrap();
    let directory = elsewhere.path().join("audit");
    let mut configuration = Configuration::default();
    let line: &'static str =
        Box::leak(format!("[audit]\ndirectory = \"{}\"", directory.display()).into_boxed_str());
    configuration.more = line;
    let mut vault = TestVault::with(configuration);
    vault.create_org("acme");
    vault.audit_is_intact();
    assert!(Path::new(&directory).read_dir().unwrap().next().is_some());
    vault.restart();
    vault.audit_is_intact();
}
