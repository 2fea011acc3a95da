//! The `scope` of a token set, as the provider that issued it writes it.

use serde_json::json;

use super::shown::vault;

#[test]
fn scopes_are_taken_apart_by_what_the_provider_puts_between_them() {
    let vault = vault("allowed_scopes = [\"repo\", \"gist\"]\n");
    vault.create_org("acme");
    let put = |connection: &str, scope: &str| {
        vault.try_put("acme", connection, &json!({"access_token": "at", "scope": scope}))
    };
    for (name, scope) in [("gh/1", "repo,gist"), ("gh/2", "repo gist"), ("gh/3", " repo, gist,")] {
        assert_eq!(put(name, scope).is(201).json()["scopes"], json!(["repo", "gist"]), "{scope}");
    }
    put("gh/4", "repo,delete_repo").refused(403, "scope_not_allowed");
    // Of whose answers nothing is known, RFC 6749 is: a comma is a character of a scope.
    assert_eq!(put("github/1", "repo,gist").is(201).json()["scopes"], json!(["repo,gist"]));
}
