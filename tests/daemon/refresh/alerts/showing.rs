//! What an admin sees and tries, and what the configuration takes.

use std::fs;
use std::time::Duration;

use super::receiver::secret;
use super::*;
use crate::kit::pki::Pki;

fn test_alert(vault: &TestVault) -> Value {
    vault.admin().send(&Request::new("POST", "/admin/v1/alerts/test")).is(200).json()
}

fn with(alerts: String) -> TestVault {
    TestVault::stopped(Configuration { more: Box::leak(alerts.into_boxed_str()), ..Configuration::default() })
}

#[test]
fn an_admin_tries_the_webhook_and_hears_what_came_back() {
    let receiver = Receiver::start();
    let mut vault = with(receiver.table("", ""));
    vault.start();
    let tested = test_alert(&vault);
    assert_eq!((&tested["delivered"], &tested["status"]), (&json!(true), &json!(204)), "{tested}");
    let got = receiver.taken().remove(0);
    assert_eq!(
        (got.told().0.as_str(), got.id.as_str()),
        ("alert.test", tested["id"].as_str().expect("an id"))
    );
    receiver.next([Mood::Answer(403, String::new()), Mood::HangUp]);
    assert_eq!(test_alert(&vault)["status"], json!(403));
    let tested = test_alert(&vault);
    assert_eq!((&tested["delivered"], &tested["status"]), (&json!(false), &json!(null)), "{tested}");
    assert_eq!(listed(&vault)["waiting"], json!(0), "a test is not tried again");
}

#[test]
fn an_admin_is_answered_however_long_it_takes() {
    let receiver = Receiver::start();
    // An application would be hung up on after six times this.
    let (limits, table) = ("body_deadline = \"1s\"", receiver.table("", ""));
    let more = Box::leak(table.into_boxed_str());
    let mut vault = TestVault::stopped(Configuration { limits, more, ..Configuration::default() });
    vault.start();
    receiver.next([Mood::Slow(Duration::from_secs(9))]);
    assert_eq!(test_alert(&vault)["status"], json!(204));
}

#[test]
fn without_a_webhook_nothing_is_kept_and_an_admin_is_told() {
    let vault = TestVault::running();
    let refused = vault.admin().send(&Request::new("POST", "/admin/v1/alerts/test"));
    refused.refused(404, "not_found");
    assert_eq!(listed(&vault)["webhook"], json!(null));
}

#[test]
fn a_receiver_is_believed_by_its_certificate_alone() {
    let receiver = Receiver::encrypted(&Pki::new());
    for (ca, delivered) in [("ca.pem", true), ("other-ca.pem", false)] {
        let mut vault = with(receiver.table("", &format!(", ca = \"{}\"", receiver.file(ca))));
        vault.start();
        let tested = test_alert(&vault);
        assert_eq!(tested["delivered"], json!(delivered), "{tested}");
        let detail = tested["detail"].as_str().expect("text");
        assert_eq!(detail.contains("no authority"), !delivered, "{detail}");
        // Of the address, the path stays here.
        assert!(!listed(&vault).to_string().contains("/hook"));
    }
    assert_eq!(receiver.got().len(), 1);
}

#[test]
fn another_secret_signs_at_once_and_one_that_is_none_is_refused() {
    let receiver = Receiver::start();
    let mut vault = with(receiver.table("", ""));
    vault.start();
    test_alert(&vault);
    receiver.write_secrets(&[2, 1]);
    vault.hang_up();
    test_alert(&vault);
    let got = receiver.taken();
    let signatures = |at: usize| got[at].signature.split(' ').count();
    assert_eq!((signatures(0), signatures(1)), (1, 2));
    fs::write(receiver.secret_file(), "not a secret").expect("written");
    vault.hang_up();
    poll("the refusal", || vault.said().contains("[alerts] webhook: secret: file").then_some(()));
    let tested = test_alert(&vault);
    assert!(tested["detail"].as_str().expect("text").contains("whsec_"), "{tested}");
    vault.stop();
    vault.start_in_vain().with(78, &["[alerts] webhook: secret", "openssl rand"]);
    fs::write(receiver.secret_file(), secret(1)).expect("written");
    fs::set_permissions(receiver.secret_file(), std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .expect("chmod");
    vault.start_in_vain().with(77, &["[alerts] webhook: secret"]);
    assert!(!vault.said().contains(&secret(1)));
}

#[test]
fn a_webhook_that_would_be_told_in_plain_text_is_refused() {
    let secret = "secret = { file = \"/etc/s\" }";
    for (webhook, words) in [
        (format!("url = \"http://alerts.example/\", {secret}"), "in plain text"),
        (format!("url = \"http://127.0.0.1/\", {secret}"), "in plain text"),
        (format!("url = \"http://10.0.0.1/\", http_loopback = true, {secret}"), "in plain text"),
        (format!("url = \"https://user@alerts.example/\", {secret}"), "not an address"),
        ("url = \"https://alerts.example/\", secret = {}".to_owned(), "not one place"),
        (format!("url = \"https://alerts.example/\", {secret}, token = \"x\""), "token"),
    ] {
        let mut vault = with(format!("[alerts]\nwebhook = {{ {webhook} }}\n"));
        vault.start_in_vain().with(78, &["tokenkeep.toml:", words]);
    }
    for (lines, words) in [("slack = {}", "slack is not available"), ("waiting = 0", "use 1 to 100000")] {
        with(format!("[alerts]\n{lines}\n")).start_in_vain().with(78, &[words]);
    }
}
