//! The client against a scripted daemon: connections, deadlines, what is sent twice and what never is.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod kit;

use kit::{Answer, Daemon, problem};
use std::io::ErrorKind;
use std::time::Duration;
use tokenkeep_client::ids::{ConnectionId, OrgId, SecretName};
use tokenkeep_client::secret::{AccessToken, SecretValue};
use tokenkeep_client::wire::{SecretIn, Token, TokenSet};
use tokenkeep_client::{Client, Condition, Error, Request, Transport};

const TOKEN: &str =
    r#"{"access_token":"at-1","token_type":"Bearer","expires_at":null,"scopes":[],"generation":7}"#;
const CONNECTION: &str = r#"{"provider":"github","name":"main","state":"active","reason":null,"scopes":[],
    "generation":8,"expires_at":null,"has_refresh_token":true,"created_at":"2026-11-21T18:00:00Z",
    "refreshed_at":"2026-11-21T18:00:00Z","last_read_at":null,"labels":{}}"#;
const MIN_TTL: Duration = Duration::from_secs(60);

fn acme() -> OrgId {
    OrgId::parse("acme").unwrap()
}

fn id(name: &str) -> ConnectionId {
    ConnectionId { provider: "github".parse().unwrap(), name: name.parse().unwrap() }
}

fn token_set() -> TokenSet {
    TokenSet::new(AccessToken::new("at-2".into()))
}

/// Waits for the end of a connection, and lets the runtime see it: its task has to run for that.
async fn hang_up(daemon: &Daemon) {
    while !daemon.hung_up() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn token(client: &Client) -> Result<Token, Error> {
    client.org(&acme()).token(&id("main"), MIN_TTL).await
}

#[tokio::test]
async fn a_connection_serves_one_request_after_another() {
    let daemon = Daemon::start(|_| Answer::Json(200, TOKEN.into()));
    let client = Client::unix(daemon.socket());
    for _ in 0..5 {
        let token = token(&client).await.unwrap();
        assert_eq!((token.access_token.expose(), token.generation), ("at-1", 7));
    }
    assert_eq!(daemon.connections(), 1);
    assert_eq!(daemon.asked()[0].line, "GET /v1/orgs/acme/connections/github/main/token?min_ttl=60");
}

#[tokio::test]
async fn a_thousand_requests_at_once_share_a_few_connections() {
    let daemon = Daemon::start(|_| Answer::Json(200, TOKEN.into()));
    let client = Client::unix(daemon.socket());
    let tasks: Vec<_> = (0..1000)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { token(&client).await.map(|token| token.generation) })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap().unwrap(), 7);
    }
    assert_eq!(daemon.asked().len(), 1000);
    assert!(daemon.connections() <= 16, "{} connections", daemon.connections());
}

