//! Imports at the daemon: each item judged, compared and stored by itself, and each in the audit log.

use serde_json::{Value, json};

use crate::kit::{Response, TestVault};

const IMPORT: &str = "/admin/v1/import";

fn item(connection: &str, tokens: &Value) -> Value {
    let mut parts = connection.split('/');
    let mut part = || parts.next().unwrap();
    json!({"org": part(), "provider": part(), "name": part(), "tokens": tokens})
}

fn send(vault: &TestVault, terms: [&str; 3], items: &[Value]) -> Response {
    let [mode, different, missing_org] = terms;
    let terms = json!({"mode": mode, "different": different, "missing_org": missing_org});
    vault.admin().post(IMPORT, &json!({"terms": terms, "items": items}))
}

/// The outcome or the code of each item.
fn words(answer: &Response) -> Vec<String> {
    let results = answer.json()["results"].as_array().unwrap().clone();
    let word = |result: &Value| match result["outcome"].as_str() {
        Some(outcome) => outcome.to_owned(),
        None => result["problem"]["code"].as_str().unwrap().to_owned(),
    };
    results.iter().map(word).collect()
}

fn pair(access: &str, refresh: &str) -> Value {
    json!({"access_token": access, "refresh_token": refresh, "expires_at": "2031-01-02T03:04:05Z"})
}

const WRITE: [&str; 3] = ["write", "refuse", "refuse"];
const REPLACE: [&str; 3] = ["write", "replace", "refuse"];
const DRY: [&str; 3] = ["dry_run", "refuse", "refuse"];

#[test]
fn each_item_is_judged_by_itself() {
    let vault = TestVault::running();
    vault.create_org("acme");
    let items = [
        item("acme/github/a", &pair("at-a", "rt-a")),
        item("acme/nowhere/a", &pair("at", "rt")),
        item("acme/narrow/a", &json!({"access_token": "at", "scopes": ["write"]})),
        item("gone/github/a", &pair("at", "rt")),
        item("acme/github/long", &pair(&"a".repeat(16385), "rt")),
        item("acme/slack/b", &json!({"access_token": "at-b"})),
    ];
    let answer = send(&vault, WRITE, &items).is(200);
    let expected =
        ["created", "unknown_provider", "scope_not_allowed", "not_found", "invalid_request", "created"];
    assert_eq!(words(&answer), expected);
    assert_eq!(vault.access_token("acme", "github/a"), "at-a");
    assert_eq!(vault.access_token("acme", "slack/b"), "at-b");
    let id = answer.header("x-request-id").unwrap().to_owned();
    let entries = vault.audit().into_iter().filter(|entry| entry.request_id == id);
    let mut entries: Vec<_> =
        entries.map(|entry| (entry.target.unwrap(), entry.outcome, entry.action)).collect();
    entries.sort();
    let write =
        |target: &str, outcome: &str| (target.to_owned(), outcome.to_owned(), "connection:write".to_owned());
    let mut told = [
        write("github/a", "ok"),
        write("github/a", "not_found"),
        write("github/long", "invalid_request"),
        write("narrow/a", "scope_not_allowed"),
        write("nowhere/a", "unknown_provider"),
        write("slack/b", "ok"),
    ];
    told.sort();
    assert_eq!(entries, told);
    vault.audit_is_intact();
}

#[test]
fn what_is_there_is_left_alone_unless_it_is_to_be_replaced() {
    let vault = TestVault::running();
    vault.create_org("acme");
    let (one, two) = (pair("at-1", "rt-1"), pair("at-2", "rt-2"));
    let a = |tokens: &Value| [item("acme/github/a", tokens)];
    assert_eq!(words(&send(&vault, WRITE, &a(&one))), ["created"]);
    let sequence = || vault.get("/v1/status").json()["store"]["sequence"].clone();
    let before = sequence();
    let again = send(&vault, WRITE, &a(&one));
    assert_eq!(
        (words(&again), &again.json()["results"][0]["generation"]),
        (vec!["unchanged".into()], &json!(1))
    );
    assert_eq!(
        words(&send(
            &vault,
            WRITE,
            &a(&json!({"access_token": "at-1", "expires_at": "2031-01-02T03:04:05Z"}))
        )),
        ["unchanged"]
    );
    assert_eq!(words(&send(&vault, REPLACE, &a(&one))), ["unchanged"]);
    assert_eq!(words(&send(&vault, WRITE, &a(&two))), ["already_exists"]);
    for other in [
        json!({"access_token": "at-1", "refresh_token": "rt-1"}),
        json!({"access_token": "at-1", "refresh_token": "rt-1", "expires_at": "2031-01-02T03:04:05Z", "scopes": ["x"]}),
        json!({"access_token": "at-1", "refresh_token": "rt-1", "expires_at": "2031-01-02T03:04:05Z", "labels": {"a": "b"}}),
        json!({"access_token": "at-1", "refresh_token": "rt-1", "expires_at": "2031-01-02T03:04:05Z", "id_token": "i"}),
    ] {
        assert_eq!(words(&send(&vault, WRITE, &a(&other))), ["already_exists"], "{other}");
    }
    assert_eq!(sequence(), before, "nothing was written");
    assert_eq!(words(&send(&vault, REPLACE, &a(&two))), ["replaced"]);
    assert_eq!(vault.access_token("acme", "github/a"), "at-2");
}

