//! Clients that stall, say half of what they want to say, or just stay: others are served all the while.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::json;

use crate::kit::configuration::other_uid;
use crate::kit::way::{Way, doors};
use crate::kit::{Client, Configuration, Line, Request, TestVault, poll, skip, stranger};

/// Places for one user.
const PLACES: usize = 12;

fn strict(way: Way) -> TestVault {
    let limits = "connections = 40\nconnections_per_user = 12\nheader_deadline = \"1s\"\n\
                  body_deadline = \"1s\"\nidle_deadline = \"1s\"";
    let other = Client { name: "other", uid: other_uid(), ..Client::own() };
    let clients = vec![Client::own(), other];
    let vault = TestVault::over(way, Configuration { limits, clients, ..Configuration::default() });
    vault.create_org("acme");
    vault.put("acme", "github/main", &json!({"access_token": "served"}));
    vault
}

fn read() -> Request {
    Request::get("/v1/orgs/acme/connections/github/main/token")
}

/// A connection that asks without a pause, while `story` goes on beside it.
fn while_another_is_served<T>(vault: &TestVault, story: impl FnOnce() -> T) -> T {
    let (over, served) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut wire = vault.line().wire().unwrap();
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let answer = wire.send(&read()).expect("the other one is served").is(200);
                assert_eq!(answer.json()["access_token"], "served");
                served.fetch_add(1, Ordering::Relaxed);
            }
        });
        let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(story));
        let after = served.load(Ordering::Relaxed);
        poll("the other one still to be served", || {
            (asking.is_finished() || served.load(Ordering::Relaxed) > after + 3).then_some(())
        });
        over.store(true, Ordering::Relaxed);
        asking.join().expect("the other one was served all the while");
        told.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Each of these is sent on a connection of its own, and then nothing more.
fn halves() -> Vec<(&'static str, Vec<u8>)> {
    let put =
        "PUT /v1/orgs/acme/connections/github/slow HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    vec![
        ("nothing", Vec::new()),
        ("one byte", b"G".to_vec()),
        ("half a request line", b"GET /v1/sta".to_vec()),
        ("half a header", b"GET /v1/status HTTP/1.1\r\nhost: x\r\nx-long: aaaa".to_vec()),
        ("no body", format!("{put}content-length: 100\r\n\r\n").into_bytes()),
        ("half a body", format!("{put}content-length: 100\r\n\r\n{{\"access_token\":").into_bytes()),
        ("half a chunk", format!("{put}transfer-encoding: chunked\r\n\r\n20\r\n{{\"access").into_bytes()),
        ("half a preface of HTTP/2", preface[..10].to_vec()),
        ("HTTP/2 and then nothing", preface),
    ]
}

#[test]
fn whoever_stalls_is_hung_up_on_and_costs_nobody_else_anything() {
    for door in doors() {
        let vault = strict(door);
        while_another_is_served(&vault, || hangs_up_on_halves(&vault.line()));
        vault.get("/v1/orgs/acme/connections/github/slow").refused(404, "not_found");
    }
}

/// What an admin asks may take long to answer, not to be said.
#[test]
fn an_admin_who_stalls_is_hung_up_on_too() {
    let vault = strict(doors().next().unwrap());
    while_another_is_served(&vault, || hangs_up_on_halves(&vault.admin()));
    vault.get("/v1/orgs/acme/connections/github/slow").refused(404, "not_found");
    vault.admin().get("/admin/v1/keys").is(200);
}

fn hangs_up_on_halves(line: &Line) {
    let stalled: Vec<_> = halves()
        .into_iter()
        .map(|(what, bytes)| {
            let mut wire = line.wire().unwrap();
            wire.write(&bytes).unwrap();
            (what, wire)
        })
        .collect();
    for (what, mut wire) in stalled {
        // What it said last must not be a success.
        let said = poll(&format!("a hang-up on {what}"), || wire.is_closed().then(|| wire.read_to_end()));
        assert!(!said.starts_with(b"HTTP/1.1 2"), "{what}: {}", String::from_utf8_lossy(&said));
    }
}