#[tokio::test]
async fn a_read_is_sent_again_when_its_connection_dies() {
    let daemon = Daemon::start(|asked| match asked.nth {
        2 => Answer::HangUp,
        _ => Answer::Json(200, TOKEN.into()),
    });
    let client = Client::unix(daemon.socket());
    token(&client).await.unwrap();
    token(&client).await.expect("sent again");
    let newer = client.org(&acme()).newer_token(&id("main"), 7).await.unwrap();
    assert_eq!(newer.generation, 7);
    let asked = daemon.asked();
    assert_eq!(asked.iter().map(|asked| asked.connection).collect::<Vec<_>>(), [1, 1, 2, 2]);
    assert_eq!(asked[3].line, "POST /v1/orgs/acme/connections/github/main/refresh");
    assert_eq!(asked[3].body, r#"{"if_generation":7}"#);
}

#[tokio::test]
async fn a_read_that_always_loses_its_connection_is_given_up() {
    let daemon = Daemon::start(|_| Answer::HangUp);
    let client = Client::unix(daemon.socket());
    assert_eq!(token(&client).await.unwrap_err(), Error::Transport(Transport::Lost));
    assert_eq!(daemon.asked().len(), 3);
}

#[tokio::test]
async fn a_write_that_may_have_been_read_is_never_sent_again() {
    let daemon = Daemon::start(|asked| match asked.nth {
        2 => Answer::HangUp,
        _ => Answer::Json(200, TOKEN.into()),
    });
    let client = Client::unix(daemon.socket());
    token(&client).await.unwrap();
    let lost = client.org(&acme()).put_connection(&id("main"), &token_set(), Condition::Always).await;
    assert_eq!(lost.unwrap_err(), Error::Transport(Transport::Lost));
    assert_eq!(daemon.asked().len(), 2);
    assert_eq!(daemon.connections(), 1);
}

/// A write after the daemon has closed the kept connection.
async fn write_after_hang_up(wait: impl AsyncFnOnce(&Daemon)) {
    let daemon = Daemon::start(|asked| {
        Answer::Json(200, if asked.line.starts_with("PUT") { CONNECTION } else { TOKEN }.into())
    });
    let client = Client::unix(daemon.socket());
    token(&client).await.unwrap();
    // The connection comes to rest.
    tokio::time::sleep(Duration::from_millis(10)).await;
    daemon.hang_up();
    wait(&daemon).await;
    let stored =
        client.org(&acme()).put_connection(&id("main"), &token_set(), Condition::Generation(7)).await;
    assert_eq!(stored.unwrap().generation, 8);
    let asked = daemon.asked();
    assert_eq!(asked.len(), 2, "the write came once");
    assert_eq!(asked[1].connection, 2);
    assert_eq!(asked[1].header("if-match"), Some("\"7\""));
    assert_eq!(asked[1].body, r#"{"access_token":"at-2"}"#);
}

#[tokio::test]
async fn a_connection_known_to_be_dead_is_not_used_for_a_write() {
    write_after_hang_up(async |daemon| hang_up(daemon).await).await;
}

#[tokio::test]
async fn a_connection_that_died_a_moment_ago_is_not_used_for_a_write() {
    // The one thread goes on at once: the runtime has not seen the end of the connection.
    write_after_hang_up(async |_| {}).await;
}

#[tokio::test]
async fn the_deadline_ends_a_request_that_is_not_answered_and_its_connection() {
    let daemon = Daemon::start(|asked| match asked.nth {
        1 => Answer::Silence,
        2 => Answer::Raw(b"HTTP/1.1 200 X\r\ncontent-length: 9\r\n\r\n123".to_vec()),
        _ => Answer::Json(200, TOKEN.into()),
    });
    let client = Client::unix(daemon.socket());
    let hasty = client.clone().with_deadline(Duration::from_millis(50));
    for _ in ["no answer", "half an answer"] {
        assert_eq!(token(&hasty).await.unwrap_err(), Error::Transport(Transport::Silent));
        hang_up(&daemon).await;
    }
    token(&client).await.unwrap();
    assert_eq!(daemon.connections(), 3);
}

#[tokio::test]
async fn the_deadline_counts_while_every_connection_is_busy() {
    let daemon = Daemon::start(|_| Answer::Silence);
    let client = Client::unix(daemon.socket());
    let busy: Vec<_> = (0..16)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { token(&client).await.map(drop) })
        })
        .collect();
    while daemon.asked().len() < busy.len() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let hasty = client.clone().with_deadline(Duration::from_millis(50));
    assert_eq!(token(&hasty).await.unwrap_err(), Error::Transport(Transport::Deadline));
    assert_eq!(daemon.asked().len(), 16, "nothing was sent");
    busy.iter().for_each(tokio::task::JoinHandle::abort);
}

#[test]
fn a_client_outlives_the_runtime_that_it_was_used_in() {
    let daemon = Daemon::start(|asked| {
        Answer::Json(200, if asked.line.starts_with("PUT") { CONNECTION } else { TOKEN }.into())
    });
    let client = Client::unix(daemon.socket());
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime().block_on(token(&client)).unwrap();
    // A write, which would not be sent twice: the connection of the first runtime must not be tried at all.
    runtime()
        .block_on(async {
            client.org(&acme()).put_connection(&id("main"), &token_set(), Condition::Always).await
        })
        .unwrap();
    assert_eq!(daemon.connections(), 2);
}

#[tokio::test]
async fn without_a_daemon_the_wait_is_no_longer_than_asked() {
    let daemon = Daemon::stopped(|_| Answer::HangUp);
    let client = Client::unix(daemon.socket()).with_patience(Duration::ZERO);
    assert_eq!(token(&client).await.unwrap_err(), Error::Transport(Transport::Connect(ErrorKind::NotFound)));
    drop(std::os::unix::net::UnixListener::bind(daemon.socket()).unwrap());
    let refused = Error::Transport(Transport::Connect(ErrorKind::ConnectionRefused));
    assert_eq!(token(&client).await.unwrap_err(), refused);
    let patient = client.with_patience(Duration::MAX).with_deadline(Duration::from_millis(100));
    assert_eq!(token(&patient).await.unwrap_err(), refused);
}

