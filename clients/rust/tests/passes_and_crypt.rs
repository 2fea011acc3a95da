//! Passes, and encrypt and decrypt: what is sent, and what is made of the answers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod kit;

use kit::{Answer, Daemon};
use std::time::Duration;
use tokenkeep_client::ids::{ConnectionId, KeyName, OrgId};
use tokenkeep_client::secret::{Pass, Plaintext};
use tokenkeep_client::{Client, Error, Transport};

fn acme() -> OrgId {
    OrgId::parse("acme").unwrap()
}

fn plaintexts(texts: &[&str]) -> Vec<Plaintext> {
    texts.iter().map(|text| Plaintext::new(text.as_bytes().to_vec())).collect()
}

#[tokio::test]
async fn a_pass_is_asked_for_and_shown_with_every_request() {
    let daemon = Daemon::start(|asked| {
        if asked.line.starts_with("POST") {
            return Answer::Json(
                200,
                r#"{"pass":"p-1","expires_at":"2026-11-21T18:00:00Z","more":1}"#.into(),
            );
        }
        kit::problem("not_found", 404, "none here")
    });
    let client = Client::unix(daemon.socket());
    let acme = acme();
    let issued = client.org(&acme).pass(&["token:read"], Duration::from_millis(59_500)).await.unwrap();
    assert_eq!(issued.expires_at.to_string(), "2026-11-21T18:00:00Z");
    let org = client.org(&acme).with_pass(&issued.pass);
    let id: ConnectionId = "github/main".parse().unwrap();
    org.token(&id, Duration::ZERO).await.unwrap_err();
    org.delete_connection(&id).await.unwrap_err();
    client.org(&acme).show().await.unwrap_err();
    let asked = daemon.asked();
    assert_eq!(asked[0].line, "POST /v1/orgs/acme/passes");
    assert_eq!(asked[0].body, r#"{"actions":["token:read"],"ttl":60}"#);
    let shown: Vec<_> = asked.iter().map(|asked| asked.header("authorization")).collect();
    assert_eq!(shown, [None, Some("Bearer p-1"), Some("Bearer p-1"), None]);
    assert!(!format!("{org:?} {issued:?}").contains("p-1"));
}

#[tokio::test]
async fn a_pass_that_is_none_leaves_this_process_for_nowhere() {
    let daemon = Daemon::start(|_| Answer::HangUp);
    let client = Client::unix(daemon.socket());
    let pass = Pass::new("a\r\nx-other: b".into());
    let refused = client.org(&acme()).with_pass(&pass).show().await.unwrap_err();
    assert!(matches!(refused, Error::Transport(Transport::Protocol(_))), "{refused}");
    assert!(daemon.asked().is_empty());
}

#[tokio::test]
async fn plaintexts_are_encrypted_in_their_order() {
    let daemon = Daemon::start(|_| Answer::Json(200, r#"{"ciphertexts":["gAAA-1","gAAA-2"]}"#.into()));
    let client = Client::unix(daemon.socket());
    let sealed = client.org(&acme()).encrypt(&plaintexts(&["one", "two"])).await.unwrap();
    assert_eq!(sealed, ["gAAA-1", "gAAA-2"]);
    assert_eq!(daemon.asked()[0].line, "POST /v1/orgs/acme/encrypt");
    assert_eq!(daemon.asked()[0].body, r#"{"plaintexts":["b25l","dHdv"]}"#);
    let fewer = client.org(&acme()).encrypt(&plaintexts(&["one"])).await.unwrap_err();
    assert!(matches!(fewer, Error::Transport(Transport::Protocol(_))), "{fewer}");
}

#[tokio::test]
async fn one_ciphertext_that_does_not_open_fails_alone() {
    let problem = r#"{"type":"urn:tokenkeep:problem:integrity","title":"T","status":500,"code":"integrity",
        "detail":"d","request_id":"r-1"}"#;
    let daemon = Daemon::start(move |_| {
        Answer::Json(200, format!(r#"{{"results":[{{"plaintext":"b25l"}},{{"problem":{problem}}}]}}"#))
    });
    let client = Client::unix(daemon.socket());
    let acme = acme();
    let opened = client.org(&acme).decrypt(&["gAAA-1", "gAAA-2"]).await.unwrap();
    assert_eq!(opened[0].as_ref().unwrap().expose(), b"one");
    assert_eq!(opened[1].as_ref().unwrap_err().code(), Some("integrity"));
    let key = KeyName::parse("django-2019").unwrap();
    client.org(&acme).decrypt_under(&key, &["gAAA-1".to_owned(), "gAAA-2".to_owned()]).await.unwrap();
    let bodies: Vec<_> = daemon.asked().into_iter().map(|asked| asked.body).collect();
    assert_eq!(bodies[0], r#"{"ciphertexts":["gAAA-1","gAAA-2"]}"#);
    assert_eq!(bodies[1], r#"{"ciphertexts":["gAAA-1","gAAA-2"],"key":"django-2019"}"#);
}

#[tokio::test]
async fn a_result_that_is_both_or_neither_is_not_believed() {
    for result in [r#"{}"#, r#"{"plaintext":"!"}"#, r#"{"plaintext":1}"#] {
        let daemon = Daemon::start(move |_| Answer::Json(200, format!(r#"{{"results":[{result}]}}"#)));
        let client = Client::unix(daemon.socket());
        let refused = client.org(&acme()).decrypt(&["gAAA"]).await.unwrap_err();
        assert!(matches!(refused, Error::Transport(Transport::Protocol(_))), "{result}: {refused}");
    }
}

#[tokio::test]
async fn more_than_fits_into_one_request_is_asked_for_in_several() {
    let daemon = Daemon::start(|asked| {
        let count = asked.body.matches("gAAA").count();
        Answer::Json(200, format!(r#"{{"results":[{}]}}"#, vec![r#"{"plaintext":""}"#; count].join(",")))
    });
    let client = Client::unix(daemon.socket());
    let acme = acme();
    assert_eq!(client.org(&acme).decrypt(&vec!["gAAA"; 2001]).await.unwrap().len(), 2001);
    assert_eq!(daemon.asked().len(), 3);
    let large = format!("gAAA{}", "x".repeat(3 << 20));
    assert_eq!(client.org(&acme).decrypt(&[&large; 3]).await.unwrap().len(), 3);
    assert_eq!(daemon.asked().len(), 6);
    assert!(daemon.asked().iter().all(|asked| asked.body.len() < 8 << 20));
    assert!(client.org(&acme).decrypt(&[] as &[&str]).await.unwrap().is_empty());
    assert_eq!(daemon.asked().len(), 6, "nothing to ask");
}
