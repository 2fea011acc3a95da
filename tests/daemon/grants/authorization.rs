//! The authorization-code flow: a person consents at the provider, and the refresh token goes straight into the vault.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::*;
use crate::kit::configuration::Client;
use crate::kit::tmpfs::Tmpfs;
use crate::kit::{poll, skip};

#[test]
fn a_person_consents_and_the_token_set_goes_into_the_vault() {
    let Some((server, vault)) = furnished("issuer = \"ISSUER\"") else { return };
    let begun = begin(&vault, &["openid", "read", "offline_access"]);
    for part in ["code_challenge_method=S256", "nonce=", "prompt=consent&response_type=code", "client_id=app"]
    {
        assert!(begun.url.contains(part), "{part} is missing in {}", begun.url);
    }
    let back = came_back(&server.consent(&begun.url));
    assert_eq!(back["iss"], server.issuer().as_str());
    let answer = complete(&vault, &begun.state, &json!({ "code": back["code"], "iss": back["iss"] })).is(200);
    let shown = answer.json();
    assert_eq!((&shown["state"], &shown["has_refresh_token"]), (&json!("active"), &json!(true)));
    assert_eq!((&shown["generation"], answer.header("etag")), (&json!(1), Some("\"1\"")));
    let refresh = refresh_token(&vault);
    assert!(server.is_alive(&refresh));
    assert!(!answer.text().contains(&refresh), "the refresh token never visits the application");
    assert!(!vault.access_token("acme", MAIN).is_empty());

    let target = format!("{CONNECTION}/refresh");
    vault.send(&Request::post(target, &json!({ "if_generation": 1 }))).is(200);
    assert_ne!(refresh_token(&vault), refresh, "and the vault refreshes it from there on");
    let told = told(&vault, "connection:write");
    let reasons: Vec<&str> = told.iter().map(|(_, reason)| reason.as_str()).collect();
    assert_eq!(reasons, ["authorization_begun", "authorization_spent", "authorization_completed"]);
    vault.audit_is_intact();
}

#[test]
fn an_authorization_is_completed_once_and_by_its_own_client_in_its_own_org() {
    let Some(server) = OAuthServer::start() else { return };
    let own = Client { name: "app", ..Client::own() };
    let mut vault = TestVault::stopped(Configuration { clients: vec![own], ..Configuration::default() });
    server.configure(&mut vault, "");
    vault.start();
    vault.create_org("acme");
    vault.create_org("other");
    let begun = begin(&vault, &["read", "offline_access"]);
    let back = came_back(&server.consent(&begun.url));
    let body = json!({ "code": back["code"] });

    let by_admin = vault.admin().send(&complete_request(&begun.state, &body));
    assert_eq!(
        by_admin.refused(403, "forbidden").reason.as_deref(),
        Some("authorization_of_other_principal")
    );
    let elsewhere = format!("/v1/orgs/other/authorizations/{}/complete", begun.state);
    vault.send(&Request::post(elsewhere, &body)).refused(404, "not_found");
    complete(&vault, &"0".repeat(64), &body).refused(404, "not_found");
    assert_eq!(server.log().len(), 0, "no code was sent for any of them");

    let answers: Vec<u16> = std::thread::scope(|scope| {
        let callers: Vec<_> =
            (0..8).map(|_| scope.spawn(|| complete(&vault, &begun.state, &body).status)).collect();
        callers.into_iter().map(|caller| caller.join().expect("a status")).collect()
    });
    assert_eq!(answers.iter().filter(|status| **status == 200).count(), 1, "{answers:?}");
    assert_eq!(answers.iter().filter(|status| **status == 404).count(), 7, "{answers:?}");
    assert_eq!(server.count("granted"), 1);
    complete(&vault, &begun.state, &body).refused(404, "not_found");
}

#[test]
fn what_was_begun_outlives_a_kill_and_what_was_spent_stays_spent() {
    let Some((server, mut vault)) = furnished("") else { return };
    let begun = begin(&vault, &["read"]);
    vault.kill9();
    vault.start();
    let back = came_back(&server.consent(&begun.url));
    // The answer is thrown away after the provider has granted: nobody knows, and nobody sends the code again.
    server.fault(&json!({ "path": "/token", "drop": "after" }));
    let body = json!({ "code": back["code"] });
    let problem = complete(&vault, &begun.state, &body).refused(424, "outcome_unknown");
    assert_eq!(problem.reason.as_deref(), Some("answer_lost"));
    vault.kill9();
    vault.start();
    complete(&vault, &begun.state, &body).refused(404, "not_found");
    assert_eq!(server.count("granted"), 1, "{:?}", server.log());
    vault.get(CONNECTION).refused(404, "not_found");
    vault.audit_is_intact();
}

