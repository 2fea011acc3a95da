//! The mixture of requests: all that the API does with plaintext, well and badly asked, allowed and denied; each with
//! canaries of its own.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fernet::Fernet;
use serde_json::{Value, json};

use crate::kit::Request;
use crate::kit::line::Protocol;
use crate::load::Caller;

/// One turn of a caller: a few requests.
pub(crate) fn step(caller: &mut Caller<'_>, turn: usize) {
    // Whatever is read must have been stored.
    store(caller, turn);
    match turn % 10 {
        0 => read_tokens(caller),
        1 => keep_a_secret(caller, turn),
        2 => encrypt_and_decrypt(caller),
        3 => show_a_pass(caller),
        4 => ask_malformed(caller),
        5 => ask_astray(caller),
        6 => import(caller, turn),
        7 => ask_too_much(caller),
        8 => decrypt_what_is_none(caller),
        _ => replace_and_delete(caller, turn),
    }
}

fn store(caller: &mut Caller<'_>, turn: usize) {
    let name = format!("github/c{turn}");
    let path = caller.path(&format!("/connections/{name}"));
    let set = token_set(caller, "put");
    caller.done(&Request::put(path, &set));
    caller.stored.push(name);
}

fn token_set(caller: &Caller<'_>, what: &str) -> Value {
    let plant = |part: &str| caller.plant(&format!("{what} {part}"));
    json!({
        "access_token": plant("access token"), "refresh_token": plant("refresh token"),
        "id_token": plant("ID token"), "expires_in": 3600, "labels": {"note": plant("label")},
    })
}

fn last(caller: &Caller<'_>) -> String {
    caller.path(&format!("/connections/{}", caller.stored.last().expect("something is stored")))
}

fn read_tokens(caller: &mut Caller<'_>) {
    let last = last(caller);
    let bare = |path: String| Request::get(path).with("accept", "text/plain");
    caller.done(&Request::get(format!("{last}/token")));
    caller.done(&bare(format!("{last}/token")));
    caller.done(&Request::get(format!("{last}/refresh-token")));
    caller.done(&bare(format!("{last}/refresh-token")));
    caller.done(&Request::get(last.clone()));
    caller.done(&Request::post(format!("{last}/refresh"), &json!({"if_generation": 0})));
    let named = caller.stored.iter().filter_map(|name| name.split_once('/'));
    let named: Vec<_> = named.map(|(provider, name)| json!({"provider": provider, "name": name})).collect();
    let batch = Request::post(caller.path("/tokens"), &json!({"connections": named}));
    caller.done(&batch);
    let list = Request::get(caller.path("/connections"));
    caller.done(&list);
}

fn keep_a_secret(caller: &mut Caller<'_>, turn: usize) {
    let path = caller.path(&format!("/secrets/s{turn}"));
    for _ in 0..2 {
        let value =
            json!({"value": caller.plant("secret"), "labels": {"note": caller.plant("label of a secret")}});
        caller.done(&Request::put(path.clone(), &value));
    }
    // Escapes in JSON are undone into another buffer.
    let value = format!("{{\"value\": \"\\u0022{}\\n\"}}", caller.plant("secret with escapes"));
    caller.done(&Request::new("PUT", path.clone()).json(value));
    caller.done(&Request::get(path.clone()));
    caller.done(&Request::get(format!("{path}?version=1")));
    caller.done(&Request::get(path).with("accept", "text/plain"));
}

fn encrypt_and_decrypt(caller: &mut Caller<'_>) {
    let plaintexts: Vec<_> = (0..3).map(|_| STANDARD.encode(caller.plant("plaintext"))).collect();
    let encrypt = Request::post(caller.path("/encrypt"), &json!({"plaintexts": plaintexts}));
    let made = caller.done(&encrypt).json()["ciphertexts"].as_array().expect("ciphertexts").clone();
    caller.ciphertexts = made;
    let decrypt = Request::post(caller.path("/decrypt"), &json!({"ciphertexts": caller.ciphertexts}));
    caller.done(&decrypt);
    let retired = Fernet::new(&caller.keys.retired).expect("a key");
    let sealed = retired.encrypt(caller.plant("sealed by the application").as_bytes());
    let decrypt = json!({"ciphertexts": [sealed], "key": "retired"});
    let decrypt = Request::post(caller.path("/decrypt"), &decrypt);
    caller.done(&decrypt);
}