/// The stored token set came after the row's: its refresh token is spent, and must not come back.
#[test]
fn a_spent_refresh_token_is_never_brought_back() {
    let vault = TestVault::running();
    vault.create_org("acme");
    vault.put("acme", "github/a", &pair("at-1", "rt-1"));
    vault.put("acme", "github/a", &pair("at-2", "rt-2"));
    for terms in [WRITE, REPLACE, DRY, ["dry_run", "replace", "create"]] {
        let answer = send(&vault, terms, &[item("acme/github/a", &pair("at-1", "rt-1"))]);
        assert_eq!(words(&answer), ["newer"], "{terms:?}");
        assert_eq!(answer.json()["results"][0]["generation"], 2);
    }
    assert_eq!(vault.access_token("acme", "github/a"), "at-2");
}

#[test]
fn a_dry_run_says_what_a_write_would_do_and_writes_nothing() {
    let vault = TestVault::running();
    vault.create_org("acme");
    vault.put("acme", "github/same", &pair("at", "rt"));
    vault.put("acme", "github/other", &pair("at", "rt"));
    let items = [
        item("acme/github/new", &pair("at", "rt")),
        item("acme/github/same", &pair("at", "rt")),
        item("acme/github/other", &pair("at-2", "rt-2")),
        item("fresh/github/a", &pair("at", "rt")),
        item("fresh/nowhere/a", &pair("at", "rt")),
        item("empty/nowhere/a", &pair("at", "rt")),
    ];
    let state = || {
        let store = vault.get("/v1/status").json()["store"].clone();
        let journal: Vec<_> = vault.journal_files().iter().map(|file| std::fs::read(file).unwrap()).collect();
        (store["records"].clone(), store["sequence"].clone(), journal)
    };
    let before = state();
    let refused = send(&vault, DRY, &items);
    assert_eq!(
        words(&refused),
        ["created", "unchanged", "already_exists", "not_found", "unknown_provider", "unknown_provider"]
    );
    assert_eq!(refused.json()["created_orgs"], json!([]));
    let granted = send(&vault, ["dry_run", "replace", "create"], &items);
    let foreseen = ["created", "unchanged", "replaced", "created", "unknown_provider", "unknown_provider"];
    assert_eq!(words(&granted), foreseen);
    assert_eq!(granted.json()["created_orgs"], json!(["fresh"]));
    assert!(state() == before, "not a byte of the journal has changed");
    let id = granted.header("x-request-id").unwrap();
    let entries: Vec<_> = vault.audit().into_iter().filter(|entry| entry.request_id == id).collect();
    assert_eq!(entries.len(), 6);
    assert!(entries.iter().all(|entry| entry.action == "connection:compare"), "{entries:?}");

    let written = send(&vault, ["write", "replace", "create"], &items);
    assert_eq!(
        (words(&written), &written.json()["created_orgs"]),
        (foreseen.map(str::to_owned).to_vec(), &json!(["fresh"]))
    );
}

#[test]
fn a_thousand_items_are_taken_and_one_more_is_refused() {
    let vault = TestVault::running();
    vault.create_org("acme");
    let items = |count: usize| -> Vec<Value> {
        (0..count)
            .map(|at| item(&format!("acme/github/c{at}"), &json!({"access_token": format!("t{at}")})))
            .collect()
    };
    send(&vault, WRITE, &items(1001)).refused(400, "invalid_request");
    let answer = send(&vault, WRITE, &items(1000)).is(200);
    assert!(words(&answer).iter().all(|word| word == "created"));
    for at in [0, 499, 999] {
        assert_eq!(vault.access_token("acme", &format!("github/c{at}")), format!("t{at}"));
    }
    assert_eq!(words(&send(&vault, WRITE, &[])), Vec::<String>::new());
}

#[test]
fn no_application_imports_and_no_answer_shows_a_token() {
    let vault = TestVault::running();
    vault.create_org("acme");
    let items =
        [item("acme/github/a", &pair("canary", "canary")), item("gone/github/a", &pair("canary", "canary"))];
    let answer = send(&vault, WRITE, &items).is(200);
    assert!(!answer.text().contains("canary"));
    let terms = json!({"mode": "write", "different": "refuse", "missing_org": "refuse"});
    vault.line().post(IMPORT, &json!({"terms": terms, "items": []})).refused(404, "not_found");
    for bad in [
        json!({"items": []}),
        json!({"terms": {"mode": "write"}, "items": []}),
        json!({"terms": {"mode": "maybe", "different": "refuse", "missing_org": "refuse"}, "items": []}),
        json!({"terms": terms, "items": [{"org": "acme"}]}),
        json!({"terms": terms, "items": [item("-/github/a", &json!({"access_token": "a"}))]}),
    ] {
        vault.admin().post(IMPORT, &bad).refused(400, "invalid_request");
    }
}