#[test]
fn a_code_of_another_provider_is_not_sent() {
    let Some((server, vault)) = furnished("issuer = \"ISSUER\"") else { return };
    let begun = begin(&vault, &["read", "offline_access"]);
    let back = came_back(&server.consent(&begun.url));
    let with = |iss: &str| json!({ "code": back["code"], "iss": iss });
    complete(&vault, &begun.state, &with("https://attacker.example")).refused(400, "invalid_request");
    complete(&vault, &begun.state, &json!({ "code": back["code"] })).refused(400, "invalid_request");
    assert_eq!(server.log().len(), 0);
    complete(&vault, &begun.state, &with(&server.issuer())).is(200);
}

#[test]
fn a_code_that_the_provider_refuses_is_said_so_and_nothing_is_stored() {
    let Some((server, vault)) = furnished("") else { return };
    let declined = begin(&vault, &["read"]);
    assert_eq!(came_back(&server.decline(&declined.url))["error"], "access_denied");
    let problem =
        complete(&vault, &declined.state, &json!({ "code": "made-up" })).refused(400, "invalid_request");
    assert_eq!(problem.reason.as_deref(), Some("code_refused"));
    // The code of one authorization with the verifier of another (RFC 9700, section 4.5).
    let (one, other) = (begin(&vault, &["read"]), begin(&vault, &["read"]));
    let stolen = came_back(&server.consent(&one.url));
    let problem =
        complete(&vault, &other.state, &json!({ "code": stolen["code"] })).refused(400, "invalid_request");
    assert_eq!(problem.reason.as_deref(), Some("code_refused"));
    vault.get(CONNECTION).refused(404, "not_found");
}

#[test]
fn a_caller_that_leaves_changes_nothing() {
    let Some((server, vault)) = furnished("") else { return };
    let begun = begin(&vault, &["read"]);
    let back = came_back(&server.consent(&begun.url));
    server.fault(&json!({ "path": "/token", "delay_ms": 1000 }));
    let request = complete_request(&begun.state, &json!({ "code": back["code"] })).bytes();
    let mut stream = std::os::unix::net::UnixStream::connect(vault.socket()).expect("the socket");
    std::io::Write::write_all(&mut stream, &request).expect("sent");
    std::thread::sleep(Duration::from_millis(300));
    drop(stream);
    poll("the connection", || (vault.get(CONNECTION).status == 200).then_some(()));
    assert!(server.is_alive(&refresh_token(&vault)));
}

#[test]
fn what_a_code_was_exchanged_for_is_kept_on_a_full_disk() {
    let disk = match Tmpfs::mount(96) {
        Ok(disk) => disk,
        Err(why) => return skip(&why),
    };
    let Some(server) = OAuthServer::start() else { return };
    let mut vault = TestVault::stopped_with_state(&disk.path().join("state"), Configuration::default());
    server.configure(&mut vault, "");
    vault.start();
    vault.create_org("acme");
    let begun = begin(&vault, &["openid", "read", "offline_access"]);
    let back = came_back(&server.consent(&begun.url));
    server.fault(&json!({ "path": "/token", "delay_ms": 2000 }));
    let body = json!({ "code": back["code"] });
    let completed = std::thread::scope(|scope| {
        let asked = scope.spawn(|| complete(&vault, &begun.state, &body));
        let is_spent =
            || told(&vault, "connection:write").iter().any(|(_, reason)| reason == "authorization_spent");
        poll("the code on its way", || is_spent().then_some(()));
        disk.fill();
        asked.join().expect("an answer")
    });
    completed.is(200);
    try_begin(&vault, &["read"]).refused(507, "storage_full");
    // Killed while it is full: what came is in the journal.
    vault.kill9();
    disk.fill();
    vault.start();
    assert!(server.is_alive(&refresh_token(&vault)));
    assert_eq!(server.count("granted"), 1, "{:?}", server.log());
    vault.audit_is_intact();
}

