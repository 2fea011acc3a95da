//! `provider list` and `show`: what is configured, where each setting comes from, and never a secret.

use serde_json::{Value, json};

use super::server::SECRET;
use crate::kit::vault::write_private;
use crate::kit::{Configuration, TestVault};

/// A vault with a GitHub of its own as `gh`, which has `more` settings.
pub(super) fn vault(more: &str) -> TestVault {
    let github = "[[provider]]\nid = \"gh\"\npreset = \"github\"\nclient_id = \"Iv1.x\"\nleeway = \"5m\"\n\
                client_secret = { file = \"SECRET\" }\n";
    let mut vault = TestVault::stopped(Configuration::default());
    let secret = vault.room().join("secret");
    write_private(&secret, SECRET.as_bytes());
    vault.write_configuration();
    let file = vault.configuration_file();
    let text = std::fs::read_to_string(&file).expect("a configuration");
    let github = github.replace("SECRET", &secret.display().to_string());
    write_private(&file, format!("{text}\n{github}{more}").as_bytes());
    vault.start_as_configured();
    vault
}

fn setting<'a>(provider: &'a Value, name: &str) -> &'a Value {
    let settings = provider["settings"].as_array().expect("settings").iter();
    settings
        .clone()
        .find(|setting| setting["name"] == name)
        .unwrap_or_else(|| panic!("no {name}: {provider}"))
}

#[test]
fn each_setting_says_where_it_comes_from_and_a_secret_is_not_among_them() {
    let vault = vault("");
    let answer = vault.admin().get("/admin/v1/providers/gh").is(200);
    let shown = answer.json();
    assert_eq!((&shown["preset"], &shown["refreshes"]), (&json!("github"), &json!(true)));
    let leeway = setting(&shown, "leeway");
    assert_eq!(
        (&leeway["value"], &leeway["from"], &leeway["source"]),
        (&json!("5m"), &json!("configuration"), &json!(null))
    );
    let rotation = setting(&shown, "rotation");
    assert_eq!((&rotation["value"], &rotation["from"]), (&json!("rotates"), &json!("preset")));
    assert!(
        rotation["source"].as_str().expect("a source").contains("Refreshing user access tokens"),
        "{shown}"
    );
    assert_eq!(setting(&shown, "reuse_revokes_family")["source"], "unverified");
    let held = setting(&shown, "client_secret")["value"].as_str().expect("a place");
    assert!(held.starts_with("file /"), "{held}");
    assert!(!String::from_utf8_lossy(&answer.body).contains(SECRET));
    assert_eq!(vault.audited(&answer).action, "provider:read");

    let list = vault.admin().get("/admin/v1/providers").is(200);
    let ids: Vec<Value> =
        list.json()["items"].as_array().expect("items").iter().map(|one| one["provider"].clone()).collect();
    assert_eq!(ids, ["github", "slack", "narrow", "gh"]);
    assert_eq!(vault.audited(&list).action, "provider:list");
    assert_eq!(list.json()["items"][0]["refreshes"], false);
}

#[test]
fn applications_have_no_providers_to_look_at() {
    let vault = TestVault::running();
    for target in ["/admin/v1/providers", "/admin/v1/providers/github"] {
        assert_eq!(vault.get(target).status, 404, "{target}");
    }
}
