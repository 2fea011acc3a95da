//! The same vault behind both doors.

use serde_json::json;

use super::{Second, WEB};
use crate::kit::Request;

const TOKEN: &str = "/v1/orgs/acme/connections/github/main/token";

#[test]
fn what_one_door_stores_the_other_reads() {
    let second = Second::open();
    let web = second.web();
    web.send(&Request::new("PUT", "/v1/orgs/acme")).is(201);
    let set = json!({"access_token": "served", "expires_in": 3600});
    web.send(&Request::put("/v1/orgs/acme/connections/github/main", &set)).is(201);
    for answer in
        [web.send(&Request::get(TOKEN)), web.send_http2(&Request::get(TOKEN)), second.vault.get(TOKEN)]
    {
        assert_eq!(answer.json()["access_token"], "served");
    }
    assert_eq!(second.vault.get(TOKEN).header("strict-transport-security"), None, "only TLS promises TLS");
    second.vault.audit_is_intact();
}

#[test]
fn a_caller_is_known_by_the_name_in_its_certificate() {
    let second = Second::open();
    let identity = second.pki.client(WEB);
    let web = second.caller(&identity);
    let answer = web.send(&Request::get("/v1/status")).is(200);
    let principal = &answer.json()["principal"];
    let shown = [&principal["name"], &principal["proof"], &principal["san"], &principal["serial"]];
    assert_eq!(shown, [&json!("app"), &json!("mtls"), &json!(WEB), &json!(identity.serial)]);
    assert!(principal["address"].as_str().is_some_and(|address| address.starts_with("127.0.0.1:")));
    assert_eq!(principal.get("uid"), None, "a remote caller has no user here");
    let entry = second.vault.audited(&answer);
    assert_eq!((entry.action.as_str(), entry.decision.as_str()), ("status:read", "allow"));
    assert_eq!(entry.principal.name, "app");
    assert_eq!(entry.principal.proof, "mtls");
    assert_eq!(entry.principal.san.as_deref(), Some(WEB));
    assert_eq!(entry.principal.serial, Some(identity.serial));
    assert_eq!((entry.principal.uid, entry.principal.pid), (None, None));
    second.vault.audit_is_intact();
}

/// The admin API answers only on the admin socket.
#[test]
fn the_admin_api_is_not_behind_this_door() {
    let second = Second::open();
    for path in ["/admin/v1/keys", "/admin/v1/audit", "/admin/v1/doctor"] {
        second.web().send(&Request::get(path)).refused(404, "not_found");
    }
}
