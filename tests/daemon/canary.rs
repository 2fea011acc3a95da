//! What was kept, and what was sent by mistake, is found nowhere but in the answers that were asked to give it.
//!
//! The daemon logs everything it can (`trace`). Afterwards every file, every line and every answer is searched
//! for the canaries: as they are, and in base64, hexadecimal and percent-encoding.

use std::fs;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::kit::http::Wire;
use crate::kit::line::Protocol;
use crate::kit::vault::new_key;
use crate::kit::{Configuration, Line, Request, TestVault, files, skip};

const ACCESS: &str = "canary-access-Zr8QmW2xT5";
const REFRESH: &str = "canary-refresh-Kp3VnY7cH1";
const ID_TOKEN: &str = "canary-id-Lw6BsD9fJ4";
const SECRET: &str = "canary-secret-Gt2RxN5vQ8";
const LABEL: &str = "canary-label-Hy4MzC7bP3";
/// Sent in places where it makes no sense.
const ASTRAY: &str = "canary-astray-Fd9SjX1kW6";

/// In the log by design, and nowhere else.
const ORG: &str = "canaryorg-Ub5EoA8";
const CONNECTION: &str = "canaryconnection-Ic7TgV2";
const SECRET_NAME: &str = "canarysecretname-Xn3LqR9";

const PLAINTEXT: &str = "canary-plaintext-Vj4KsY8aE2";

const VALUES: [&str; 7] = [ACCESS, REFRESH, ID_TOKEN, SECRET, LABEL, ASTRAY, PLAINTEXT];
const NAMES: [&str; 3] = [ORG, CONNECTION, SECRET_NAME];

fn talkative() -> Configuration {
    Configuration { log: "level = \"trace\"\nformat = \"json\"", ..Configuration::default() }
}

fn connection() -> String {
    format!("/v1/orgs/{ORG}/connections/github/{CONNECTION}")
}

fn secret() -> String {
    format!("/v1/orgs/{ORG}/secrets/{SECRET_NAME}")
}

fn token_set(access: &str) -> Value {
    json!({
        "access_token": access, "refresh_token": REFRESH, "id_token": ID_TOKEN,
        "expires_in": 3600, "labels": {"note": LABEL},
    })
}

/// Keeps and reads the canaries; each answer gives what it was asked for and nothing else.
fn keep_and_read(line: &Line) {
    let gives = |request: Request, given: &[&str]| {
        let answer = line.send(&request);
        assert!(answer.status < 300, "{}", answer.shown());
        for value in VALUES {
            let is_there =
                files::forms(value).iter().any(|form| files::find(&answer.bytes(), form).is_some());
            assert_eq!(is_there, given.contains(&value), "{request:?}: {}", answer.shown());
        }
    };
    let bare = |path: String| Request::get(path).with("accept", "text/plain");
    gives(Request::new("PUT", format!("/v1/orgs/{ORG}")), &[]);
    gives(Request::put(connection(), &token_set(ACCESS)), &[LABEL]);
    gives(Request::put(connection(), &token_set(ACCESS)), &[LABEL]);
    gives(Request::get(connection()), &[LABEL]);
    gives(Request::get(format!("/v1/orgs/{ORG}/connections")), &[LABEL]);
    gives(Request::get(format!("{}/token", connection())), &[ACCESS]);
    gives(bare(format!("{}/token", connection())), &[ACCESS]);
    gives(Request::get(format!("{}/refresh-token", connection())), &[REFRESH]);
    gives(bare(format!("{}/refresh-token", connection())), &[REFRESH]);
    gives(Request::post(format!("{}/refresh", connection()), &json!({"if_generation": 0})), &[ACCESS]);
    let batch = json!({"connections": [{"provider": "github", "name": CONNECTION}]});
    gives(Request::post(format!("/v1/orgs/{ORG}/tokens"), &batch), &[ACCESS]);
    gives(Request::put(secret(), &json!({"value": SECRET, "labels": {"note": LABEL}})), &[LABEL]);
    gives(Request::get(secret()), &[SECRET]);
    gives(bare(secret()), &[SECRET]);
    gives(Request::get(format!("/v1/orgs/{ORG}/secrets")), &[LABEL]);
    gives(Request::get("/v1/status"), &[]);
    let base64 = STANDARD.encode(PLAINTEXT);
    let encrypt = Request::post(format!("/v1/orgs/{ORG}/encrypt"), &json!({"plaintexts": [base64]}));
    gives(encrypt.clone(), &[]);
    let made = line.send(&encrypt).json()["ciphertexts"].clone();
    let mut asked = vec![made[0].clone(), json!(ASTRAY)];
    asked.extend([json!(format!("{}{ASTRAY}", made[0].as_str().unwrap()))]);
    gives(Request::post(format!("/v1/orgs/{ORG}/decrypt"), &json!({"ciphertexts": asked})), &[PLAINTEXT]);
}

