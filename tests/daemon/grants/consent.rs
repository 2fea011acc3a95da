//! A provider that requires consent: nothing is served without one, a withdrawal holds for the next read, and ends the
//! grant at the provider.

use super::*;

const CONSENT: &str = "/admin/v1/orgs/acme/consents/oidc/main";

fn record(vault: &TestVault) -> Value {
    vault.admin().send(&Request::put(CONSENT, &json!({ "reference": "ticket 4711" }))).is(200).json()
}

#[test]
fn nothing_is_served_before_a_consent_and_nothing_after_its_withdrawal() {
    let Some((server, mut vault)) = furnished("requires_consent = true") else { return };
    connect(&vault, &server).is(200);
    let refresh_path = format!("{CONNECTION}/refresh-token");
    let batch = Request::post(
        "/v1/orgs/acme/tokens",
        &json!({ "connections": [{ "provider": "oidc", "name": "main" }, { "provider": "github", "name": "main" }] }),
    );
    let is_shut = |vault: &TestVault| {
        vault.token("acme", MAIN).refused(403, "consent_required");
        vault.get(&refresh_path).refused(403, "consent_required");
        vault
            .send(&Request::post(format!("{CONNECTION}/refresh"), &json!({ "if_generation": 1 })))
            .refused(403, "consent_required");
        let results = vault.send(&batch).json();
        assert_eq!(results["results"][0]["problem"]["code"], "consent_required");
        assert_eq!(results["results"][1]["token"]["access_token"], "other", "of others none is asked");
    };
    vault.put("acme", "github/main", &json!({ "access_token": "other" }));
    is_shut(&vault);

    let consent = record(&vault);
    assert_eq!((&consent["stands"], &consent["recorded_by"]), (&json!(true), &json!("admin")));
    vault.kill9();
    vault.start();
    let named = format!("consent:{}", consent["consent"].as_str().expect("a name"));
    let read = vault.token("acme", MAIN).is(200);
    assert_eq!(
        vault.audited(&read).reason.as_deref(),
        Some(named.as_str()),
        "the entry says what it rests on"
    );
    let other = vault.token("acme", "github/main").is(200);
    assert_eq!(vault.audited(&other).reason, None);
    let read = vault.send(&batch).is(200);
    let reasons: Vec<_> = vault
        .audit()
        .into_iter()
        .filter(|entry| Some(entry.request_id.as_str()) == read.header("x-request-id"))
        .map(|entry| entry.reason)
        .collect();
    assert_eq!(reasons, [Some(named.clone()), None]);
    let refresh = refresh_token(&vault);
    assert!(server.is_alive(&refresh));

    let withdrawn = vault.admin().send(&Request::delete(CONSENT)).is(200).json();
    assert_eq!((&withdrawn["stands"], &withdrawn["revocation"]), (&json!(false), &json!("done")));
    assert!(!server.is_alive(&refresh));
    is_shut(&vault);
    vault.admin().send(&Request::delete(CONSENT)).refused(404, "not_found");
    vault.kill9();
    vault.start();
    is_shut(&vault);
    let listed = vault.admin().get("/admin/v1/orgs/acme/consents").is(200).json();
    assert_eq!(listed["items"][0]["withdrawn_by"], "admin");
    assert_eq!(listed["items"][0]["consent"], consent["consent"]);

    // A new consent brings nothing of the old grant back.
    let anew = record(&vault);
    assert_ne!(anew["consent"], consent["consent"]);
    vault.token("acme", MAIN).refused(404, "not_found");
    connect(&vault, &server).is(200);
    vault.token("acme", MAIN).is(200);
    assert_eq!(told(&vault, "consent:withdraw")[0], ("ok".into(), named));
    vault.audit_is_intact();
}

#[test]
fn a_token_set_may_bring_its_consent() {
    let Some((_server, vault)) = furnished("requires_consent = true") else { return };
    let set = json!({ "access_token": "a", "consent": "form 3, ticked by jane" });
    let put = vault.try_put("acme", MAIN, &set).is(201);
    let named = vault.audited(&put).reason.expect("the consent");
    assert!(named.starts_with("consent:"), "{named}");
    let read = vault.token("acme", MAIN).is(200);
    assert_eq!(vault.audited(&read).reason, Some(named));
    let listed = vault.admin().get("/admin/v1/orgs/acme/consents").is(200).json();
    let shown = &listed["items"][0];
    assert_eq!(
        (&shown["recorded_by"], &shown["reference"]),
        (&json!("app"), &json!("form 3, ticked by jane"))
    );
    for bad in ["", "a\nb", &"a".repeat(513)] {
        let set = json!({ "access_token": "a", "consent": bad });
        vault.try_put("acme", MAIN, &set).refused(400, "invalid_request");
    }
}

#[test]
fn a_provider_that_comes_to_require_consent_is_shut_for_what_is_there_already() {
    let Some((server, mut vault)) = furnished("") else { return };
    vault.put("acme", MAIN, &json!({ "access_token": "a" }));
    vault.token("acme", MAIN).is(200);
    server.configure(&mut vault, "requires_consent = true");
    vault.write_configuration();
    vault.hang_up();
    crate::kit::poll("the reload", || (vault.token("acme", MAIN).status == 403).then_some(()));
    record(&vault);
    vault.token("acme", MAIN).is(200);
}
