//! What the daemon says of itself.

use serde_json::json;

use crate::kit::over_each_way;

#[test]
fn a_ready_daemon_says_so_and_who_asks() {
    over_each_way(|vault, line| {
        assert!(line.get("/healthz").is(200).body.is_empty());
        assert!(line.get("/readyz").is(200).body.is_empty());
        let status = line.get("/v1/status").is(200).json();
        assert_eq!(status["environment"], "development");
        assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(status["vault_id"].as_str().map(str::len), Some(32));
        assert_eq!((&status["ready"], &status["store"]["state"]), (&json!(true), &json!("ok")));
        assert_eq!((&status["audit"]["state"], &status["store"]["index"]), (&json!("ok"), &json!("sled")));
        line.is_shown_as("app", &status["principal"]);
        let admin = vault.admin().get("/v1/status").is(200).json();
        assert_eq!(
            (&admin["principal"]["name"], &admin["principal"]["proof"]),
            (&json!("admin"), &json!("admin"))
        );
        assert_eq!(admin["vault_id"], status["vault_id"]);
    });
}

/// Each answer's id is the one in the audit log, with who asked, what, and what became of it.
#[test]
fn every_request_is_found_in_the_audit_log_by_its_id() {
    over_each_way(|vault, line| {
        let created = line.send(&crate::kit::Request::new("PUT", "/v1/orgs/acme"));
        let put = line.put("/v1/orgs/acme/connections/github/main", &json!({"access_token": "t"}));
        let read = line.get("/v1/orgs/acme/connections/github/main/token");
        let missed = line.get("/v1/orgs/acme/connections/github/none/token");
        let nonsense = line.get("/v2/nonsense");
        let told = |answer, action, target: Option<&str>, outcome, generation| {
            let entry = vault.audited(answer);
            let org = (action != "unparsed").then_some("acme");
            assert_eq!((entry.action.as_str(), entry.org.as_deref()), (action, org));
            assert_eq!((entry.target.as_deref(), entry.outcome.as_str()), (target, outcome));
            assert_eq!(entry.generation, generation);
            line.is_recorded_as("app", &entry.principal);
        };
        told(&created, "org:create", None, "ok", None);
        told(&put, "connection:write", Some("github/main"), "ok", Some(1));
        told(&read, "token:read", Some("github/main"), "ok", Some(1));
        told(&missed, "token:read", Some("github/none"), "not_found", None);
        told(&nonsense, "unparsed", None, "not_found", None);
        vault.audit_is_intact();
    });
}
