//! Rotating the root key while the daemon serves: resumable after a kill, with proof at the end.

use serde_json::Value;

use crate::kit::vault::new_key;
use crate::kit::{Request, Response, TestVault, poll};

/// More than one batch of a rotation, so that a kill can come between two.
const ORGS: usize = 700;

fn keys(vault: &TestVault) -> Value {
    vault.admin().get("/admin/v1/keys").is(200).json()
}

fn reload(vault: &TestVault) -> Response {
    vault.admin().send(&Request::new("POST", "/admin/v1/keys/reload"))
}

fn begin(vault: &TestVault) {
    vault.admin().send(&Request::new("POST", "/admin/v1/keys/rotate")).is(202);
}

fn fill(vault: &TestVault) {
    std::thread::scope(|scope| {
        for part in 0..8 {
            scope.spawn(move || {
                (0..ORGS).filter(|org| org % 8 == part).for_each(|org| vault.create_org(&format!("o{org}")))
            });
        }
    });
    vault.put_pair("o0", "github/main", "at-0", "rt-0");
}

#[test]
fn a_rotation_goes_on_after_a_kill_and_ends_with_nothing_under_the_old_key() {
    let mut vault = TestVault::running();
    fill(&vault);
    let (old, new) = (vault.root_key(), new_key());
    vault.write_root_key(&[&new, &old]);
    reload(&vault).is(200);
    let all = ORGS as u64 + 1;
    assert_eq!(keys(&vault)["remaining"], all);

    begin(&vault);
    poll("a part of the rotation", || (keys(&vault)["remaining"].as_u64()? < all).then_some(()));
    vault.kill9();
    vault.start();
    assert_eq!(vault.access_token("o0", "github/main"), "at-0");
    let left = keys(&vault)["remaining"].as_u64().expect("a count");
    assert!(left < all, "what was wrapped anew stays so");

    begin(&vault);
    poll("the end of the rotation", || {
        let now = keys(&vault);
        assert_eq!(now["rotation_error"], Value::Null);
        (now["remaining"] == 0 && now["rotating"] == false).then_some(())
    });
    let counted = keys(&vault);
    assert_eq!(counted["root_keys"][0]["org_keys"], ORGS as u64);
    assert_eq!(counted["root_keys"][1]["org_keys"], 0);
    assert_eq!(counted["root_keys"][1]["system_key"], false);

    // Then, and only then, the old key may go.
    vault.write_root_key(&[&new]);
    reload(&vault).is(200);
    vault.restart();
    assert_eq!(vault.access_token("o0", "github/main"), "at-0");
    vault.audit_is_intact();
}

#[test]
fn a_list_that_lacks_a_key_in_use_is_not_taken() {
    let vault = TestVault::running();
    vault.create_org("acme");
    let before = keys(&vault);
    let id = before["root_keys"][0]["id"].as_str().expect("an id").to_owned();
    vault.write_root_key(&[&new_key()]);
    let refused = reload(&vault).refused(409, "conflict");
    assert!(
        refused.detail.contains(&id) && refused.detail.contains("still wraps 2 keys"),
        "{}",
        refused.detail
    );
    assert_eq!(keys(&vault), before, "the old list stands");
    vault.create_org("another");
}