/// Shows passes, good and bad ones: no part of them is found anywhere.
fn show_passes(line: &Line) -> Vec<String> {
    let ask = json!({"actions": ["token:read", "connection:read"], "ttl": 3600});
    let ask = Request::post(format!("/v1/orgs/{ORG}/passes"), &ask);
    let passes: Vec<String> =
        (0..2).map(|_| line.send(&ask).json()["pass"].as_str().expect("a pass").to_owned()).collect();
    for (path, pass, status) in [
        (connection(), passes[0].clone(), 200),
        (secret(), passes[0].clone(), 403),
        ("/v1/orgs/another".to_owned(), passes[1].clone(), 403),
        (connection(), passes[1][..passes[1].len() - 8].to_owned(), 401),
        (format!("{}?x", connection()), format!("{}, {}", passes[0], passes[1]), 401),
    ] {
        let answer = line.send(&Request::get(path).with("authorization", &format!("Bearer {pass}")));
        assert_eq!(answer.status, status, "{}", answer.shown());
    }
    passes
}

/// A run of a pass that is its own: the first bytes of a Fernet token are the time, which many share.
fn no_pass_stands_in(passes: &[String], bytes: &[u8], place: &str) {
    for pass in passes {
        for part in [&pass[20..60], &pass[pass.len() - 60..pass.len() - 10]] {
            assert!(files::find(bytes, part.as_bytes()).is_none(), "a pass in {place}");
        }
    }
}