#[tokio::test]
async fn a_daemon_that_restarts_is_waited_for() {
    let daemon = Daemon::stopped(|_| Answer::Json(200, TOKEN.into()));
    let client = Client::unix(daemon.socket());
    let waiting = tokio::spawn(async move { token(&client).await.map(|token| token.generation) });
    tokio::time::sleep(Duration::from_millis(50)).await;
    daemon.listen();
    assert_eq!(waiting.await.unwrap().unwrap(), 7);
}

#[tokio::test]
async fn a_problem_says_whose_fault_it_is() {
    let daemon = Daemon::start(|asked| match asked.nth {
        1 => problem("not_found", 404, "no such connection"),
        2 => Answer::Json(
            424,
            r#"{"type":"urn:tokenkeep:problem:needs_reauth","title":"T","status":424,"code":"needs_reauth",
                "detail":"d","request_id":"r-1","reason":"revoked","since":"2026-11-21T18:00:00Z","more":1}"#
                .into(),
        ),
        3 => problem("integrity", 500, "does not open"),
        _ => Answer::Raw(b"HTTP/1.1 431 X\r\ncontent-length: 0\r\n\r\n".to_vec()),
    });
    let client = Client::unix(daemon.socket());
    let Error::Caller(absent) = token(&client).await.unwrap_err() else { panic!("not the caller's") };
    assert_eq!((absent.code.as_str(), absent.detail.as_str()), ("not_found", "no such connection"));
    let Error::Owner { reason, since, .. } = token(&client).await.unwrap_err() else {
        panic!("not the owner's")
    };
    assert_eq!(reason.as_deref(), Some("revoked"));
    assert_eq!(since.unwrap().to_string(), "2026-11-21T18:00:00Z");
    assert!(matches!(token(&client).await.unwrap_err(), Error::Vault(p) if p.code == "integrity"));
    assert!(matches!(token(&client).await.unwrap_err(), Error::Caller(p) if p.status == 431));
    assert_eq!(daemon.connections(), 1, "a problem does not cost the connection");
}

