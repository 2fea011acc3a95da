//! Examples of bodies. A test sends those that come in to a real daemon; those that go out are what it then answers,
//! but for moments and ids.

use hyper::StatusCode;
use serde_json::{Value, json};
use tokenkeep::transport::operation::Shape;
use tokenkeep_client::problem::Code;

use super::problems;

pub(crate) const STATE: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0";
pub(crate) const REQUEST_ID: &str = "5f0c27a100000001";

const CREATED_AT: &str = "2026-11-21T18:00:00Z";
const EXPIRES_AT: &str = "2026-11-21T19:00:00Z";
const ROOT_KEY_ID: &str = "0123456789abcdef";

/// An example of a shape.
pub(crate) fn of(shape: Shape) -> Value {
    match shape {
        Shape::AuditEntries => json!({ "items": [], "next": null }),
        Shape::AuditVerifyOut => json!({ "intact": true, "entries": 412, "files": 3, "break": null }),
        Shape::AuthorizationOut => json!({
            "url": format!("https://github.com/login/oauth/authorize?response_type=code&client_id=app&state={STATE}"),
            "state": STATE, "expires_at": EXPIRES_AT,
        }),
        Shape::AuthorizationRequest => json!({
            "provider": "github", "name": "main", "redirect_uri": "https://app.example/callback", "scopes": ["read:org"],
        }),
        Shape::BatchOut => json!({ "results": [
            { "provider": "github", "name": "main", "token": token() },
            { "provider": "slack", "name": "main", "problem": problems::example(Code::NotFound) },
        ] }),
        Shape::AlertTestOut => json!({
            "id": "evt_000102030405060708090a0b0c0d0e0f", "delivered": true, "status": 204, "detail": "status 204",
        }),
        Shape::AlertsOut => json!({ "webhook": "https://alerts.example", "waiting": 1, "items": [{
            "id": "evt_000102030405060708090a0b0c0d0e0f", "sequence": 812, "type": "connection.needs_reauth",
            "timestamp": CREATED_AT, "org": "acme", "provider": "github", "name": "main", "failures": 2,
            "last_failure": "status 503", "next_in": 16,
        }] }),
        Shape::BatchRequest => json!({
            "connections": [{ "provider": "github", "name": "main" }, { "provider": "slack", "name": "main" }],
            "min_ttl": 120,
        }),
        Shape::CompleteRequest => {
            json!({ "code": "c0de-of-the-query", "iss": "https://github.com/login/oauth" })
        }
        Shape::ConnectionOut => connection(),
        Shape::Connections => json!({ "items": [connection()], "next": null }),
        Shape::ConsentIn => json!({ "reference": "data processing agreement 2026-11, section 4" }),
        Shape::ConsentOut => consent(),
        Shape::Consents => json!({ "items": [consent()], "next": null }),
        Shape::DecryptOut => json!({ "results": [{ "problem": problem_of_a_ciphertext() }] }),
        Shape::DecryptRequest => json!({ "ciphertexts": ["gAAAAABpIKcA"] }),
        Shape::Deleted => json!({ "deleted": true, "revoked": false }),
        Shape::DoctorOut => json!({ "findings": [
            { "check": "swap", "level": "ok", "detail": "no swap is on", "mend": null },
        ] }),
        Shape::EncryptOut => json!({ "ciphertexts": ["gAAAAABpIKcA"] }),
        Shape::EncryptRequest => json!({ "plaintexts": ["aHVudGVyMg=="] }),
        Shape::Expiring => json!({ "items": [], "next": null }),
        Shape::ImportIn => json!({
            "terms": { "mode": "dry_run", "different": "refuse", "missing_org": "create" },
            "items": [{ "org": "acme", "provider": "github", "name": "main", "tokens": of(Shape::TokenSet) }],
        }),
        Shape::ImportOut => json!({ "created_orgs": ["acme"], "results": [{ "outcome": "created" }] }),
        Shape::BackupsOut => json!({
            "repository": "directory /srv/backup",
            "vault": "0123456789abcdef0123456789abcdef",
            "set": "20261121T180000Z-1-3f9a",
            "behind_seconds": 0,
            "running": null,
            "last": [],
            "items": []
        }),
        Shape::KeysOut => json!({
            "root_keys": [{ "id": ROOT_KEY_ID, "primary": true, "org_keys": 1, "system_key": true }],
            "remaining": 0, "rotating": false, "rotation_error": null, "org_rotation": org_rotation(),
        }),
        Shape::Metrics => "# EOF\n".into(),
        Shape::Nothing => Value::Null,
        Shape::OrgKeysOut => json!({
            "current_records": 2, "earlier_records": 0, "keys": [], "earlier_keys": 0, "rotation": org_rotation(),
            "backups": {
                "sets": 1, "uncounted_sets": 0, "oldest_set": "20261121T180000Z-1-3f9a", "error": null,
                "root_keys": [{
                    "id": ROOT_KEY_ID, "listed": true, "sets": 1, "last_set": "20261121T180000Z-1-3f9a",
                    "until": EXPIRES_AT,
                }],
            },
        }),
        Shape::OrgOut => org(),
        Shape::OrgRotationIn => json!({ "org": "acme", "records_per_second": 5000 }),
        Shape::OrgRotationOut => org_rotation(),
        Shape::Orgs => json!({ "items": [org()], "next": null }),
        Shape::PassOut => json!({ "pass": "gAAAAABpIKcA", "expires_at": EXPIRES_AT }),
        Shape::PassRequest => json!({ "actions": ["connection:read", "token:read"], "ttl": 300 }),
        Shape::ProviderCheckOut => json!({ "provider": "github", "findings": [] }),
        Shape::ProviderOut => provider(),
        Shape::Providers => json!({ "items": [provider()], "next": null }),
        Shape::ReleaseIn => json!({ "org": "acme", "provider": "github", "name": "main" }),
        Shape::ReleaseOut => json!({ "released": 1, "next": null }),
        Shape::RetireIn => json!({ "id": ROOT_KEY_ID }),
        Shape::RetireOut => json!({
            "id": ROOT_KEY_ID, "org": null, "state": "unneeded", "in_backups_until": null, "backups_error": null,
        }),
        Shape::RefreshRequest => json!({ "if_generation": 1 }),
        Shape::RefreshTokenOut => json!({ "refresh_token": "ghr_refresh-token-2", "generation": 2 }),
        Shape::RevocationsOut => json!({ "items": [], "waiting": 0 }),
        Shape::SecretIn => json!({ "value": "whsec_signing-key", "labels": { "owner": "billing" } }),
        Shape::SecretInfo => secret(),
        Shape::SecretOut => json!({ "value": "whsec_signing-key", "version": 1, "created_at": CREATED_AT }),
        Shape::Secrets => json!({ "items": [secret()], "next": null }),
        Shape::Status => status(),
        Shape::Token => token(),
        Shape::TokenSet => json!({
            "access_token": "ghu_access-token-2", "refresh_token": "ghr_refresh-token-2", "token_type": "Bearer",
            "expires_in": 3600, "scope": "read:org repo:status", "labels": { "plan": "pro" },
        }),
    }
}

