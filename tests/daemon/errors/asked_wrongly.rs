//! Requests that are wrong in themselves, each over each way in.

use serde_json::json;

use super::{MARK, Seen};
use crate::kit::line::Protocol;
use crate::kit::way::Way;
use crate::kit::{Configuration, Line, Request, TestVault};

type Case = (&'static str, Request, u16, &'static str);

const MAIN: &str = "/v1/orgs/acme/connections/github/main";
const KIB: usize = 1024;

pub(super) fn see(way: Way, seen: &mut Seen) {
    let vault = TestVault::over(way, Configuration::default());
    let line = vault.line();
    vault.create_org("acme");
    vault.put("acme", "github/main", &json!({"access_token": "t", "expires_at": "2020-01-01T00:00:00Z"}));
    for (what, request, status, code) in [invalid(), refused(), forms(), sizes()].concat() {
        seen.row(&format!("{what} ({line:?})"), line.send(&request), status, code);
    }
    methods(seen, &line);
    chunked(seen, &line);
    let generation = vault.get(MAIN).json()["generation"].clone();
    assert_eq!(generation, 1, "none of it changed anything");
}

/// A PUT of a connection with this text as its body.
fn put(text: impl Into<Vec<u8>>) -> Request {
    Request::new("PUT", MAIN).json(text)
}