/// A ciphertext that is cut off, changed, another org's or nobody's: each is one problem among results.
fn decrypt_what_is_none(caller: &mut Caller<'_>) {
    let retired = Fernet::new(&caller.keys.retired).expect("a key");
    let foreign = retired.encrypt(caller.plant("under another key").as_bytes());
    let mut changed = retired.encrypt(caller.plant("changed").as_bytes());
    changed.replace_range(60..61, if &changed[60..61] == "A" { "B" } else { "A" });
    let astray = caller.plant("no ciphertext");
    let decrypt = json!({"ciphertexts": [foreign, changed, foreign[..foreign.len() - 4], astray]});
    let path = caller.path("/decrypt");
    caller.done(&Request::post(path.clone(), &decrypt));
    let decrypt = json!({"ciphertexts": [changed, astray], "key": "retired"});
    caller.done(&Request::post(path, &decrypt));
}

fn show_a_pass(caller: &mut Caller<'_>) {
    let ask = json!({"actions": ["token:read"], "ttl": 3600});
    let ask = Request::post(caller.path("/passes"), &ask);
    let pass = caller.done(&ask).json()["pass"].as_str().expect("a pass").to_owned();
    // What comes before is version and time, which many share.
    caller.canaries.note("pass", &pass[20..pass.len() - 2]);
    let with = |path: String, pass: &str| Request::get(path).with("authorization", &format!("Bearer {pass}"));
    let last = last(caller);
    caller.done(&with(format!("{last}/token"), &pass));
    caller.refused_in_passing(&with(last.clone(), &pass));
    caller.refused_in_passing(&with("/v1/orgs/another".to_owned(), &pass));
    caller.refused_in_passing(&with(last.clone(), &pass[..pass.len() - 8]));
    let astray = caller.plant("no pass");
    caller.refused_in_passing(&with(last, &astray));
}

fn ask_malformed(caller: &mut Caller<'_>) {
    let path = last(caller);
    let put = |body: String| Request::new("PUT", path.clone()).json(body);
    let astray = || caller.plant("malformed");
    let bad = [
        put(format!("{{\"access_token\": \"{}\"", astray())),
        put(format!("{{\"access_token\": {}}}", astray())),
        put(json!({"access_token": "t", astray(): astray()}).to_string()),
        put(json!({"access_token": {"nested": astray()}}).to_string()),
        put(json!({"access_token": format!("{}\u{7}", astray())}).to_string()),
        put(json!({"access_token": astray(), "expires_at": astray()}).to_string()),
        put(json!({"access_token": astray(), "labels": {"a": "\u{1}"}}).to_string()),
        Request::new("PUT", caller.path("/secrets/s")).json(format!("{{\"value\": \"{}\", }}", astray())),
        Request::post(caller.path("/encrypt"), &json!({"plaintexts": [format!("{}!", astray())]})),
        Request::post(caller.path("/decrypt"), &json!({"ciphertexts": astray()})),
        Request::post(caller.path("/tokens"), &json!([astray()])),
    ];
    for request in bad {
        caller.refused_in_passing(&request);
    }
    if caller.line.protocol == Protocol::Http1 {
        break_off(caller);
    }
}

/// Half a request, and nothing more: the connection stays as it is, or is hung up.
fn break_off(caller: &mut Caller<'_>) {
    let head = format!("PUT {} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n", last(caller));
    for bytes in [
        format!("{}\r\n\r\n", caller.plant("no request")),
        format!("{head}content-length: 1000\r\n\r\n{{\"access_token\":\"{}\"", caller.plant("half a body")),
        format!("{head}transfer-encoding: chunked\r\n\r\n{}\r\n", caller.plant("no chunk")),
    ] {
        let mut wire = caller.line.wire().expect("the daemon listens");
        // It may hang up on this before it has all of it.
        let _ = wire.write(bytes.as_bytes());
        wire.finish();
        let _ = wire.read_to_end();
        caller.sent += 1;
    }
}

