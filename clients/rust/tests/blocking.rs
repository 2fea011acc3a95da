//! The client without `async`: alone, among threads, and in the middle of somebody else's runtime.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod kit;

use kit::{Answer, Daemon};
use std::time::Duration;
use tokenkeep_client::blocking::Client;
use tokenkeep_client::ids::{ConnectionId, OrgId};
use tokenkeep_client::secret::Plaintext;
use tokenkeep_client::{Error, Transport};

const TOKEN: &str =
    r#"{"access_token":"at-1","token_type":"Bearer","expires_at":null,"scopes":[],"generation":7}"#;

fn daemon() -> Daemon {
    Daemon::start(|_| Answer::Json(200, TOKEN.into()))
}

fn generation(client: &Client) -> Result<u64, Error> {
    let id: ConnectionId = "github/main".parse().unwrap();
    let token = client.org(&OrgId::parse("acme").unwrap()).token(&id, Duration::from_secs(60))?;
    Ok(token.generation)
}

#[test]
fn a_connection_serves_one_call_after_another() {
    let daemon = daemon();
    let client = Client::unix(daemon.socket()).unwrap();
    for _ in 0..5 {
        assert_eq!(generation(&client).unwrap(), 7);
    }
    assert_eq!(daemon.connections(), 1);
}

#[test]
fn many_threads_share_one_client() {
    let daemon = daemon();
    let client = Client::unix(daemon.socket()).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let client = client.clone();
            scope.spawn(move || (0..50).for_each(|_| assert_eq!(generation(&client).unwrap(), 7)));
        }
    });
    assert_eq!(daemon.asked().len(), 400);
    assert!(daemon.connections() <= 16);
}

#[test]
fn a_connection_that_ended_between_two_calls_is_not_used() {
    let daemon = daemon();
    let client = Client::unix(daemon.socket()).unwrap();
    generation(&client).unwrap();
    daemon.hang_up();
    while !daemon.hung_up() {
        std::thread::yield_now();
    }
    generation(&client).unwrap();
    assert_eq!(daemon.connections(), 2);
    assert_eq!(daemon.asked().len(), 2);
}

/// tokio panics there; this does not.
#[test]
fn inside_a_runtime_it_answers_and_goes_without_a_panic() {
    let daemon = daemon();
    let alone = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let many = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    for runtime in [alone, many] {
        runtime.block_on(async {
            let client = Client::unix(daemon.socket()).unwrap();
            assert_eq!(generation(&client).unwrap(), 7);
            let cloned = client.clone();
            tokio::task::spawn_blocking(move || assert_eq!(generation(&cloned).unwrap(), 7)).await.unwrap();
            drop(client);
        });
    }
}

#[test]
fn deadlines_and_errors_are_those_of_the_other_client() {
    let silent = Daemon::start(|_| Answer::Silence);
    let hasty = tokenkeep_client::Client::unix(silent.socket()).with_deadline(Duration::from_millis(50));
    let client = Client::new(hasty).unwrap();
    assert_eq!(generation(&client).unwrap_err(), Error::Transport(Transport::Silent));
}

#[test]
fn what_is_borrowed_may_be_borrowed_here_too() {
    let daemon = Daemon::start(|asked| {
        let answer = if asked.line.ends_with("/encrypt") {
            r#"{"ciphertexts":["gAAA"]}"#
        } else {
            r#"{"results":[{"plaintext":"b25l"}]}"#
        };
        Answer::Json(200, answer.into())
    });
    let client = Client::unix(daemon.socket()).unwrap();
    let acme = OrgId::parse("acme").unwrap();
    let sealed = client.org(&acme).encrypt(&[Plaintext::new(b"one".to_vec())]).unwrap();
    let opened = client.org(&acme).decrypt(&sealed).unwrap();
    assert_eq!(opened[0].as_ref().unwrap().expose(), b"one");
}
