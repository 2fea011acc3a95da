//! A receiver that is not well, and a daemon that is killed: everything that happened is told at least once.

use std::collections::BTreeSet;
use std::time::Duration;

use super::breaking::metric;
use super::*;

fn answer(status: u16, lines: &str) -> Mood {
    Mood::Answer(status, lines.to_owned())
}

#[test]
fn what_was_not_taken_is_sent_again_under_the_same_id() {
    let Some((_server, receiver, vault)) = told() else { return };
    receiver.next([Mood::HangUp, answer(500, "")]);
    break_one(&vault, MAIN);
    receiver.await_taken(1);
    let got = receiver.got();
    let ids: BTreeSet<&str> = got.iter().map(|got| got.id.as_str()).collect();
    assert_eq!((got.len(), ids.len()), (3, 1), "{got:?}");
    assert!(got.iter().all(|one| one.body == got[0].body), "{got:?}");
    await_none_waiting(&vault);
    assert_eq!(metric(&vault, "tokenkeep_webhook_deliveries_total{outcome=\"failed\"}"), Some(2));
    assert_eq!(metric(&vault, "tokenkeep_webhook_deliveries_total{outcome=\"delivered\"}"), Some(1));
}

#[test]
fn a_redirect_is_not_followed() {
    let Some((_server, receiver, vault)) = told() else { return };
    let elsewhere = Receiver::start();
    let place = elsewhere.table("", "");
    let place = place.split('"').nth(1).expect("an address");
    receiver.usually(answer(302, &format!("location: {place}\r\n")));
    break_one(&vault, MAIN);
    poll("the failure", || {
        let failure = listed(&vault)["items"][0]["last_failure"].as_str()?.to_owned();
        failure.contains("a redirect, which is not followed").then_some(())
    });
    assert!(elsewhere.got().is_empty());
    receiver.is_well();
    receiver.await_taken(1);
    assert!(elsewhere.got().is_empty());
}

/// One that answers too late has not taken it, as far as anybody knows here.
#[test]
fn a_receiver_that_is_too_slow_is_asked_again() {
    let Some((_server, receiver, vault)) = told() else { return };
    receiver.next([Mood::Slow(Duration::from_secs(17))]);
    break_one(&vault, MAIN);
    receiver.await_taken(1);
    let got = receiver.got();
    assert_eq!((got.len(), got[0].id == got[1].id), (2, true), "{got:?}");
}

/// Of one connection the older is told first, even where that one is not wanted; others do not wait for it.
#[test]
fn an_event_that_is_refused_holds_up_its_own_connection_alone() {
    let Some((server, receiver, vault)) = told() else { return };
    receiver.next([answer(400, "")]);
    break_one(&vault, MAIN);
    poll("the refusal", || (receiver.got().len() == 1).then_some(()));
    put_ended(&vault, &server, MAIN);
    break_one(&vault, "oidc/other");
    let got = receiver.await_taken(3);
    let of_main: Vec<String> =
        got.iter().filter(|got| got.told().2 == "main").map(|got| got.told().0).collect();
    assert_eq!(of_main, ["connection.needs_reauth", "connection.recovered"]);
}

/// With a success among them: five refusals in a row would be taken for a fault of ours, and nothing marked.
fn break_five(vault: &TestVault, server: &OAuthServer) {
    for n in 0..5 {
        break_one(vault, &format!("oidc/c{n}"));
        if n == 2 {
            put_ended(vault, server, "oidc/well");
            vault.token("acme", "oidc/well").is(200);
        }
    }
}

#[test]
fn a_daemon_that_is_killed_before_it_could_tell_tells_after_the_start() {
    let Some((server, receiver, mut vault)) = told() else { return };
    receiver.usually(Mood::HangUp);
    break_five(&vault, &server);
    put_living(&vault, &server, "oidc/lost");
    server.fault(&json!({ "drop": "after" }));
    refreshed(&vault, "oidc/lost", 1).refused(424, "outcome_unknown");
    // The answers are out: whatever they told of is on the disk, and so are their events.
    vault.kill9();
    assert!(receiver.taken().is_empty());
    receiver.is_well();
    vault.start();
    let got = receiver.await_taken(6);
    let names: BTreeSet<String> = got.iter().map(|got| got.told().2).collect();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["c0", "c1", "c2", "c3", "c4", "lost"]);
    await_none_waiting(&vault);
    vault.restart();
    await_none_waiting(&vault);
    assert_eq!(receiver.taken().len(), 6, "what was delivered is not sent again");
    vault.audit_is_intact();
}

/// Killed at any moment, over and over: each event arrives, and under one id.
#[test]
fn kills_cost_repeats_and_no_event() {
    let Some((_server, receiver, mut vault)) = told() else { return };
    receiver.usually(Mood::Slow(Duration::from_millis(40)));
    for round in 0..6_u64 {
        for n in 0..4 {
            break_one(&vault, &format!("oidc/r{round}c{n}"));
        }
        std::thread::sleep(Duration::from_millis(23 * round));
        vault.kill9();
        vault.start();
    }
    receiver.is_well();
    await_none_waiting(&vault);
    let arrived = receiver.got();
    let names: BTreeSet<String> = arrived.iter().map(|got| got.told().2).collect();
    let ids: BTreeSet<&str> = arrived.iter().map(|got| got.id.as_str()).collect();
    println!("24 events, {} deliveries", arrived.len());
    assert_eq!((names.len(), ids.len()), (24, 24));
    vault.audit_is_intact();
}

#[test]
fn a_full_outbox_gives_up_its_oldest_and_says_so() {
    let Some((server, receiver, vault)) = told_with("waiting = 3") else { return };
    receiver.usually(Mood::HangUp);
    break_five(&vault, &server);
    // One that is on its way is not given up.
    let waiting = listed(&vault)["waiting"].as_u64().expect("a number");
    assert!((3..=4).contains(&waiting), "{waiting}");
    assert!(vault.said().contains("its oldest event was dropped"), "{}", vault.said());
    let dropped =
        metric(&vault, "tokenkeep_webhook_deliveries_total{outcome=\"dropped\"}").expect("a figure");
    assert_eq!(dropped + waiting, 5);
    receiver.is_well();
    await_none_waiting(&vault);
    let names: BTreeSet<String> = receiver.taken().iter().map(|got| got.told().2).collect();
    assert!(names.contains("c4") && names.contains("c3") && names.len() as u64 == waiting, "{names:?}");
}