/// A byte now and then is not progress enough.
#[test]
fn a_header_that_drips_has_one_deadline_for_all_of_it() {
    for door in doors() {
        let vault = strict(door);
        while_another_is_served(&vault, || {
            let mut wire = vault.line().wire().unwrap();
            wire.write(b"GET /v1/status HTTP/1.1\r\nx-drip: ").unwrap();
            poll("a hang-up on the drip", || (wire.write(b"a").is_err() || wire.is_closed()).then_some(()));
        });
    }
}

/// As `nc` and shell scripts do: asked, said that this was all, and still listening.
#[test]
fn who_has_said_its_last_word_is_answered_and_then_hung_up_on() {
    for door in doors() {
        let vault = TestVault::over(door, Configuration::default());
        vault.create_org("acme");
        vault.put("acme", "github/main", &json!({"access_token": "served"}));
        for requests in [1, 3] {
            let mut wire = vault.line().wire().unwrap();
            wire.write(&read().bytes().repeat(requests)).unwrap();
            wire.finish();
            for _ in 0..requests {
                let answer = wire.read_response().unwrap().expect("an answer").is(200);
                assert_eq!(answer.json()["access_token"], "served");
            }
            assert!(wire.read_response().unwrap().is_none(), "the daemon hangs up");
        }
    }
}

#[test]
fn who_does_not_read_the_answer_is_hung_up_on() {
    for door in doors() {
        let vault = strict(door);
        let large = "x".repeat(60 * 1024);
        vault.line().put("/v1/orgs/acme/secrets/large", &json!({"value": large})).is(201);
        while_another_is_served(&vault, || {
            let mut wire = vault.line().wire().unwrap();
            let ask = Request::get("/v1/orgs/acme/secrets/large").bytes();
            // More answers than the socket's buffers hold; none is read until the daemon has hung up.
            wire.write(&ask.repeat(50)).unwrap();
            poll("a hang-up on the deaf one", || wire.write(b"G").is_err().then_some(()));
        });
    }
}

#[test]
fn over_the_cap_one_is_turned_away_and_the_rest_goes_on() {
    for door in doors() {
        let vault = strict(door);
        while_another_is_served(&vault, || {
            let mut idle = Vec::new();
            let turned_away = poll("the cap", || {
                let mut wire = vault.line().wire().unwrap();
                let answer = wire.send(&read()).ok()?;
                if answer.status == 200 {
                    idle.push(wire);
                    return None;
                }
                Some(answer)
            });
            let problem = turned_away.well_kept().refused(429, "rate_limited");
            assert_eq!(problem.retry_after, Some(1));
            assert!(idle.len() <= PLACES, "one place is the busy one's: {}", idle.len());
            // The others of this host, and the admins, are not the ones who filled it.
            vault.admin().get("/admin/v1/keys").is(200);
            match stranger::send(&vault, &read()) {
                Ok(answer) => assert_eq!(answer.is(200).json()["access_token"], "served"),
                Err(why) => skip(&why),
            }
            for mut wire in idle {
                poll("idle connections to be closed", || wire.is_closed().then_some(()));
            }
            poll("a place again", || {
                let answer = vault.line().wire().ok()?.send(&read()).ok()?;
                (answer.status == 200).then_some(())
            });
        });
    }
}

/// Those who come and go at once take no place with them.
#[test]
fn connections_that_are_dropped_give_their_places_back() {
    for door in doors() {
        let vault = strict(door);
        for round in 0..200 {
            let mut wire = vault.line().wire().unwrap();
            if round % 2 == 0 {
                // It may be turned away meanwhile.
                let _ = wire
                    .write(b"PUT /v1/orgs/acme/connections/github/x HTTP/1.1\r\ncontent-length: 9\r\n\r\n");
            }
        }
        poll("a place", || {
            let answer = vault.line().wire().ok()?.send(&read()).ok()?;
            (answer.status == 200).then_some(())
        });
    }
}