fn invalid() -> Vec<Case> {
    let bodies = [
        ("no JSON", format!("{{\"access_token\": {MARK}")),
        ("an empty body", String::new()),
        ("an array", format!("[\"{MARK}\"]")),
        ("a text", format!("\"{MARK}\"")),
        ("an unknown field", json!({"access_token": "t", MARK: 1}).to_string()),
        ("a misspelt field", json!({"access_token": "t", "refreshToken": MARK}).to_string()),
        ("a missing field", json!({"refresh_token": MARK}).to_string()),
        ("a wrong type", json!({"access_token": [MARK]}).to_string()),
        ("a field twice", format!("{{\"access_token\":\"{MARK}\",\"access_token\":\"{MARK}\"}}")),
        ("an empty token", json!({"access_token": "", "token_type": MARK}).to_string()),
        ("a control character", json!({"access_token": format!("{MARK}\n")}).to_string()),
        ("a wrong moment", json!({"access_token": "t", "expires_at": MARK}).to_string()),
        ("a wrong span", json!({"access_token": "t", "expires_in": MARK}).to_string()),
        ("a negative span", json!({"access_token": MARK, "expires_in": -1}).to_string()),
        (
            "both ends",
            json!({"access_token": MARK, "expires_in": 1, "expires_at": "2030-01-01T00:00:00Z"}).to_string(),
        ),
        ("a label too long", json!({"access_token": "t", "labels": {"a": MARK.repeat(40)}}).to_string()),
        ("more behind the end", format!("{{\"access_token\":\"t\"}} {MARK}")),
        ("a lone surrogate", format!("{{\"access_token\":\"{MARK}\\ud800\"}}")),
        ("nesting", format!("{}{MARK}", "[".repeat(2000))),
    ];
    let mut cases: Vec<Case> =
        bodies.into_iter().map(|(what, body)| (what, put(body), 400, "invalid_request")).collect();
    cases.push((
        "bytes that are not UTF-8",
        put([b"{\"access_token\":\"".as_slice(), &[0xff, 0xfe], MARK.as_bytes(), b"\"}"].concat()),
        400,
        "invalid_request",
    ));
    for target in [
        format!("/v1/orgs/{MARK}!"),
        format!("/v1/orgs/-{MARK}"),
        format!("/v1/orgs/{MARK}%2e%2e%2f"),
        format!("/v1/orgs/{MARK}%zz"),
        format!("/v1/orgs/{MARK}%ff"),
        format!("/v1/orgs/{}", MARK.repeat(20)),
        format!("/v1/orgs/acme/connections/{}/main", MARK.to_uppercase()),
        format!("/v1/orgs/acme/connections/github/..{MARK}"),
        format!("/v1/orgs/acme/connections/github/a%00{MARK}"),
        format!("/v1/orgs/acme/secrets/{MARK}%20"),
        format!("/v1/orgs/acme?{MARK}=1"),
        format!("{MAIN}/token?min_ttl={MARK}"),
        format!("{MAIN}/token?min_ttl=1&min_ttl={MARK}"),
        format!("/v1/orgs/acme/connections?after={MARK}"),
        format!("/v1/orgs/acme/connections?provider={}", MARK.to_uppercase()),
        format!("/v1/status?{MARK}"),
    ] {
        cases.push(("a target that breaks a rule", Request::get(target), 400, "invalid_request"));
    }
    cases.push(("a body where none belongs", Request::get(MAIN).json(MARK), 400, "invalid_request"));
    cases.push(("a body to a DELETE", Request::delete(MAIN).body(MARK), 400, "invalid_request"));
    cases.push((
        "a wrong condition",
        put(r#"{"access_token":"t"}"#).with("if-match", MARK),
        400,
        "invalid_request",
    ));
    let wrong_name = json!({"connections": [{"provider": "github", "name": format!("{MARK}/")}]});
    let by_order = json!({"connections": [["github", MARK]]});
    for (what, names) in [("a wrong name in a batch", wrong_name), ("an array for a connection", by_order)] {
        cases.push((what, Request::post("/v1/orgs/acme/tokens", &names), 400, "invalid_request"));
    }
    cases
}

fn refused() -> Vec<Case> {
    let unknown = "/v1/orgs/acme/connections/gitlab/main";
    let narrow = "/v1/orgs/acme/connections/narrow/main";
    let set = json!({"access_token": MARK});
    let wide = json!({"access_token": MARK, "scopes": ["read", MARK]});
    let forwarded = ["origin", "referer", "sec-fetch-site", "x-forwarded-for", "forwarded"];
    let mut cases = vec![
        ("a provider without configuration", Request::put(unknown, &set), 400, "unknown_provider"),
        ("a scope too many", Request::put(narrow, &wide), 403, "scope_not_allowed"),
        ("an org that is not there", Request::get(format!("/v1/orgs/{MARK}")), 404, "not_found"),
        (
            "a connection that is not there",
            Request::get(format!("/v1/orgs/acme/connections/github/{MARK}")),
            404,
            "not_found",
        ),
        (
            "a token that is not there",
            Request::get(format!("/v1/orgs/acme/connections/github/{MARK}/token")),
            404,
            "not_found",
        ),
        (
            "a secret that is not there",
            Request::get(format!("/v1/orgs/acme/secrets/{MARK}")),
            404,
            "not_found",
        ),
        ("a path that is not there", Request::get(format!("/v1/{MARK}")), 404, "not_found"),
        ("a path too long", Request::get(format!("{MAIN}/token/{MARK}")), 404, "not_found"),
        (
            "a generation that is not current",
            put(set.to_string()).with("if-match", "\"7\""),
            412,
            "precondition_failed",
        ),
        (
            "a thing that is there",
            put(set.to_string()).with("if-none-match", "*"),
            412,
            "precondition_failed",
        ),
        (
            "a token that has ended",
            Request::get(format!("{MAIN}/token")).with("x-anything", MARK),
            424,
            "needs_reauth",
        ),
    ];
    for field in forwarded {
        let request = Request::get(format!("{MAIN}/token")).with(field, MARK);
        cases.push(("through a browser or a proxy", request, 403, "forwarded_request"));
    }
    cases
}

fn forms() -> Vec<Case> {
    let typed = |kind: &str| {
        Request::new("PUT", MAIN).with("content-type", kind).body(format!("access_token={MARK}"))
    };
    vec![
        ("a form", typed("application/x-www-form-urlencoded"), 415, "unsupported_media_type"),
        ("plain text", typed("text/plain"), 415, "unsupported_media_type"),
        ("a type of no kind", typed(MARK), 415, "unsupported_media_type"),
        ("no type", Request::new("PUT", MAIN).body(MARK), 415, "unsupported_media_type"),
        (
            "a body that was packed",
            typed("application/json").with("content-encoding", "gzip"),
            415,
            "unsupported_media_type",
        ),
        (
            "an answer in HTML",
            Request::get(format!("{MAIN}/token")).with("accept", "text/html"),
            406,
            "not_acceptable",
        ),
        ("an answer of no kind", Request::get(MAIN).with("accept", MARK), 406, "not_acceptable"),
        ("metadata as text", Request::get(MAIN).with("accept", "text/plain"), 406, "not_acceptable"),
    ]
}

fn sizes() -> Vec<Case> {
    let of = |length: usize| {
        let frame = r#"{"access_token":""}"#.len();
        json!({"access_token": format!("{MARK}{}", "x".repeat(length - frame - MARK.len()))}).to_string()
    };
    let batch = format!("{{\"connections\":[]{}}}", " ".repeat(8 * KIB * KIB));
    let secret = json!({"value": format!("{MARK}{}", "x".repeat(200 * KIB))}).to_string();
    let token_limit = json!({"access_token": "x".repeat(16 * KIB + 1)}).to_string();
    vec![
        ("a body of 64 KiB and one byte", put(of(64 * KIB + 1)), 413, "too_large"),
        ("a body of 64 KiB with a token too long", put(of(64 * KIB)), 400, "invalid_request"),
        ("a token of 16 KiB and one byte", put(token_limit), 400, "invalid_request"),
        ("a batch over 8 MiB", Request::new("POST", "/v1/orgs/acme/tokens").json(batch), 413, "too_large"),
        (
            "a secret far too long",
            Request::new("PUT", "/v1/orgs/acme/secrets/s").json(secret),
            413,
            "too_large",
        ),
        (
            "header fields over 6 KiB",
            Request::get("/v1/status").with("x-anything", &MARK.repeat(700)),
            431,
            "headers_too_large",
        ),
    ]
}

fn methods(seen: &mut Seen, line: &Line) {
    for (method, target, allow) in [
        ("POST", MAIN, "DELETE, GET, PUT"),
        ("PATCH", MAIN, "DELETE, GET, PUT"),
        ("PUT", "/v1/orgs/acme/connections/github/main/token", "GET"),
        ("DELETE", "/v1/orgs/acme", "GET, PUT"),
        ("GET", "/v1/orgs/acme/tokens", "POST"),
        ("GET", "/v1/orgs/acme/connections/github/main/refresh", "POST"),
        ("OPTIONS", "/v1/status", "GET"),
        ("TRACE", "/healthz", "GET"),
        ("ZQMARKZQ", "/readyz", "GET"),
    ] {
        let answer = line.send(&Request::new(method, target).with("x-anything", MARK));
        assert_eq!(answer.header("allow"), Some(allow), "{method} {target}");
        assert!(!answer.text().contains("ZQMARKZQ"));
        seen.row(&format!("{method} {target}"), answer, 405, "method_not_allowed");
    }
}

/// A length that is not said beforehand is counted while it comes. HTTP/2 has no such coding.
fn chunked(seen: &mut Seen, line: &Line) {
    if line.protocol == Protocol::Http2 {
        return;
    }
    let head = format!(
        "PUT {MAIN} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    let mut wire = line.wire().expect("the daemon listens");
    let mut sent = head.clone().into_bytes();
    let chunk = format!("{:x}\r\n{}\r\n", MARK.len() * 200, MARK.repeat(200));
    for _ in 0..40 {
        sent.extend_from_slice(chunk.as_bytes());
    }
    // It need not take all of it before it answers.
    let _ = wire.write(&sent);
    let answer = wire.read_response().expect("read").expect("an answer").well_kept();
    seen.row("chunks beyond the limit", answer, 413, "too_large");

    let mut wire = line.wire().expect("the daemon listens");
    wire.write(format!("{head}5\r\n{MARK}\r\nzz{MARK}\r\n").as_bytes()).expect("written");
    let answer = wire.read_response().expect("read").expect("an answer").well_kept();
    seen.row("chunks that are none", answer, 400, "invalid_request");
}
