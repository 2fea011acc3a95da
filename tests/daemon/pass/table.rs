//! Every endpoint with every bad pass, through both doors: refused, audited with what was wrong, and logged; and with
//! a good pass it goes through.

use serde_json::json;
use tokenkeep::transport::route::Route;

use super::endpoints::{Endpoint, ORG, every};
use super::{issue, strict, with};
use crate::kit::entry::AuditEntry;
use crate::kit::tls::TlsCaller;
use crate::kit::vault::new_key;
use crate::kit::{Client, Request, Response, TestVault, files, poll};
use crate::mtls::{Second, WEB};

/// All that a client can be granted: what the good pass hands on.
pub(super) fn all_actions() -> Vec<&'static str> {
    use tokenkeep::domain::{action::Action, policy::is_grantable};
    Action::ALL.iter().filter(|action| is_grantable(**action)).map(|action| action.as_str()).collect()
}

/// Something that is shown and is not good.
struct Bad {
    what: &'static str,
    fields: Vec<String>,
    /// Status, code and reason of the refusal.
    row: (u16, &'static str, &'static str),
    /// Refused even where the path names no org.
    everywhere: bool,
    /// A genuine pass, though not a good one.
    genuine: bool,
}

const INVALID: (u16, &str, &str) = (401, "unauthenticated", "pass_invalid");
const MALFORMED: (u16, &str, &str) = (401, "unauthenticated", "pass_malformed");

fn shown(what: &'static str, pass: &str, row: (u16, &'static str, &'static str)) -> Bad {
    Bad { what, fields: vec![format!("Bearer {pass}")], row, everywhere: true, genuine: false }
}

/// A vault whose client must show a pass, everything bad that it could be shown, and a good pass.
fn furnished() -> (Second, Vec<Bad>, String) {
    let mut configuration = strict();
    configuration.clients[0].name = "before";
    configuration.log = "level = \"info\"\nformat = \"text\"";
    let mut second = Second::with(configuration);
    let vault = &mut second.vault;
    let of_another = issue(vault, ORG, &all_actions(), 3600);
    vault.stop();
    vault.configuration.clients = vec![Client { require_pass: true, san: Some(WEB), ..Client::own() }];
    vault.start();

    let good = issue(vault, ORG, &all_actions(), 3600);
    let elsewhere = TestVault::with(strict());
    let of_another_vault = issue(&elsewhere, ORG, &all_actions(), 3600);
    let for_another_org = issue(vault, "beta", &all_actions(), 3600);
    let little = issue(vault, ORG, &["status:read"], 3600);
    let expired = issue(vault, ORG, &all_actions(), 1);
    poll("a pass to expire", || {
        let answer = vault.send(&with(Request::get("/v1/status"), &expired));
        (answer.status != 200).then(|| answer.refused(401, "unauthenticated"))
    });

    let mut changed = good.clone().into_bytes();
    let middle = changed.len() / 2;
    changed[middle] = if changed[middle] == b'A' { b'B' } else { b'A' };
    let changed = String::from_utf8(changed).unwrap();
    let made_up = fernet::Fernet::new(&new_key()).unwrap().encrypt(b"let me in");
    let cross = (403, "cross_org", "pass_for_other_org");
    let lacks = (403, "forbidden", "pass_lacks_action");
    let another = (403, "forbidden", "pass_of_other_principal");
    let expiry = (401, "unauthenticated", "pass_expired");
    let missing = (401, "unauthenticated", "pass_required");
    let field = |what, fields: &[&str]| Bad {
        what,
        fields: fields.iter().map(|field| (*field).to_owned()).collect(),
        row: MALFORMED,
        everywhere: true,
        genuine: false,
    };
    let twice = format!("Bearer {good}");
    let bad = vec![
        Bad { what: "none", fields: Vec::new(), row: missing, everywhere: false, genuine: false },
        Bad { everywhere: false, genuine: true, ..shown("for another org", &for_another_org, cross) },
        Bad { everywhere: false, genuine: true, ..shown("without the action", &little, lacks) },
        Bad { genuine: true, ..shown("of another principal", &of_another, another) },
        Bad { genuine: true, ..shown("expired", &expired, expiry) },
        shown("of another vault", &of_another_vault, INVALID),
        shown("cut at the end", &good[..good.len() - 4], INVALID),
        shown("cut by half", &good[..good.len() / 8 * 4], INVALID),
        shown("cut at the start", &good[4..], INVALID),
        shown("changed", &changed, INVALID),
        shown("with more behind it", &format!("{}AAAA", good.trim_end_matches('=')), INVALID),
        shown("with padding that is not its own", &(good.trim_end_matches('=').to_owned() + "===="), INVALID),
        shown("made up", &made_up, INVALID),
        shown("far too long", &good.trim_end_matches('=').repeat(4), INVALID),
        shown("a word", "hunter2", INVALID),
        field("twice", &[&twice, &twice]),
        field("two in one", &[&format!("{twice}, {twice}")]),
        field("another scheme", &["Basic YTpi"]),
        field("a bare pass", &[&good]),
        field("empty", &[""]),
    ];
    (second, bad, good)
}

/// The answers of every door that the endpoint has.
fn send(vault: &TestVault, remote: &TlsCaller, endpoint: &Endpoint, fields: &[String]) -> Vec<Response> {
    let mut request = endpoint.request.clone();
    request.headers.extend(fields.iter().map(|field| ("authorization".to_owned(), field.clone())));
    if endpoint.route.path().is_admin() {
        return vec![vault.admin().send(&request)];
    }
    vec![vault.send(&request), remote.send(&request)]
}