#[tokio::test]
async fn what_is_not_the_contract_is_refused_and_not_shown() {
    let daemon = Daemon::start(|asked| match asked.nth {
        1 => Answer::Raw(b"220 mail.example ESMTP\r\n".to_vec()),
        _ => Answer::Json(200, r#"{"access_token":{"canary":1}}"#.into()),
    });
    let client = Client::unix(daemon.socket());
    let not_http = token(&client).await.unwrap_err();
    assert!(matches!(not_http, Error::Transport(Transport::Protocol(_))), "{not_http}");
    let other_shape = token(&client).await.unwrap_err();
    assert!(matches!(other_shape, Error::Transport(Transport::Protocol(_))));
    assert!(!format!("{other_shape} {other_shape:?}").contains("canary"));
}

#[tokio::test]
async fn an_oversize_answer_is_refused_announced_or_not() {
    let daemon = Daemon::start(|asked| match asked.nth {
        1 => Answer::Json(200, " ".repeat(101)),
        2 => Answer::Raw(
            format!(
                "HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n65\r\n{}\r\n0\r\n\r\n",
                " ".repeat(101)
            )
            .into_bytes(),
        ),
        3 => Answer::Raw(
            b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n4\r\n1234\r\n6\r\n567890\r\n0\r\n\r\n"
                .to_vec(),
        ),
        _ => Answer::Json(200, " ".repeat(100)),
    });
    let client = Client::unix(daemon.socket());
    let request = Request::get("/v1/status").with_answer_up_to(100);
    for _ in 0..2 {
        assert_eq!(client.send(&request).await.unwrap_err(), Error::Transport(Transport::TooLarge(100)));
    }
    assert_eq!(client.send(&request).await.unwrap().body.as_slice(), b"1234567890");
    assert_eq!(client.send(&request).await.unwrap().body.len(), 100);
}

#[tokio::test]
async fn a_batch_keeps_its_order_and_one_bad_item_is_alone() {
    let daemon = Daemon::start(|asked| {
        let good = format!(r#"{{"provider":"github","name":"a","token":{TOKEN}}}"#);
        let bad = r#"{"provider":"github","name":"b","problem":{"type":"t","title":"T","status":404,
            "code":"not_found","detail":"d","request_id":"r"}}"#;
        match asked.nth {
            1 => Answer::Json(200, format!(r#"{{"results":[{good},{bad}]}}"#)),
            2 => Answer::Json(200, format!(r#"{{"results":[{bad},{good}]}}"#)),
            _ => Answer::Json(200, format!(r#"{{"results":[{good}]}}"#)),
        }
    });
    let client = Client::unix(daemon.socket());
    let (org, ids) = (acme(), [id("a"), id("b")]);
    let tokens = client.org(&org).tokens(&ids, Duration::from_millis(1500)).await.unwrap();
    assert_eq!(tokens[0].as_ref().unwrap().access_token.expose(), "at-1");
    assert_eq!(tokens[1].as_ref().unwrap_err().code(), Some("not_found"));
    assert_eq!(
        daemon.asked()[0].body,
        r#"{"connections":[{"provider":"github","name":"a"},{"provider":"github","name":"b"}],"min_ttl":2}"#
    );
    for _ in ["another order", "one missing"] {
        let wrong = client.org(&org).tokens(&ids, MIN_TTL).await.unwrap_err();
        assert!(matches!(wrong, Error::Transport(Transport::Protocol(_))));
    }
}

#[tokio::test]
async fn more_than_a_thousand_connections_take_several_batches() {
    let daemon = Daemon::start(|asked| {
        let names = asked.body.split(r#""name":""#).skip(1).map(|rest| rest.split('"').next().unwrap());
        let results: Vec<_> =
            names.map(|name| format!(r#"{{"provider":"github","name":"{name}","token":{TOKEN}}}"#)).collect();
        Answer::Json(200, format!(r#"{{"results":[{}]}}"#, results.join(",")))
    });
    let client = Client::unix(daemon.socket());
    let ids: Vec<_> = (0..1001).map(|n| id(&format!("c{n}"))).collect();
    assert_eq!(client.org(&acme()).tokens(&ids, MIN_TTL).await.unwrap().len(), 1001);
    assert_eq!(daemon.asked().len(), 2);
    assert!(client.org(&acme()).tokens(&[], MIN_TTL).await.unwrap().is_empty());
    assert_eq!(daemon.asked().len(), 2, "nothing to ask");
}

#[tokio::test]
async fn a_batch_of_the_largest_tokens_fits() {
    let daemon = Daemon::start(|_| {
        let token = TOKEN.replace("at-1", &"a".repeat(16 << 10));
        let results: Vec<_> =
            (0..1000).map(|n| format!(r#"{{"provider":"github","name":"c{n}","token":{token}}}"#)).collect();
        Answer::Json(200, format!(r#"{{"results":[{}]}}"#, results.join(",")))
    });
    let client = Client::unix(daemon.socket());
    let ids: Vec<_> = (0..1000).map(|n| id(&format!("c{n}"))).collect();
    let tokens = client.org(&acme()).tokens(&ids, MIN_TTL).await.unwrap();
    assert!(tokens.iter().all(|token| token.as_ref().unwrap().access_token.expose().len() == 16 << 10));
}

#[tokio::test]
async fn a_secret_is_put_and_read_back_by_version() {
    let daemon = Daemon::start(|asked| match asked.line.split(' ').next().unwrap() {
        "PUT" => Answer::Json(
            200,
            r#"{"name":"hook","version":2,"created_at":"2026-11-21T18:00:00Z","versions":[],"labels":{}}"#
                .into(),
        ),
        "DELETE" => Answer::Json(200, r#"{"deleted":true}"#.into()),
        _ => Answer::Json(
            200,
            r#"{"value":"line 1\nline 2","version":1,"created_at":"2026-11-21T18:00:00Z"}"#.into(),
        ),
    });
    let client = Client::unix(daemon.socket());
    let (acme, hook) = (acme(), SecretName::parse("hook").unwrap());
    let org = client.org(&acme);
    let secret = SecretIn { value: SecretValue::new("s-1".into()), labels: None };
    assert_eq!(org.put_secret(&hook, &secret).await.unwrap().version, 2);
    assert_eq!(org.secret_version(&hook, 1).await.unwrap().value.expose(), "line 1\nline 2");
    org.delete_secret(&hook).await.unwrap();
    let lines: Vec<_> = daemon.asked().into_iter().map(|asked| asked.line).collect();
    let path = "/v1/orgs/acme/secrets/hook";
    assert_eq!(lines, [format!("PUT {path}"), format!("GET {path}?version=1"), format!("DELETE {path}")]);
    assert_eq!(daemon.asked()[0].body, r#"{"value":"s-1"}"#);
}

#[test]
fn a_request_can_move_between_threads() {
    fn moves<T: Send>(_: T) {}
    let client = Client::unix("/nowhere");
    let request = Request::get("/v1/status");
    moves(client.send(&request));
}
