//! The table of errors of the contract: every row that this version reaches, through the real sockets.
//!
//! No answer repeats a byte of what was sent: each request carries a mark, and no answer may.

mod asked_wrongly;

use std::collections::BTreeSet;

use serde_json::json;
use tokenkeep_client::problem::Code;

use crate::kit::configuration::{NOBODY_S_UID, other_uid};
use crate::kit::vault::{STRANGER_SAN, new_key};
use crate::kit::way::{Door, Way, doors};
use crate::kit::{Client, Configuration, Request, Response, TestVault, WAYS, files, over_each_way, skip};
use crate::{audit_faults, full_disk, misplaced};

/// The table as the contract has it.
const TABLE: &[(u16, &str)] = &[
    (400, "invalid_request"),
    (400, "unknown_provider"),
    (401, "unauthenticated"),
    (403, "forbidden"),
    (403, "cross_org"),
    (403, "forwarded_request"),
    (403, "consent_required"),
    (403, "scope_not_allowed"),
    (404, "not_found"),
    (405, "method_not_allowed"),
    (406, "not_acceptable"),
    (413, "too_large"),
    (415, "unsupported_media_type"),
    (431, "headers_too_large"),
    (409, "conflict"),
    (409, "already_exists"),
    (412, "precondition_failed"),
    (424, "needs_reauth"),
    (424, "outcome_unknown"),
    (429, "rate_limited"),
    (500, "integrity"),
    (500, "internal"),
    (502, "provider_error"),
    (504, "provider_timeout"),
    (503, "not_ready"),
    (503, "client_misconfigured"),
    (503, "refresh_in_progress"),
    (503, "quarantined"),
    (503, "audit_unavailable"),
    (507, "storage_full"),
];

/// Rows that no request reaches, and why.
const NOT_REACHED: &[(&str, &str)] = &[
    (
        "already_exists",
        "every PUT of this version is idempotent or conditional: 412 says it; an import says it of an item",
    ),
    ("client_misconfigured", "this version asks no provider"),
    ("consent_required", "no provider of this configuration requires it: see `grants`"),
    ("internal", "a fault of ours: there is no request for it"),
    ("outcome_unknown", "this version asks no provider"),
    ("provider_error", "this version asks no provider"),
    ("provider_timeout", "this version asks no provider"),
    ("quarantined", "this version restores no backups"),
    ("refresh_in_progress", "this version asks no provider"),
];

/// Stands in every request below, in no answer.
pub(crate) const MARK: &str = "zqmarkzq7";

/// What was seen, code by code.
#[derive(Default)]
struct Seen(BTreeSet<String>);

impl Seen {
    /// An answer must be this row of the table, and repeat nothing.
    fn row(&mut self, what: &str, answer: Response, status: u16, code: &str) {
        assert!(files::find(&answer.bytes(), MARK.as_bytes()).is_none(), "{what}: {}", answer.shown());
        assert!(TABLE.contains(&(status, code)), "{what}: {code} is not in the table");
        let is_row = answer.status == status && answer.problem().code == code;
        assert!(is_row, "{what}: not {status} {code} but {}", answer.shown());
        let problem = answer.problem();
        let known = Code::parse(code).expect("a code of this version");
        assert_eq!((problem.status, problem.title.as_str()), (known.status(), known.title()), "{what}");
        assert!(problem.detail.len() > 10 && !problem.detail.contains('\n'), "{what}: {}", problem.detail);
        self.0.insert(code.to_owned());
    }
}

#[test]
fn every_row_of_the_table_is_reached_or_accounted_for() {
    for way in WAYS {
        the_table_by(way);
    }
}

fn the_table_by(way: Way) {
    let mut seen = Seen::default();
    let mut skipped = Vec::new();
    asked_wrongly::see(way, &mut seen);
    who_asks(way, &mut seen, &mut skipped);
    asked_too_fast(way, &mut seen);
    a_key_list_that_lacks_a_key(way, &mut seen);
    for answer in audit_faults::refusals(way) {
        let code = answer.problem().code;
        seen.row("an audit log that is gone", answer, 503, &code);
    }
    seen.row("a value in the wrong place", misplaced::refusal(way), 500, "integrity");
    match full_disk::refusal(way) {
        Ok(answer) => seen.row("a full disk", answer, 507, "storage_full"),
        Err(why) => skipped.push(("storage_full", why)),
    }
    for (code, why) in &skipped {
        skip(&format!("{code}: {why}"));
    }
    let accounted = |code: &str| {
        let ways = [
            seen.0.contains(code),
            NOT_REACHED.iter().any(|(known, _)| *known == code),
            skipped.iter().any(|(known, _)| *known == code),
        ];
        ways.into_iter().filter(|way| *way).count()
    };
    for (_, code) in TABLE {
        assert_eq!(accounted(code), 1, "{code}: neither reached nor accounted for, or both ({way:?})");
    }
    for code in Code::ALL {
        let row = (code.status(), code.as_str());
        assert!(TABLE.contains(&row), "{row:?} is in no row of the table");
    }
}

