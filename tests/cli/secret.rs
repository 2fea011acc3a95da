//! `secret`.

use crate::kit::{Answer, Daemon};
use crate::{tokenkeep, tokenkeep_with};

const SECRET: &str = r#"{"name":"hook","version":2,"created_at":"2026-11-21T18:00:00Z","versions":[{"version":1,"created_at":"2026-11-20T18:00:00Z"},{"version":2,"created_at":"2026-11-21T18:00:00Z"}],"labels":{}}"#;

#[test]
fn a_value_is_stored_exactly_as_it_is_read() {
    let daemon = Daemon::start(|_| Answer::Json(200, SECRET.into()));
    let stored = "stored hook, version 2\n";
    tokenkeep_with(&daemon, "secret put acme hook", "s-1 \"ä\"".as_bytes()).is(stored);
    tokenkeep_with(&daemon, "secret put acme hook", b"a\nb\n").is(stored);
    tokenkeep_with(&daemon, "secret put acme hook --strip-newline", b"a\nb\n\n").is(stored);
    tokenkeep_with(&daemon, "secret put acme hook --strip-newline", b"a\r\n").is(stored);
    tokenkeep_with(&daemon, "secret put acme hook --output json", b"a\n").is(&format!("{SECRET}\n"));
    let told = tokenkeep_with(&daemon, "secret put acme hook", b"a\n");
    assert_eq!(told.out, stored);
    assert_eq!(told.err, "note: the value ends with a newline, which is kept; --strip-newline drops it\n");
    let bodies: Vec<_> = daemon.asked().into_iter().map(|asked| asked.body).collect();
    let values = [r#"s-1 \"ä\""#, r"a\nb\n", r"a\nb\n", "a", r"a\n", r"a\n"];
    assert_eq!(bodies, values.map(|value| format!(r#"{{"value":"{value}"}}"#)));
    assert_eq!(daemon.asked()[0].line, "PUT /v1/orgs/acme/secrets/hook");
}

#[test]
fn a_value_that_cannot_be_one_is_not_sent() {
    let daemon = Daemon::start(|_| Answer::HangUp);
    for (value, what) in [
        (b"\xff\xfe".as_slice(), "the value is not UTF-8"),
        (b"", "the input is empty"),
        (&[b'a'; (64 << 10) + 1], "more than 65536 bytes"),
    ] {
        let told = tokenkeep_with(&daemon, "secret put acme hook", value);
        assert_eq!(told.exit, 1);
        assert!(told.err.contains(what), "{}", told.err);
    }
    let told = tokenkeep_with(&daemon, "secret put acme hook --strip-newline", b"\n");
    assert_eq!(told.exit, 1);
    let told = tokenkeep(&daemon, "secret put acme hook --file /nowhere/at/all");
    assert!(
        told.err.starts_with("error: /nowhere/at/all cannot be read: entity not found\n"),
        "{}",
        told.err
    );
    assert!(daemon.asked().is_empty());
}

#[test]
fn secrets_are_listed_without_values_and_deleted_with_a_yes() {
    let daemon = Daemon::start(|asked| match asked.line.split(' ').next().unwrap() {
        "DELETE" => Answer::Json(200, r#"{"deleted":true}"#.into()),
        _ => Answer::Json(200, format!(r#"{{"items":[{SECRET}],"next":null}}"#)),
    });
    tokenkeep(&daemon, "secret list acme").is("\
SECRET  VERSION  CREATED               KEPT
hook    2        2026-11-21T18:00:00Z  2
");
    tokenkeep(&daemon, "secret list acme --output json")
        .is(&format!("{{\"items\":[{SECRET}],\"next\":null}}\n"));
    assert_eq!(tokenkeep(&daemon, "secret delete acme hook").exit, 64);
    tokenkeep(&daemon, "secret delete acme hook --yes").is("deleted hook\n");
    tokenkeep(&daemon, "secret delete acme hook --yes --output json")
        .is("{\"name\":\"hook\",\"deleted\":true}\n");
    assert_eq!(daemon.asked()[2].line, "DELETE /v1/orgs/acme/secrets/hook");
}
