//! The `scope` of a token set, as the provider that issued it writes it.

use serde_json::{Value, json};

use super::shown::vault;

#[test]
fn scopes_are_taken_apart_by_what_the_provider_puts_between_them() {
    let vault = vault("allowed_scopes = [\"repo\", \"gist\"]\n");
    vault.create_org("acme");
    let put = |connection: &str, scope: Value| {
        vault.try_put("acme", connection, &json!({"access_token": "at", "scope": scope}))
    };
    let written = [json!("repo,gist"), json!("repo gist"), json!(" repo, gist,"), json!(["repo", "gist"])];
    for scope in written {
        assert_eq!(put("gh/1", scope.clone()).json()["scopes"], json!(["repo", "gist"]), "{scope}");
    }
    for scope in [json!("repo,delete_repo"), json!(["repo", "delete_repo"])] {
        put("gh/2", scope).refused(403, "scope_not_allowed");
    }
    for wrong in [json!(["repo gist"]), json!([1]), json!(1)] {
        put("gh/2", wrong).refused(400, "invalid_request");
    }
    // Of whose answers nothing is known, RFC 6749 is: a comma is a character of a scope.
    assert_eq!(put("github/1", json!("repo,gist")).is(201).json()["scopes"], json!(["repo,gist"]));
}