#[test]
fn a_token_set_beyond_the_allowed_scopes_is_refused_and_revoked() {
    let Some((server, vault)) = furnished("allowed_scopes = [\"read\", \"offline_access\"]") else { return };
    try_begin(&vault, &["read", "write"]).refused(403, "scope_not_allowed");
    let begun = begin(&vault, &["read", "offline_access"]);
    let back = came_back(&server.consent(&begun.url));
    // The provider gives more than was asked for.
    server.fault(&json!({ "path": "/token", "set": { "scope": "read write offline_access" } }));
    let body = json!({ "code": back["code"] });
    complete(&vault, &begun.state, &body).refused(403, "scope_not_allowed");
    vault.get(CONNECTION).refused(404, "not_found");
    poll("the revocation", || (server.count("revoked") == 1).then_some(()));
}

#[test]
fn an_id_token_of_another_request_is_not_taken() {
    let Some((server, vault)) = furnished("") else { return };
    let begun = begin(&vault, &["openid", "read"]);
    let back = came_back(&server.consent(&begun.url));
    // {"alg":"none"} . {"aud":"app","nonce":"another"}
    let foreign = "eyJhbGciOiJub25lIn0.eyJhdWQiOiJhcHAiLCJub25jZSI6ImFub3RoZXIifQ.";
    server.fault(&json!({ "path": "/token", "set": { "id_token": foreign } }));
    let problem =
        complete(&vault, &begun.state, &json!({ "code": back["code"] })).refused(502, "provider_error");
    assert_eq!(problem.reason.as_deref(), Some("id_token_mismatch"));
    vault.get(CONNECTION).refused(404, "not_found");
    poll("the revocation", || (server.count("revoked") == 1).then_some(()));
}

#[test]
fn what_cannot_be_begun_is_refused() {
    let Some((_server, vault)) = furnished("") else { return };
    let ask = |body: Value| vault.send(&Request::post("/v1/orgs/acme/authorizations", &body));
    let with = |provider: &str, redirect: &str| json!({ "provider": provider, "name": "main", "redirect_uri": redirect, "scopes": ["read"] });
    ask(with("oidc", "http://app.example/callback")).refused(400, "invalid_request");
    ask(with("oidc", "https://app.example/callback#x")).refused(400, "invalid_request");
    ask(with("github", REDIRECT)).refused(400, "invalid_request");
    ask(with("nobody", REDIRECT)).refused(400, "unknown_provider");
    let unknown_org = Request::post("/v1/orgs/none/authorizations", &with("oidc", REDIRECT));
    vault.send(&unknown_org).refused(404, "not_found");
}

#[test]
fn an_admin_authorizes_by_the_command_line_with_what_the_browser_shows() {
    let Some((server, vault)) = furnished("issuer = \"ISSUER\"") else { return };
    let ask = || {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tokenkeep"))
            .args(["connection", "authorize", "acme", MAIN, "--scope", "read", "--scope", "offline_access"])
            .args(["--redirect-uri", REDIRECT])
            .env("TOKENKEEP_ADMIN", format!("unix://{}", vault.admin_socket().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command line starts");
        let mut said = BufReader::new(child.stderr.take().expect("piped")).lines();
        let url =
            said.find_map(|line| line.ok().filter(|line| line.starts_with("http"))).expect("an address");
        (child, said, url)
    };
    let (mut child, said, url) = ask();
    let address = server.consent(&url);
    writeln!(child.stdin.take().expect("piped"), "{address}").expect("it reads");
    let ended = child.wait_with_output().expect("it ends");
    let out = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(ended.status.success() && out.contains("refresh token  kept"), "{out}");
    let code = came_back(&address)["code"].as_str().expect("a code").to_owned();
    let said: Vec<_> = said.map_while(Result::ok).collect();
    assert!(!out.contains(&code) && !said.concat().contains(&code), "the code is not shown again");
    assert!(server.is_alive(&refresh_token(&vault)));

    // The address of another authorization is taken for nothing, before the daemon is asked.
    let (mut child, said, _) = ask();
    writeln!(child.stdin.take().expect("piped"), "{address}").expect("it reads");
    assert_eq!(child.wait().expect("it ends").code(), Some(1));
    assert!(said.map_while(Result::ok).any(|line| line.contains("another authorization")));
    assert_eq!(server.count("granted"), 1);
}
