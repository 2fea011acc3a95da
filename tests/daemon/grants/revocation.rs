//! Deleting a connection ends its grant at the provider: at once where it can, and else when it can.

use super::*;
use crate::kit::poll;

fn delete(vault: &TestVault) -> Value {
    vault.send(&Request::delete(CONNECTION)).is(200).json()
}

/// A connection whose refresh token is good.
fn connected() -> Option<(OAuthServer, TestVault, String)> {
    let (server, vault) = furnished("")?;
    connect(&vault, &server).is(200);
    let refresh = refresh_token(&vault);
    assert!(server.is_alive(&refresh));
    Some((server, vault, refresh))
}

fn waiting(vault: &TestVault) -> Value {
    vault.admin().get("/admin/v1/revocations").is(200).json()
}

#[test]
fn a_deleted_connection_is_revoked_at_its_provider() {
    let Some((server, vault, refresh)) = connected() else { return };
    let deleted = delete(&vault);
    assert_eq!(deleted, json!({ "deleted": true, "revoked": true, "revocation": "done" }));
    assert!(!server.is_alive(&refresh));
    vault.token("acme", MAIN).refused(404, "not_found");
    assert_eq!(waiting(&vault), json!({ "items": [], "waiting": 0 }));
    let told = told(&vault, "token:revoke");
    assert_eq!(told, [("ok".into(), "begun".into()), ("ok".into(), "revoked".into())]);
    vault.audit_is_intact();
}

#[test]
fn a_connection_may_be_deleted_while_its_grant_lives_on() {
    let Some((server, vault, refresh)) = connected() else { return };
    let left = vault.send(&Request::delete(format!("{CONNECTION}?revoke=false"))).is(200).json();
    assert_eq!((&left["revoked"], &left["revocation"]), (&json!(false), &json!("not_asked")));
    assert!(server.is_alive(&refresh));
    vault.send(&Request::delete(format!("{CONNECTION}?revoke=no"))).refused(400, "invalid_request");
    let put = json!({ "access_token": "a", "refresh_token": "r" });
    vault.put("acme", "github/main", &put);
    let nowhere = vault.send(&Request::delete("/v1/orgs/acme/connections/github/main")).is(200).json();
    assert_eq!(nowhere["revocation"], "impossible", "it has no client at its provider");
}

#[test]
fn a_revocation_is_tried_until_it_is_done_whatever_happens_to_the_daemon() {
    let Some((server, mut vault, refresh)) = connected() else { return };
    server.fault(&json!({ "path": "/token/revocation", "count": 1, "status": 503 }));
    assert_eq!(delete(&vault)["revocation"], "pending");
    vault.token("acme", MAIN).refused(404, "not_found");
    let item = waiting(&vault)["items"][0].clone();
    assert_eq!((&item["name"], &item["attempts"]), (&json!("main"), &json!(1)), "{item}");
    assert_eq!(item["last"], "provider_error");
    vault.kill9();
    vault.start();
    poll("the revocation", || (server.count("revoked") > 0).then_some(()));
    assert!(!server.is_alive(&refresh));
    poll("the note to be gone", || (waiting(&vault)["waiting"] == 0).then_some(()));
    let told = told(&vault, "token:revoke");
    assert!(told.contains(&("provider_error".into(), "tried_again".into())), "{told:?}");
    assert_eq!(told.last(), Some(&("ok".into(), "revoked".into())));
    vault.audit_is_intact();
}

#[test]
fn a_provider_that_will_not_is_not_asked_again() {
    let Some((server, vault, _)) = connected() else { return };
    let refused = json!({ "error": "unsupported_token_type" }).to_string();
    server.fault(&json!({ "path": "/token/revocation", "status": 400, "body": refused }));
    assert_eq!(delete(&vault)["revocation"], "impossible");
    assert_eq!(waiting(&vault)["waiting"], 0);
    assert_eq!(told(&vault, "token:revoke").last().expect("an entry").1, "revocation_refused");
}

#[test]
fn a_page_of_a_proxy_ends_nothing() {
    let Some((server, vault, refresh)) = connected() else { return };
    let page =
        json!({ "path": "/token/revocation", "status": 403, "type": "text/html", "body": "<html></html>" });
    server.fault(&page);
    assert_eq!(delete(&vault)["revocation"], "pending");
    poll("the revocation", || (!server.is_alive(&refresh)).then_some(()));
}

#[test]
fn what_a_refresh_in_the_air_brings_is_revoked_too() {
    let Some((server, vault, refresh)) = connected() else { return };
    server.fault(&json!({ "path": "/token", "delay_ms": 1500 }));
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| {
            let target = format!("{CONNECTION}/refresh");
            vault.send(&Request::post(target, &json!({ "if_generation": 1 }))).status
        });
        poll("the refresh to be under way", || {
            (vault.get(CONNECTION).json()["state"] == "refreshing").then_some(())
        });
        let deleted = delete(&vault);
        assert_eq!(deleted["revocation"], "done", "it waits for the refresh, and takes what it brought");
        assert_eq!(asked.join().expect("an answer"), 404);
    });
    assert!(!server.is_alive(&refresh));
    let calls: Vec<String> = server.log().into_iter().map(|call| call.what).collect();
    assert_eq!(
        calls,
        ["granted", "granted", "revoked", "revoked"],
        "first it lands, then both tokens are shown"
    );
    vault.audit_is_intact();
}

#[test]
fn a_kill_in_the_middle_of_a_refresh_leaves_the_revocation_to_the_next_life() {
    let Some((server, mut vault, _)) = connected() else { return };
    server.fault(&json!({ "path": "/token", "delay_ms": 1500 }));
    let request = Request::post(format!("{CONNECTION}/refresh"), &json!({ "if_generation": 1 })).bytes();
    let mut stream = std::os::unix::net::UnixStream::connect(vault.socket()).expect("the socket");
    std::io::Write::write_all(&mut stream, &request).expect("sent");
    poll("the refresh to be under way", || {
        (vault.get(CONNECTION).json()["state"] == "refreshing").then_some(())
    });
    let target = Request::delete(CONNECTION).bytes();
    let mut deleting = std::os::unix::net::UnixStream::connect(vault.socket()).expect("the socket");
    std::io::Write::write_all(&mut deleting, &target).expect("sent");
    poll("the connection to be gone", || (vault.get(CONNECTION).status == 404).then_some(()));
    vault.kill9();
    vault.start();
    let note = waiting(&vault)["items"][0].clone();
    let moment = |name: &str| note[name].as_str().expect("a moment").to_owned();
    assert!(moment("next_at") > moment("since"), "the refresh might still be in the air: {note}");
    assert_eq!((&note["attempts"], server.count("revoked")), (&json!(0), 0));
}

#[test]
fn a_grant_is_revoked_with_the_last_that_lives_on_it() {
    let Some((server, vault, refresh)) = connected() else { return };
    let provider = CONNECTION.rsplit('/').nth(1).expect("a provider");
    let set = json!({ "access_token": "second", "refresh_token": refresh, "expires_in": 3600 });
    vault.put("acme", &format!("{provider}/second"), &set);
    assert_eq!(delete(&vault)["revocation"], "impossible");
    assert!(server.is_alive(&refresh));
    let second = format!("/v1/orgs/acme/connections/{provider}/second");
    assert_eq!(vault.send(&Request::delete(second)).is(200).json()["revocation"], "done");
    assert!(!server.is_alive(&refresh));
}