/// What must come of it; none where it is served.
fn expected(endpoint: &Endpoint, bad: &Bad) -> Option<(u16, &'static str, &'static str)> {
    if endpoint.is_open() {
        return None;
    }
    if endpoint.route.path().is_admin() {
        // An admin has no pass: a genuine one is another's.
        return match (bad.genuine, bad.everywhere) {
            (true, _) => Some((403, "forbidden", "pass_of_other_principal")),
            (false, everywhere) => everywhere.then_some(bad.row),
        };
    }
    // Asking for a pass is what a client without one may do.
    let begins = bad.fields.is_empty() && endpoint.request.target.ends_with("/passes");
    (bad.everywhere || endpoint.is_of_an_org()).then_some(bad.row).filter(|_| !begins)
}

/// Org, connection and secret, there to be asked for.
fn seed(vault: &TestVault, good: &str) {
    let connection = json!({"access_token": "at", "refresh_token": "rt", "expires_in": 3600});
    for request in [
        Request::new("PUT", format!("/v1/orgs/{ORG}")),
        Request::put(format!("/v1/orgs/{ORG}/connections/github/main"), &connection),
        Request::put(format!("/v1/orgs/{ORG}/secrets/key"), &json!({"value": "s"})),
    ] {
        let answer = vault.send(&with(request, good));
        assert!(answer.status < 300, "{}", answer.shown());
    }
}

/// Whether it was let in. No provider of this vault has a client, so there is nothing to exchange; and it has no webhook and no
/// backups.
fn goes_through(endpoint: &Endpoint, answer: &Response) -> bool {
    match endpoint.route {
        Route::Authorizations(_) => answer.status == 400,
        Route::AlertsTest
        | Route::AuthorizationComplete(..)
        | Route::Backups
        | Route::BackupsDrill
        | Route::BackupsVerify
        | Route::KeysRetire => answer.status == 404,
        _ => answer.status < 300,
    }
}

#[test]
fn every_endpoint_refuses_every_bad_pass_and_takes_a_good_one() {
    let (second, bad, good) = furnished();
    let (vault, remote) = (&second.vault, second.web());
    seed(vault, &good);
    let mut refused = Vec::new();
    for endpoint in every() {
        for bad in &bad {
            for answer in send(vault, &remote, &endpoint, &bad.fields) {
                let what =
                    format!("{} with a pass {}: {}", endpoint.request.target, bad.what, answer.shown());
                let Some((status, code, reason)) = expected(&endpoint, bad) else {
                    assert!(goes_through(&endpoint, &answer), "{what}");
                    continue;
                };
                let problem = answer.clone().refused(status, code);
                assert_eq!(problem.reason.as_deref(), Some(reason), "{what}");
                assert_eq!(answer.header("www-authenticate").is_some(), status == 401, "{what}");
                assert!(files::find(&answer.bytes(), &good.as_bytes()[20..60]).is_none(), "{what}");
                let names_an_org = endpoint.request.target.contains("/orgs/acme");
                refused.push((what, problem.request_id, code, reason, names_an_org));
            }
        }
    }
    all_are_audited(vault, &refused);
    all_are_logged(vault, &refused, &good);
    nothing_was_changed(vault, &good);

    for endpoint in every().iter().filter(|endpoint| !endpoint.route.path().is_admin()) {
        for over_tls in [false, true] {
            seed(vault, &good);
            let request = with(endpoint.request.clone(), &good);
            let answer = if over_tls { remote.send(&request) } else { vault.send(&request) };
            assert!(goes_through(endpoint, &answer), "{}: {}", endpoint.request.target, answer.shown());
        }
    }
    vault.audit_is_intact();
}

type Refused = (String, String, &'static str, &'static str, bool);

fn all_are_audited(vault: &TestVault, refused: &[Refused]) {
    assert!(refused.len() > 600, "{}", refused.len());
    let entries = vault.audit_from_the_start();
    let of = |id: &str| entries.iter().filter(|entry| entry.request_id == id).collect::<Vec<&AuditEntry>>();
    for (what, id, code, reason, is_of_an_org) in refused {
        let [entry] = of(id)[..] else { panic!("{what}: {:?}", of(id)) };
        assert_eq!((entry.decision.as_str(), entry.outcome.as_str()), ("deny", *code), "{what}: {entry:?}");
        assert_eq!(entry.reason.as_deref(), Some(*reason), "{what}: {entry:?}");
        assert_eq!(entry.org.as_deref(), is_of_an_org.then_some(ORG), "{what}: {entry:?}");
        assert_ne!(entry.action, "unparsed", "{what}: what was asked is known: {entry:?}");
        let opened = !matches!(*reason, "pass_invalid" | "pass_malformed" | "pass_required");
        assert_eq!(entry.pass.is_some(), opened, "{what}: {entry:?}");
    }
}

fn all_are_logged(vault: &TestVault, refused: &[Refused], good: &str) {
    let said = vault.said();
    for (what, id, _, reason, _) in refused {
        let warned = said.lines().filter(|line| line.contains(id) && line.contains("WARN"));
        let [line] = warned.collect::<Vec<_>>()[..] else { panic!("{what}: not one warning") };
        assert!(line.contains(reason) && !line.contains(ORG), "{what}: {line}");
    }
    assert!(!said.contains(&good[..40]), "a pass is in the log");
}

fn nothing_was_changed(vault: &TestVault, good: &str) {
    let read = |path: &str| vault.send(&with(Request::get(format!("/v1/orgs/{ORG}/{path}")), good)).json();
    assert_eq!(read("connections/github/main")["generation"], 1);
    assert_eq!(read("secrets/key")["version"], 1);
}
