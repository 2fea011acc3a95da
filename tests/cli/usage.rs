//! What holds for every command: usage errors, no daemon, errors of the daemon, streams.

use crate::kit::{Answer, Daemon, problem};
use crate::{finish, program, tokenkeep, tokenkeep_with};

#[test]
fn help_and_version_are_an_answer() {
    let help = finish(&mut program("--help"), b"");
    assert_eq!((help.exit, help.err.as_str()), (0, ""));
    assert!(help.out.contains("Usage: tokenkeep [OPTIONS] <COMMAND>"), "{}", help.out);
    assert!(help.out.contains("Exit codes: 0 done, 1 refused"), "{}", help.out);
    let version = finish(&mut program("--version"), b"");
    assert_eq!(
        (version.exit, version.out.as_str()),
        (0, concat!("tokenkeep ", env!("CARGO_PKG_VERSION"), "\n"))
    );
}

#[test]
fn a_wrong_command_line_exits_with_64_and_asks_nothing() {
    let daemon = Daemon::start(|_| Answer::HangUp);
    for (line, error) in [
        ("stats", "there is no such command"),
        ("org show", "missing: <ORG>"),
        ("org show .hidden", "<ORG>: an org is 1 to 128 characters"),
        ("connection show acme github", "<CONNECTION>: a connection is written PROVIDER/NAME"),
        ("connection put acme github/main --if-absent --if-generation 7", "does not go together with"),
        ("connection list acme --state=gone", "--state <STATE> is one of active, needs_reauth"),
        ("org list --limit 0", "--limit <N>: "),
        ("org list --limt 5", "there is no option --limt"),
        ("audit query --since yesterday", "--since <WHEN>: a moment is RFC 3339"),
    ] {
        let told = tokenkeep(&daemon, line);
        assert_eq!((told.exit, told.out.as_str()), (64, ""), "{line}: {}", told.err);
        assert!(told.err.starts_with("error: ") && told.err.contains(error), "{line}: {}", told.err);
        assert!(told.err.contains("\nmend: "), "{line}: {}", told.err);
    }
    let told = finish(&mut program("org"), b"");
    assert_eq!(told.exit, 64);
    assert!(daemon.asked().is_empty());
}

#[test]
fn a_secret_in_an_argument_is_refused_and_not_repeated() {
    let daemon = Daemon::start(|_| Answer::HangUp);
    for line in [
        "secret put acme hook sk_canary",
        "secret put acme hook --value sk_canary",
        "secret put acme hook --value=sk_canary",
        "secret put acme hook -sk_canary",
        "secret put acme hook --strip-newline=sk_canary",
        "connection put acme github/main sk_canary",
        "connection put acme github/main --if-generation sk_canary",
        "connection put acme github/main --access-token=sk_canary",
        "key generate sk_canary",
        "sk_canary",
        "secret sk_canary",
        "--output sk_canary status",
    ] {
        for line in [line.to_owned(), format!("{line} --output json")] {
            let told = tokenkeep_with(&daemon, &line, b"value");
            assert_eq!(told.exit, 64, "{line}");
            assert!(!told.err.contains("canary") && !told.out.contains("canary"), "{line}: {}", told.err);
        }
    }
    assert!(daemon.asked().is_empty());
}

#[test]
fn without_a_daemon_the_mend_is_said() {
    let daemon = Daemon::stopped(|_| Answer::HangUp);
    let socket = daemon.socket();
    tokenkeep(&daemon, "status").fails(
        2,
        &format!(
            "error: no daemon answers (entity not found) at {}\n\
             mend: start it (systemctl start tokenkeepd), or name its socket with --socket or TOKENKEEP_ADMIN\n",
            socket.display()
        ),
    );
    let json = tokenkeep(&daemon, "status --output json");
    assert_eq!(json.exit, 2);
    let error: serde_json::Value = serde_json::from_str(&json.err).unwrap();
    assert_eq!(error["error"]["code"], "no_daemon");
}

#[test]
fn the_environment_names_the_socket() {
    let daemon = Daemon::start(|_| Answer::Json(200, r#"{"items":[],"next":null}"#.into()));
    let url = format!("unix://{}", daemon.socket().display());
    let told = finish(program("org list --output json").env("TOKENKEEP_ADMIN", url), b"");
    told.is("{\"items\":[],\"next\":null}\n");
    let told = finish(program("org list").env("TOKENKEEP_ADMIN", "http://127.0.0.1"), b"");
    told.fails(
        64,
        "error: TOKENKEEP_ADMIN is not a Unix socket\nmend: write it as unix:///run/tokenkeep/admin.sock\n",
    );
}

#[test]
fn errors_of_the_daemon_say_what_to_do_and_whose_fault_it_is() {
    let daemon = Daemon::start(|asked| match asked.nth {
        1 | 2 => problem("not_found", 404, "there is no such org"),
        3 => problem("integrity", 500, "the record does not open"),
        4 => problem("audit_unavailable", 503, "the log cannot be written"),
        5 => problem("rate_limited", 429, "too many requests"),
        6 => problem("of_tomorrow", 418, "something new"),
        _ => Answer::Raw(b"nonsense\r\n".to_vec()),
    });
    let told = tokenkeep(&daemon, "org show acme");
    told.fails(
        1,
        "error: there is no such org (request r-1)\nmend: see what there is with the list command\n",
    );
    let told = tokenkeep(&daemon, "org show acme --output json");
    told.fails(
        1,
        "{\"error\":{\"code\":\"not_found\",\"detail\":\"there is no such org\",\
         \"mend\":\"see what there is with the list command\",\"request_id\":\"r-1\"}}\n",
    );
    for (exit, word) in
        [(2, "audit verify"), (2, "audit directory"), (1, "run it again"), (1, "same request id")]
    {
        let told = tokenkeep(&daemon, "org show acme");
        assert_eq!(told.exit, exit, "{}", told.err);
        assert!(told.err.contains(word), "{}", told.err);
    }
    let told = tokenkeep(&daemon, "org show acme");
    assert_eq!(told.exit, 2);
    assert!(told.err.contains("it is not HTTP\nmend: see that the socket is tokenkeepd's"), "{}", told.err);
}

#[test]
fn a_write_whose_answer_is_lost_may_have_happened() {
    let daemon = Daemon::start(|_| Answer::HangUp);
    let told = tokenkeep(&daemon, "org create acme");
    assert_eq!(told.exit, 2);
    assert!(
        told.err.contains("if this was a write, it may have been carried out\nmend: if it was, see whether"),
        "{}",
        told.err
    );
    assert_eq!(daemon.asked().len(), 1);
}

#[test]
fn a_reader_that_goes_away_is_no_failure_and_hides_none() {
    let broken = r#"{"intact":false,"entries":1,"files":1,"break":null}"#;
    let daemon = Daemon::start(move |asked| {
        Answer::Json(200, if asked.nth == 1 { r#"{"items":[],"next":null}"# } else { broken }.into())
    });
    for (line, exit) in [("org list", 0), ("audit verify", 1)] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = program(line);
        let output = command.arg("--socket").arg(daemon.socket()).stdout(writer).output().unwrap();
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(exit), b"".as_slice()), "{line}");
    }
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = program("key generate").stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "a key that was not written must not seem so");
}