fn who_asks(way: Way, seen: &mut Seen, skipped: &mut Vec<(&'static str, String)>) {
    let nobody = Client { name: "elsewhere", uid: NOBODY_S_UID, ..Client::own() };
    let alone = TestVault::over(way, Configuration { clients: vec![nobody], ..Configuration::default() });
    for request in [
        Request::get("/v1/status"),
        Request::get(format!("/v1/orgs/{MARK}/connections/github/main/token")),
        Request::get(format!("/v2/{MARK}")),
        Request::new("PUT", format!("/v1/orgs/{MARK}")),
        Request::new("POST", "/v1/orgs/acme/tokens").json(MARK),
        Request::new("TRACE", "/v1/status"),
        Request::get(format!("/admin/v1/keys?{MARK}")),
    ] {
        seen.row(&format!("a stranger: {request:?}"), alone.send(&request), 401, "unauthenticated");
    }

    let little = Client {
        orgs: &["acme"],
        providers: &["github"],
        allow: &["connection:list", "token:read", "org:read"],
        ..Client::own()
    };
    let narrow = TestVault::over(way, Configuration { clients: vec![little], ..Configuration::default() });
    for org in ["acme", "beta"] {
        narrow.admin().send(&Request::new("PUT", format!("/v1/orgs/{org}")));
    }
    let set = json!({"access_token": MARK, "labels": {MARK: MARK}});
    let in_acme = |rest: &str| format!("/v1/orgs/acme/{rest}");
    for request in [
        Request::put(in_acme("connections/github/main"), &set),
        Request::get(in_acme("connections/github/main")),
        Request::delete(in_acme("connections/github/main")),
        Request::get(in_acme("connections/github/main/refresh-token")),
        Request::get(in_acme("connections/slack/main/token")),
        Request::get(in_acme(&format!("secrets/{MARK}"))),
        Request::put(in_acme("secrets/s"), &json!({"value": MARK})),
        Request::new("PUT", "/v1/orgs/acme"),
    ] {
        seen.row(&format!("without the right: {request:?}"), narrow.send(&request), 403, "forbidden");
    }
    for request in [
        Request::get("/v1/orgs/beta/connections/github/main/token"),
        Request::get(format!("/v1/orgs/{MARK}/connections/github/main/token")),
        Request::get("/v1/orgs/beta"),
        Request::get("/v1/orgs/beta/connections"),
        Request::post("/v1/orgs/beta/tokens", &json!({"connections": []})),
    ] {
        seen.row(&format!("another org: {request:?}"), narrow.send(&request), 403, "cross_org");
    }

    // As the kernel, or a certificate, tells them apart, not as the configuration does.
    let vault = TestVault::over(way, Configuration::default());
    vault.create_org("acme");
    vault.put_pair("acme", "github/main", MARK, MARK);
    vault.line().put("/v1/orgs/acme/secrets/s", &json!({"value": MARK})).is(201);
    for rest in ["connections/github/main/token", "connections/github/main/refresh-token", "secrets/s"] {
        let answer = vault.admin().get(&in_acme(rest));
        seen.row(&format!("an admin asks for a value: {rest}"), answer, 403, "forbidden");
    }
    let batch = json!({"connections": [{"provider": "github", "name": "main"}]});
    let answer = vault.admin().post("/v1/orgs/acme/tokens", &batch);
    seen.row("an admin asks for many values", answer, 403, "forbidden");
    for (method, path) in
        [("GET", "keys"), ("POST", "keys/rotate"), ("POST", "audit/verify"), ("GET", "orgs")]
    {
        let answer = vault.send(&Request::new(method, format!("/admin/v1/{path}")));
        seen.row(&format!("the admin API at the application socket: {path}"), answer, 404, "not_found");
    }
    match vault.send_as_stranger(&Request::get("/v1/orgs/acme/connections/github/main/token")) {
        Ok(answer) => {
            let entry = vault.audited(&answer);
            let expected = match way.door {
                Door::Mtls => (None, Some(STRANGER_SAN)),
                Door::Unix => (Some(other_uid()), None),
            };
            assert_eq!((entry.principal.uid, entry.principal.san.as_deref()), expected);
            assert_eq!((entry.principal.name.as_str(), entry.decision.as_str()), ("unknown", "deny"));
            assert_eq!(entry.outcome, "unauthenticated");
            seen.row("somebody else", answer, 401, "unauthenticated");
        }
        Err(why) => skipped.push(("another user's process", why)),
    }
}

fn asked_too_fast(way: Way, seen: &mut Seen) {
    let slow = Client { rate: Some((1, 3)), ..Client::own() };
    let vault = TestVault::over(way, Configuration { clients: vec![slow], ..Configuration::default() });
    let request = Request::get("/v1/status").with("x-anything", MARK);
    let answers: Vec<Response> = (0..20).map(|_| vault.send(&request)).collect();
    assert!(answers.iter().filter(|answer| answer.status == 200).count() >= 3, "the burst is served");
    let refused: Vec<Response> = answers.into_iter().filter(|answer| answer.status != 200).collect();
    assert!(!refused.is_empty());
    for answer in refused {
        let wait = answer.problem().retry_after.expect("how long to wait");
        assert!((1..=2).contains(&wait), "{wait}");
        assert_eq!(answer.header("retry-after"), Some(wait.to_string().as_str()));
        seen.row("asked too fast", answer, 429, "rate_limited");
    }
    // Health is for probes: nobody counts them.
    for _ in 0..10 {
        vault.get("/healthz").is(200);
        vault.get("/readyz").is(200);
    }
}

fn a_key_list_that_lacks_a_key(way: Way, seen: &mut Seen) {
    let vault = TestVault::over(way, Configuration::default());
    vault.create_org("acme");
    let id = vault.get("/v1/orgs/acme").json()["root_key_id"].as_str().expect("an id").to_owned();
    let (old, new) = (vault.root_key(), new_key());
    vault.write_root_key(&[&new]);
    let answer = vault.admin().send(&Request::new("POST", "/admin/v1/keys/reload"));
    let detail = answer.problem().detail;
    assert!(detail.contains(&id) && detail.contains("still wraps 2 keys"), "{detail}");
    assert!(!detail.contains(&old) && !detail.contains(&new));
    seen.row("a key list that lacks a key", answer, 409, "conflict");
}

/// Many writers of one record under a condition: one wins each round, the others are told.
#[test]
fn of_many_conditional_writers_one_wins() {
    over_each_way(|vault, line| {
        vault.create_org("acme");
        vault.put("acme", "github/main", &json!({"access_token": "start"}));
        for generation in 1..=5_u64 {
            let race = |writer: usize| {
                let set = json!({"access_token": format!("g{generation}-w{writer}")});
                let request = Request::put("/v1/orgs/acme/connections/github/main", &set);
                line.send(&request.with("if-match", &format!("\"{generation}\"")))
            };
            let answers: Vec<Response> = std::thread::scope(|scope| {
                let writers: Vec<_> = (0..8).map(|writer| scope.spawn(move || race(writer))).collect();
                writers.into_iter().map(|writer| writer.join().expect("an answer")).collect()
            });
            let winners: Vec<usize> = (0..8).filter(|at| answers[*at].status == 200).collect();
            assert_eq!(winners.len(), 1, "generation {generation}");
            let served = vault.access_token("acme", "github/main");
            assert_eq!(served, format!("g{generation}-w{}", winners[0]));
            for answer in answers.into_iter().filter(|answer| answer.status != 200) {
                assert!(matches!(answer.status, 409 | 412), "{}", answer.shown());
                answer.problem();
            }
        }
    });
}

/// What is no request at all is hyper's to refuse; what it says repeats nothing either, and others are served.
#[test]
fn bytes_that_are_not_http_are_refused_without_being_repeated() {
    let target = format!("GET /v1/status HTTP/1.1\r\nhost: x\r\n{}\r\n\r\n", "no colon here zqmarkzq7");
    let long_head = format!("GET /v1/status HTTP/1.1\r\nx: {}\r\n\r\n", MARK.repeat(4000));
    let noises = [
        ("noise", MARK.as_bytes().to_vec()),
        ("noise with an end", format!("{MARK}\r\n\r\n").into_bytes()),
        ("binary", (0..=255).collect()),
        ("TLS", vec![0x16, 3, 1, 0, 0xa5, 1, 0, 0, 0xa1, 3, 3]),
        ("a broken field", target.into_bytes()),
        ("a wrong version", format!("GET /{MARK} HTTP/9.9\r\n\r\n").into_bytes()),
        ("a head too long", long_head.into_bytes()),
        ("a broken preface of HTTP/2", format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{MARK}").into_bytes()),
    ];
    for door in doors() {
        let vault = TestVault::over(door, Configuration::default());
        for (what, bytes) in &noises {
            let mut wire = vault.line().wire().expect("the daemon listens");
            // It may hang up before it has all of it.
            let _ = wire.write(bytes);
            wire.finish();
            let said = wire.read_to_end();
            assert!(files::find(&said, MARK.as_bytes()).is_none(), "{what}");
            let text = String::from_utf8_lossy(&said).into_owned();
            assert!(!text.starts_with("HTTP/1.1 2"), "{what}: {text}");
        }
        vault.get("/v1/status").is(200);
        assert!(!vault.said().contains(MARK));
    }
}
