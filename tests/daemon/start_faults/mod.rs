//! What a daemon does that is started wrongly: it ends by a named code, with a line that says what to do, and
//! loses nothing.

mod configuration;
mod damage;
mod host;
mod keys;
mod places;

use serde_json::json;

use crate::kit::TestVault;

/// A vault in which something is kept, and whose daemon has stopped.
fn kept() -> TestVault {
    let mut vault = TestVault::running();
    vault.create_org("acme");
    vault.put("acme", "github/main", &json!({"access_token": "kept", "refresh_token": "kept too"}));
    vault.stop();
    vault
}

/// Once it is started rightly, what was kept is there, and the log is whole.
fn nothing_is_lost(vault: &mut TestVault) {
    vault.start();
    assert_eq!(vault.access_token("acme", "github/main"), "kept");
    vault.audit_is_intact();
}