/// An example of what a success with this status gives.
pub(crate) fn given(shape: Shape, status: StatusCode) -> Value {
    let mut sample = of(shape);
    if let (StatusCode::CREATED, Some(generation)) = (status, sample.get_mut("generation")) {
        *generation = 1.into();
    }
    sample
}

/// The bare form of a shape.
pub(crate) fn bare(shape: Shape) -> Value {
    let whole = of(shape);
    let fields = ["access_token", "refresh_token", "value"];
    fields.iter().find_map(|name| whole.get(name)).cloned().expect("a shape with a bare form")
}

fn problem_of_a_ciphertext() -> Value {
    let mut problem = problems::example(Code::InvalidRequest);
    problem["detail"] = "it is no Fernet token under this key".into();
    problem["reason"] = "ciphertext_invalid".into();
    problem
}

fn token() -> Value {
    json!({
        "access_token": "ghu_access-token-2", "token_type": "Bearer", "expires_at": EXPIRES_AT,
        "scopes": ["read:org", "repo:status"], "generation": 2,
    })
}

fn connection() -> Value {
    json!({
        "provider": "github", "name": "main", "state": "active", "reason": null, "since": null,
        "scopes": ["read:org", "repo:status"], "generation": 2, "expires_at": EXPIRES_AT, "has_refresh_token": true,
        "created_at": CREATED_AT, "refreshed_at": CREATED_AT, "last_read_at": null, "labels": { "plan": "pro" },
        "forecast": null,
    })
}

fn consent() -> Value {
    json!({
        "provider": "github", "name": "main", "consent": "0123456789abcdef",
        "reference": "data processing agreement 2026-11, section 4", "recorded_at": CREATED_AT,
        "recorded_by": "admin", "stands": true, "withdrawn_at": null, "withdrawn_by": null,
    })
}

fn provider() -> Value {
    json!({
        "provider": "github", "preset": null, "refreshes": false, "allowed_scopes": [], "requires_consent": false,
        "settings": [],
    })
}

fn org() -> Value {
    json!({ "org": "acme", "created_at": CREATED_AT, "root_key_id": ROOT_KEY_ID })
}

fn secret() -> Value {
    json!({
        "name": "webhook-signing-key", "version": 1, "created_at": CREATED_AT,
        "versions": [{ "version": 1, "created_at": CREATED_AT }], "labels": { "owner": "billing" },
    })
}

fn status() -> Value {
    json!({
        "version": "0.1.0", "vault_id": "00112233445566778899aabbccddeeff", "environment": "production",
        "principal": { "name": "web", "proof": "unix", "uid": 990, "gid": 990, "pid": 4711, "unit": "web.service" },
        "ready": true,
        "store": { "state": "ok", "reason": null, "records": 1024, "sequence": 2048, "index": "sled" },
        "audit": { "state": "ok", "reason": null, "sequence": 412 },
        "key_pages": "secret", "locked_memory": true,
    })
}

fn org_rotation() -> Value {
    json!({
        "running": false, "new_keys": 1, "found": 2, "done": 2, "records_per_second": 5000, "error": null,
    })
}