/// Sends a canary in every wrong way; no answer repeats it.
fn send_astray(line: &Line) {
    let put = |body: String| Request::new("PUT", connection()).json(body);
    let encoded: String = ASTRAY.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let requests = [
        put(format!("{{\"access_token\": \"{ASTRAY}\"")),
        put(format!("{{\"access_token\": {ASTRAY}}}")),
        put(json!({"access_token": "t", ASTRAY: ASTRAY}).to_string()),
        put(json!({"access_token": {"nested": ASTRAY}}).to_string()),
        put(json!({"access_token": format!("{ASTRAY}\u{7}")}).to_string()),
        put(json!({"access_token": "t", "expires_at": ASTRAY}).to_string()),
        put(json!({"access_token": "t", "expires_in": ASTRAY}).to_string()),
        put(json!({"access_token": "t", "labels": ASTRAY}).to_string()),
        put(json!({"access_token": ASTRAY, "labels": {"a": "\u{1}"}}).to_string()),
        put(json!({"access_token": "t", "refresh_token": ASTRAY}).to_string()).with("if-match", "\"99\""),
        put(json!({"access_token": "t"}).to_string()).with("if-match", ASTRAY),
        put(format!("{}{}", ASTRAY, "x".repeat(70_000))),
        Request::new("PUT", connection()).with("content-type", ASTRAY).body(ASTRAY),
        Request::new("PUT", secret()).json(format!("{{\"value\": \"{ASTRAY}\", }}")),
        Request::new("POST", format!("/v1/orgs/{ORG}/tokens")).json(format!("[\"{ASTRAY}\"]")),
        Request::get(connection()).body(ASTRAY),
        Request::get(connection()).with("authorization", &format!("Bearer {ASTRAY}")).with("accept", ASTRAY),
        Request::get(connection()).with("authorization", ASTRAY),
        Request::get(connection()).with("origin", ASTRAY),
        Request::post(format!("/v1/orgs/{ORG}/encrypt"), &json!({"plaintexts": [ASTRAY]})),
        Request::post(format!("/v1/orgs/{ORG}/encrypt"), &json!({"plaintexts": ["Zm9v"], ASTRAY: ASTRAY})),
        Request::post(format!("/v1/orgs/{ORG}/decrypt"), &json!({"ciphertexts": ASTRAY})),
        Request::post(format!("/v1/orgs/{ORG}/decrypt"), &json!({"ciphertexts": [], "key": ASTRAY})),
        Request::post(format!("/v1/orgs/{ORG}/passes"), &json!({"actions": [ASTRAY]})),
        Request::post(format!("/v1/orgs/{ORG}/passes"), &json!({"actions": ["token:read"], "ttl": ASTRAY})),
        Request::get(format!("{}/token?min_ttl={ASTRAY}", connection())),
        Request::get(format!("{}/token?access_token={ASTRAY}", connection())),
        Request::get(format!("{}?{encoded}", connection())),
        Request::get(format!("/{ASTRAY}")),
        Request::get(format!("/v1/orgs/{encoded}%20/connections")),
        Request::get(format!("/v1/orgs/{ASTRAY}!")),
        Request::get(format!("/v1/orgs/{ORG}/connections/{ASTRAY}/x")),
        Request::get(format!("/v1/orgs/{ORG}/connections?after={ASTRAY}")),
        Request::new("PATCH", connection()).json(ASTRAY),
    ];
    for request in requests {
        let answer = line.send(&request);
        assert!(answer.status >= 400, "{request:?}: {}", answer.shown());
        assert!(found_in(&answer.bytes(), &VALUES).is_none(), "{request:?}: {}", answer.shown());
    }
}

/// What no client library would send.
fn send_bytes_astray(vault: &TestVault) {
    let head = format!("PUT {} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n", connection());
    for bytes in [
        ASTRAY.to_owned(),
        format!("{ASTRAY}\r\n\r\n"),
        format!("GET /{ASTRAY} HTTP/7\r\n\r\n"),
        format!("GET /v1/status HTTP/1.1\r\n{ASTRAY}\r\n\r\n"),
        format!("{head}transfer-encoding: chunked\r\n\r\n{ASTRAY}\r\n"),
        format!("{head}transfer-encoding: chunked\r\n\r\n5\r\n{ASTRAY}\r\n0\r\n\r\n"),
        format!("{head}content-length: 1000\r\n\r\n{{\"access_token\":\"{ASTRAY}\""),
        format!("{head}content-length: {ASTRAY}\r\n\r\n"),
        format!("{head}x: {}\r\n\r\n", ASTRAY.repeat(1000)),
        format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{ASTRAY}{ASTRAY}"),
    ] {
        let mut wire = Wire::connect(&vault.socket()).unwrap();
        // It may hang up on this before it has all of it.
        let _ = wire.write(bytes.as_bytes());
        wire.finish();
        let said = wire.read_to_end();
        assert!(found_in(&said, &VALUES).is_none(), "{bytes:?}: {}", String::from_utf8_lossy(&said));
    }
}

