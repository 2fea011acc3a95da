//! Scopes beyond what the operator allows: refused at the door, and what a refresh widens is kept and served to nobody.

use super::*;

#[test]
fn what_a_refresh_widens_is_kept_and_not_served_until_it_is_narrow_again() {
    let Some((server, vault)) = furnished("allowed_scopes = [\"openid\", \"read\", \"offline_access\"]")
    else {
        return;
    };
    connect(&vault, &server).is(200);
    let refresh = refresh_token(&vault);
    server.fault(&json!({ "path": "/token", "set": { "scope": "openid read write offline_access" } }));
    let again = |generation: u64| {
        vault.send(&Request::post(format!("{CONNECTION}/refresh"), &json!({ "if_generation": generation })))
    };
    again(1).refused(403, "scope_not_allowed");
    vault.token("acme", MAIN).refused(403, "scope_not_allowed");
    vault.get(&format!("{CONNECTION}/refresh-token")).refused(403, "scope_not_allowed");
    let batch = json!({ "connections": [{ "provider": "oidc", "name": "main" }] });
    let results = vault.send(&Request::post("/v1/orgs/acme/tokens", &batch)).json();
    assert_eq!(results["results"][0]["problem"]["code"], "scope_not_allowed");
    let shown = vault.get(CONNECTION).json();
    assert_eq!(
        (&shown["state"], &shown["reason"], &shown["generation"]),
        (&json!("needs_reauth"), &json!("scope_not_allowed"), &json!(2))
    );
    let told = told(&vault, "token:refresh");
    assert!(told.contains(&("ok".into(), "scope_not_allowed".into())), "{told:?}");
    assert!(!server.is_alive(&refresh), "it was spent, so the next one had to be kept");

    // A refresh gives the scopes of the consent again.
    again(2).is(200);
    assert!(server.is_alive(&refresh_token(&vault)));
    assert_eq!(vault.get(CONNECTION).json()["state"], "active");

    server.fault(&json!({ "path": "/token", "set": { "scope": "openid read write offline_access" } }));
    again(3).refused(403, "scope_not_allowed");
    let deleted = vault.send(&Request::delete(CONNECTION)).is(200).json();
    assert_eq!(deleted["revocation"], "done", "what is withheld is revoked like any other");
}
