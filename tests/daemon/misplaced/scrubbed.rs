//! What nobody reads is found by the scrub.

use std::collections::BTreeSet;

use super::attacker::Attacker;
use super::furnished;
use crate::kit::poll;

#[test]
fn the_scrub_finds_and_records_what_does_not_open_in_its_place() {
    let mut vault = furnished();
    Attacker::enter(&vault).swap_records(("acme", "one"), ("beta", "one"));
    vault.start();
    let found = poll("the scrub has been round", || {
        let entries = vault.audit().into_iter().filter(|entry| entry.principal.name == "task:scrub");
        let found: Vec<_> = entries.map(|entry| (entry.outcome, entry.target.unwrap_or_default())).collect();
        (found.len() >= 2).then_some(found)
    });
    assert!(
        found.iter().all(|(outcome, target)| outcome == "integrity" && target.starts_with("record ")),
        "{found:?}"
    );
    assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), 2, "each once: {found:?}");

    let findings = vault.admin().get("/admin/v1/doctor").is(200).json();
    let of_scrub =
        findings["findings"].as_array().unwrap().iter().find(|one| one["check"] == "scrub").unwrap();
    assert_eq!((&of_scrub["level"], of_scrub["mend"].is_string()), (&"fail".into(), true), "{of_scrub}");
    assert!(vault.admin().get("/metrics").is(200).text().contains("tokenkeep_scrub_bad_records 2"));
    // The rest is served as ever.
    assert_eq!(vault.access_token("acme", "github/two"), "at-acme-two");
    vault.audit_is_intact();
}