/// The first of these that stands in the bytes, in any form.
fn found_in(bytes: &[u8], canaries: &[&'static str]) -> Option<&'static str> {
    let is_there =
        |canary: &&&str| files::forms(canary).iter().any(|form| files::find(bytes, form).is_some());
    canaries.iter().find(is_there).copied()
}

fn nowhere_on_the_disk(vault: &TestVault) {
    let mut searched = 0;
    for (path, bytes) in files::below(vault.state()) {
        let (name, bytes) = (path.display(), files::without_room(&bytes));
        assert_eq!(found_in(&bytes, &VALUES), None, "in {name}");
        let is_audit = path.starts_with(vault.audit_directory());
        if is_audit {
            assert!(
                found_in(&bytes, &NAMES).is_some(),
                "names stand in the log, so this search finds: {name}"
            );
        } else {
            assert_eq!(found_in(&bytes, &NAMES), None, "in {name}");
        }
        searched += bytes.len();
    }
    assert!(searched > 4096);
}

fn nowhere_in_what_it_says(vault: &TestVault) {
    let said = vault.said();
    assert!(said.contains("TRACE") || said.contains("DEBUG"), "it logs all it can: {said}");
    let all: Vec<&str> = VALUES.into_iter().chain(NAMES).collect();
    assert_eq!(found_in(said.as_bytes(), &all), None, "in the log");
}

fn nowhere_in_its_process_entry(vault: &TestVault) {
    for file in ["cmdline", "environ"] {
        match fs::read(format!("/proc/{}/{file}", vault.pid())) {
            Ok(bytes) => assert_eq!(found_in(&bytes, &VALUES), None, "in {file}"),
            Err(why) => skip(&format!("/proc/PID/{file} of a process that is not dumpable: {why}")),
        }
    }
}

#[test]
fn a_canary_is_nowhere_but_in_the_answers_that_give_it() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let mut vault = TestVault::with(talkative());
        let line = Line { protocol, socket: vault.socket() };
        keep_and_read(&line);
        let passes = show_passes(&line);
        send_astray(&line);
        send_bytes_astray(&vault);
        nowhere_in_its_process_entry(&vault);
        nowhere_in_what_it_says(&vault);
        nowhere_on_the_disk(&vault);
        no_pass_stands_in(&passes, vault.said().as_bytes(), "the log");
        for (path, bytes) in files::below(vault.state()) {
            no_pass_stands_in(&passes, &bytes, &path.display().to_string());
        }

        // Refused at the start, killed, rebuilt: none of it tells more.
        vault.kill9();
        nowhere_on_the_disk(&vault);
        fs::remove_dir_all(vault.state().join("index")).unwrap();
        vault.start();
        nowhere_in_what_it_says_at(&vault);
        line.delete(&format!("{}?revoke=false", connection())).is(200);
        line.delete(&secret()).is(200);
        vault.stop();
        nowhere_in_what_it_says_at(&vault);
        nowhere_on_the_disk(&vault);
    }
}

fn nowhere_in_what_it_says_at(vault: &TestVault) {
    let all: Vec<&str> = VALUES.into_iter().chain(NAMES).collect();
    assert_eq!(found_in(vault.said().as_bytes(), &all), None, "in the log");
}

/// The root key is in its own file alone, whatever goes wrong with it.
#[test]
fn the_root_key_is_nowhere_but_in_its_file() {
    let mut vault = TestVault::stopped(talkative());
    let (old, new) = (vault.root_key(), new_key());
    vault.start();
    vault.create_org("acme");
    vault.write_root_key(&[&new, &old]);
    vault.admin().send(&Request::new("POST", "/admin/v1/keys/reload")).is(200);
    vault.admin().send(&Request::new("POST", "/admin/v1/keys/rotate")).is(202);
    crate::kit::poll("the rotation to end", || {
        let keys = vault.admin().get("/admin/v1/keys").json();
        let text = keys.to_string();
        assert!(!text.contains(&old) && !text.contains(&new));
        (keys["remaining"] == 0 && keys["rotating"] == false).then_some(())
    });
    vault.stop();
    let mut said = vault.said();
    vault.write_root_key(&[&format!("{old}x")]);
    vault.start_in_vain().with(65, &["line 1"]);
    said.push_str(&vault.said());
    for key in [&old, &new] {
        assert!(!said.contains(key.as_str()), "in the log");
        for (path, bytes) in files::below(vault.state()) {
            let bytes = files::without_room(&bytes);
            let is_there = files::forms(key).iter().any(|form| files::find(&bytes, form).is_some());
            assert!(!is_there, "in {}", path.display());
        }
    }
    vault.write_root_key(&[&new]);
    vault.start();
    vault.get("/v1/orgs/acme").is(200);
}
