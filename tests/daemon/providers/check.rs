//! `provider check` against a real OAuth server: each way of proving oneself is accepted, and a wrong proof is told from
//! it.

use serde_json::Value;

use super::server::OAuthServer;
use crate::kit::{Configuration, Request, TestVault};

/// The lines of a `[[provider]]` that proves itself in one way; `ROOM` is the room, `ISSUER` the server.
fn provider(id: &str, client_id: &str, auth: &str, proof: &str) -> String {
    format!(
        "[[provider]]\nid = \"{id}\"\nclient_id = \"{client_id}\"\nclient_auth = \"{auth}\"\n{proof}\n\
         token_endpoint = \"ISSUER/token\"\nrevocation_endpoint = \"ISSUER/token/revocation\"\n\
         rotation = \"rotates\"\nhttp_loopback = true\n\n"
    )
}

/// The way, and whether the server accepts it.
fn ways() -> Vec<(String, &'static str, bool)> {
    let secret = "client_secret = { file = \"ROOM/secret\" }";
    let wrong = "client_secret = { file = \"ROOM/wrong-secret\" }";
    let key = |name: &str| format!("client_key = {{ file = \"ROOM/{name}.pem\" }}\nclient_key_id = \"k1\"");
    [
        ("basic", "basic app", "basic", secret.to_owned(), true),
        ("basic-wrong", "basic app", "basic", wrong.to_owned(), false),
        // The server decodes what is not encoded: another secret.
        ("basic-raw", "basic app", "basic_raw", secret.to_owned(), false),
        ("basic-as-post", "basic app", "post", secret.to_owned(), false),
        ("post", "post", "post", secret.to_owned(), true),
        ("post-wrong", "post", "post", wrong.to_owned(), false),
        ("es256", "es256", "private_key_jwt", key("es256"), true),
        ("es256-wrong", "es256", "private_key_jwt", key("other-es256"), false),
        ("rs256", "rs256", "private_key_jwt", key("rs256"), true),
        ("public", "public", "none", String::new(), true),
        ("unknown", "nobody", "none", String::new(), false),
    ]
    .map(|(id, client, auth, proof, accepted)| (provider(id, client, auth, &proof), id, accepted))
    .into()
}

/// The same for a client that proves itself in the handshake.
fn ways_over_tls() -> Vec<(String, &'static str, bool)> {
    let certificate = |name: &str| {
        format!(
            "client_certificate = {{ file = \"ROOM/tls/{name}.crt\" }}\nclient_key = {{ file = \"ROOM/tls/{name}.key\" }}\n\
             ca = \"ROOM/tls/ca.crt\""
        )
    };
    [("mtls", "vault", true), ("mtls-wrong", "other", false)]
        .map(|(id, name, accepted)| (provider(id, "mtls", "mtls", &certificate(name)), id, accepted))
        .map(|(lines, id, accepted)| (lines.replace("ISSUER", "ENCRYPTED"), id, accepted))
        .into()
}

fn finding<'a>(checked: &'a Value, check: &str) -> &'a Value {
    let findings = checked["findings"].as_array().expect("findings").iter();
    findings
        .clone()
        .find(|finding| finding["check"] == check)
        .unwrap_or_else(|| panic!("no {check} in {checked}"))
}

/// A vault with these providers beside those of the kit.
fn vault_with(providers: &str, issuer: &str, vault: TestVault) -> TestVault {
    let mut vault = vault;
    vault.write_configuration();
    let file = vault.configuration_file();
    let text = std::fs::read_to_string(&file).expect("a configuration");
    let added = providers.replace("ROOM", &vault.room().display().to_string()).replace("ISSUER", issuer);
    crate::kit::vault::write_private(&file, format!("{text}\n{added}").as_bytes());
    vault.start_as_configured();
    vault
}

fn check(vault: &TestVault, provider: &str) -> Value {
    vault.admin().send(&Request::new("POST", format!("/admin/v1/providers/{provider}/check"))).is(200).json()
}

#[test]
fn a_real_server_accepts_each_proof_and_a_wrong_one_is_told_from_it() {
    let vault = TestVault::stopped(Configuration::default());
    let Some(server) = OAuthServer::start(vault.room()) else { return };
    let ways = [ways(), ways_over_tls()].concat();
    let text: String = ways.iter().map(|(lines, ..)| lines.as_str()).collect();
    let vault = vault_with(&text.replace("ENCRYPTED", &server.encrypted), &server.issuer, vault);
    for (_, id, accepted) in &ways {
        let checked = check(&vault, id);
        let (proof, revocation) =
            (finding(&checked, "client_auth"), finding(&checked, "revocation_endpoint"));
        let (level, words) = if *accepted { ("ok", "(invalid_grant)") } else { ("fail", "(invalid_client)") };
        assert_eq!(proof["level"], level, "{id}: {checked}");
        assert!(proof["detail"].as_str().expect("text").contains(words), "{id}: {checked}");
        assert_eq!(proof["mend"].is_null(), *accepted, "{id}: {checked}");
        assert_eq!(revocation["level"], level, "{id}: {checked}");
        assert_eq!(finding(&checked, "token_endpoint")["level"], "ok", "{id}: {checked}");
    }
}

#[test]
fn what_cannot_be_reached_is_said_with_its_mend_and_is_audited_as_an_action_of_its_own() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = nobody.local_addr().expect("an address");
    drop(nobody);
    let vault = TestVault::stopped(Configuration::default());
    let text = provider("away", "c", "none", "");
    let vault = vault_with(&text, &format!("http://{address}"), vault);
    let answer = vault.admin().send(&Request::new("POST", "/admin/v1/providers/away/check")).is(200);
    let checked = answer.json();
    let found = finding(&checked, "token_endpoint");
    assert_eq!(found["level"], "fail");
    assert!(found["detail"].as_str().expect("text").contains("cannot be reached"), "{checked}");
    assert!(found["mend"].as_str().expect("a mend").contains("firewall"), "{checked}");
    let entry = vault.audited(&answer);
    assert_eq!((entry.action.as_str(), entry.target.as_deref()), ("provider:check", Some("away")));

    assert_eq!(check(&vault, "github")["findings"], serde_json::json!([]), "it has no client");
    let unknown = vault.admin().send(&Request::new("POST", "/admin/v1/providers/unknown/check"));
    unknown.refused(404, "not_found");
}