fn ask_astray(caller: &mut Caller<'_>) {
    let path = last(caller);
    let astray = || caller.plant("astray");
    let bad = [
        Request::get(path.clone()).with("authorization", &format!("Bearer {}", astray())),
        Request::get(path.clone()).with("authorization", &astray()),
        Request::get(path.clone()).with("origin", &astray()),
        Request::get(format!("{path}/token?access_token={}", astray())),
        Request::get(format!("/{}", astray())),
        Request::get(format!("{path}/token/{}", astray())),
        Request::new("PUT", path.clone()).with("content-type", "text/plain").body(astray()),
        Request::put(path.clone(), &json!({"access_token": astray()})).with("if-match", "\"99\""),
        Request::put(caller.path("/connections/nowhere/x"), &json!({"access_token": astray()})),
        Request::put("/v1/orgs/nobody/connections/github/x", &json!({"access_token": astray()})),
    ];
    let stranger = Request::put(path, &json!({"access_token": astray()}));
    for request in bad {
        caller.refused(&request);
    }
    if let Ok(answer) = caller.vault.send_as_stranger(&stranger) {
        assert!(answer.status >= 400, "{}", answer.shown());
        caller.sent += 1;
    }
}

/// More than is taken, or than is there.
fn ask_too_much(caller: &mut Caller<'_>) {
    let path = last(caller);
    let long = caller.plant("too long").repeat(600);
    caller.refused_in_passing(&Request::put(path.clone(), &json!({"access_token": long})));
    let body = caller.plant("too large") + &"x".repeat(70_000);
    caller.refused(&Request::new("PUT", path.clone()).json(body));
    // What has been taken, read in pieces.
    let long = caller.plant("long").repeat(400);
    caller.done(&Request::put(path.clone(), &json!({"access_token": long})));
    caller.done(&Request::get(format!("{path}/token")));
    let value = json!({"value": caller.plant("long secret").repeat(1500)});
    let secret = caller.path("/secrets/long");
    caller.done(&Request::put(secret.clone(), &value));
    caller.done(&Request::get(secret));
}

fn replace_and_delete(caller: &mut Caller<'_>, turn: usize) {
    let path = last(caller);
    let set = token_set(caller, "replaced");
    caller.done(&Request::put(path.clone(), &set));
    let set = token_set(caller, "refused");
    caller.refused_in_passing(&Request::put(path.clone(), &set).with("if-none-match", "*"));
    caller.done(&Request::delete(format!("{path}?revoke=false")));
    caller.stored.pop();
    caller.refused_in_passing(&Request::get(format!("{path}/token")));
    let secret = caller.path(&format!("/secrets/gone{turn}"));
    let value = json!({"value": caller.plant("deleted secret")});
    caller.done(&Request::put(secret.clone(), &value));
    caller.done(&Request::delete(secret));
}

/// Admins import; a dry run opens what is stored and compares.
fn import(caller: &mut Caller<'_>, turn: usize) {
    let item = |name: &str, tokens: Value| json!({"org": caller.org, "provider": "slack", "name": name, "tokens": tokens});
    let pair = |what: &str| {
        let (access, refresh) = (caller.plant(what), caller.plant(what));
        json!({"access_token": access, "refresh_token": refresh})
    };
    let items: Vec<_> = (0..3).map(|at| item(&format!("i{turn}-{at}"), pair("imported"))).collect();
    let bad = [item("x", json!({"access_token": {"nested": caller.plant("import, malformed")}}))];
    let different: Vec<_> = (0..3).map(|at| item(&format!("i{turn}-{at}"), pair("imported again"))).collect();
    for (mode, items, status) in [
        ("write", &items[..], 200),
        ("dry_run", &different, 200),
        ("write", &different, 200),
        ("write", &bad, 400),
    ] {
        let terms = json!({"mode": mode, "different": "refuse", "missing_org": "refuse"});
        let body = json!({"terms": terms, "items": items});
        caller.vault.admin().post("/admin/v1/import", &body).is(status);
    }
    caller.sent += 4;
}
