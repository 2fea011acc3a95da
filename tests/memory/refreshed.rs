//! After refreshes, well and badly answered, nothing of them is left in memory or in a file: no token, old or new, no client
//! secret, no assertion, no key of a client.
//!
//! What is looked for is what the provider saw and gave, by its own account.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::{Value, json};
use tokenkeep_scanner::Kind;

use crate::canaries::Canaries;
use crate::kit::vault::{new_key, write_private};
use crate::kit::{Configuration, Request, TestVault};
use crate::load::KeyRing;
use crate::provider::{OAuthServer, SECRET};
use crate::survey::{Survey, may_look, rest};

/// Connections of each client, and refreshes of each connection.
const CONNECTIONS: usize = 12;
const REFRESHES: u64 = 4;

/// Of a long token, what nothing else has: of an assertion or an ID token, its signature.
const TAIL: usize = 40;

#[test]
fn after_refreshes_no_token_and_no_client_secret_is_left() {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
    let room = tempfile::tempdir().expect("a directory");
    let pem = room.path().join("client.pem");
    write_private(&pem, key.serialize_pem().as_bytes());
    let variables = [("KEEP_PLAINTEXT", "yes"), ("SIGNING_KEY", pem.to_str().expect("text"))];
    let Some(server) = OAuthServer::start_with(3600, &variables) else { return };
    let vault = vault_of(&server, &pem);
    if !may_look(&vault) {
        return;
    }
    for provider in ["oidc", "signs"] {
        for at in 0..CONNECTIONS {
            refresh_again_and_again(&server, &vault, provider, at);
        }
    }
    let canaries = Canaries::default();
    note_all(&server, &key, &canaries);
    let ring = KeyRing { roots: [vault.root_key(), new_key()], retired: new_key() };
    let survey = Survey::new(&vault, &ring, &canaries);
    rest(&vault);
    let [running, stopped] = survey.live(&vault, "after refreshes");
    let core = survey.core(&vault, "after refreshes");
    survey.files(&vault);
    for report in [running, stopped, core] {
        assert_eq!((report.count(Kind::Canary), report.count(Kind::Key)), (0, 0), "{report}");
    }
}

/// A provider twice: with a secret, and with a key of ours.
fn vault_of(server: &OAuthServer, pem: &std::path::Path) -> TestVault {
    let mut vault = TestVault::stopped(Configuration::default());
    let terms = "rotation = \"rotates\"\nrefresh_early = \"allowed\"\nhttp_loopback = true";
    let signs = format!(
        "client_id = \"rotates\"\nrotation = \"rotates\"\nrefresh_early = \"allowed\"\n\n\
         [[provider]]\nid = \"signs\"\ntoken_endpoint = \"{}\"\nclient_id = \"signs\"\nclient_key_id = \"k1\"\n\
         client_auth = \"private_key_jwt\"\nclient_key = {{ file = \"{}\" }}\n{terms}",
        server.endpoint(),
        pem.display(),
    );
    server.configure_as(&mut vault, &signs);
    vault.start();
    vault.create_org("acme");
    vault
}

fn refresh_again_and_again(server: &OAuthServer, vault: &TestVault, provider: &str, at: usize) {
    let path = format!("/v1/orgs/acme/connections/{provider}/c{at}");
    let client = if provider == "oidc" { "rotates" } else { provider };
    let ended = json!({
        "access_token": "first", "refresh_token": server.issue(client), "expires_at": "2026-01-01T00:00:00Z",
    });
    vault.send(&Request::put(path.clone(), &ended));
    vault.get(&format!("{path}/token")).is(200);
    for generation in 2..=REFRESHES {
        let request = Request::post(format!("{path}/refresh"), &json!({ "if_generation": generation }));
        vault.send(&request).is(200);
    }
    // The last of each has an answer that nobody can use.
    let odd: [Value; 6] = [
        json!({ "change": { "cut": 400 } }),
        json!({ "drop": "after" }),
        json!({ "change": { "drop": ["access_token"] } }),
        json!({ "change": { "set": { "expires_in": "soon" } } }),
        json!({ "count": 3, "status": 503 }),
        json!({ "delay_ms": 300 }),
    ];
    server.fault(&odd[at % odd.len()]);
    let request = Request::post(format!("{path}/refresh"), &json!({ "if_generation": REFRESHES + 1 }));
    vault.send(&request);
    server.fault(&json!({ "count": 0 }));
    vault.get(&format!("{path}/token")).is(200);
}

fn note_all(server: &OAuthServer, key: &KeyPair, canaries: &Canaries) {
    let seen = server.plaintext();
    let count = |kind: &str| seen.iter().filter(|(name, _)| name == kind).count();
    println!(
        "{} access tokens, {} refresh tokens, {} assertions went over the wire",
        count("access_token"),
        count("refresh_token"),
        count("client_assertion")
    );
    let all = CONNECTIONS * REFRESHES as usize;
    assert!(count("access_token") >= 2 * all && count("client_assertion") >= all);
    for (name, text) in &seen {
        canaries.note(name, &text[text.len().saturating_sub(TAIL)..]);
    }
    canaries.note("client secret", SECRET);
    let encoded = "s3cr%3Aet%20%2F%25%2B";
    canaries.note("client secret, as a form has it", encoded);
    canaries.note("client secret, as a header has it", &STANDARD.encode(format!("rotates:{encoded}")));
    let pem = key.serialize_pem();
    canaries.note("key of a client, PEM", pem.lines().nth(1).expect("a line"));
    canaries.note_bytes("key of a client", &scalar(&key.serialize_der()));
}

/// The private number of a P-256 key in PKCS #8: an octet string of 32 bytes behind version 1 (RFC 5915, section 3).
fn scalar(der: &[u8]) -> [u8; 32] {
    let mark = [0x02, 0x01, 0x01, 0x04, 0x20];
    let at = der.windows(mark.len()).position(|window| window == mark).expect("a P-256 key") + mark.len();
    der[at..at + 32].try_into().expect("32 bytes")
}
