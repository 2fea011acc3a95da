//! `connection`.

use crate::kit::{Answer, Daemon};
use crate::{tokenkeep, tokenkeep_with};

const CONNECTION: &str = r#"{"provider":"github","name":"main","state":"active","reason":null,"since":null,"scopes":["repo","user"],"generation":8,"expires_at":null,"has_refresh_token":true,"created_at":"2026-11-21T18:00:00Z","refreshed_at":"2026-11-21T19:00:00Z","last_read_at":null,"labels":{"team":"core"},"forecast":{"ends_at":"2027-11-21T18:00:00Z","reason":"absolute_limit"}}"#;
const TEXT: &str = "\
connection     github/main
state          active
generation     8
scopes         repo user
refresh token  kept
expires        -
created        2026-11-21T18:00:00Z
refreshed      2026-11-21T19:00:00Z
last read      -
will end       2027-11-21T18:00:00Z (absolute_limit)
label          team=core
";
const TOKENS: &[u8] =
    br#"{"access_token":"at-canary","refresh_token":"rt-canary","expires_in":"3600","scope":"repo user","account":"u1"}"#;

#[test]
fn a_connection_is_shown_and_listed() {
    let daemon = Daemon::start(|asked| {
        let list = asked.line.contains("/connections?") || asked.line.ends_with("/connections");
        let body =
            if list { format!(r#"{{"items":[{CONNECTION}],"next":null}}"#) } else { CONNECTION.into() };
        Answer::Json(200, body)
    });
    tokenkeep(&daemon, "connection show acme github/main").is(TEXT);
    tokenkeep(&daemon, "connection show acme github/main --output json").is(&format!("{CONNECTION}\n"));
    let table = "\
CONNECTION   STATE   GENERATION  EXPIRES  REFRESHED
github/main  active  8           -        2026-11-21T19:00:00Z
";
    tokenkeep(&daemon, "connection list acme").is(table);
    tokenkeep(&daemon, "connection list acme --provider github --state needs_reauth --limit 1").is(table);
    assert_eq!(
        daemon.asked()[3].line,
        "GET /v1/orgs/acme/connections?provider=github&state=needs_reauth&limit=1"
    );
}

#[test]
fn what_will_end_is_listed_by_its_end_over_all_pages() {
    let one = |org: &str, ends: &str| {
        format!(
            r#"{{"org":"{org}","provider":"xero","name":"main","state":"active","forecast":{{"ends_at":"{ends}","reason":"absolute_limit"}},"last_read_at":null}}"#
        )
    };
    let daemon = Daemon::start(move |asked| {
        let (item, next) = if asked.line.contains("after=") {
            (one("beta", "2026-12-01T00:00:00Z"), "null")
        } else {
            (one("acme", "2026-12-02T00:00:00Z"), "\"ab\"")
        };
        Answer::Json(200, format!(r#"{{"items":[{item}],"next":{next}}}"#))
    });
    tokenkeep(&daemon, "connection expiring --within 36h --provider xero").is("\
ORG   CONNECTION  ENDS                  WHY             STATE   LAST READ
beta  xero/main   2026-12-01T00:00:00Z  absolute_limit  active  -
acme  xero/main   2026-12-02T00:00:00Z  absolute_limit  active  -
");
    let lines: Vec<String> = daemon.asked().into_iter().map(|asked| asked.line).collect();
    assert_eq!(
        lines,
        [
            "GET /admin/v1/expiring?within=129600&provider=xero",
            "GET /admin/v1/expiring?within=129600&provider=xero&after=ab"
        ]
    );
}

#[test]
fn a_token_set_is_read_from_stdin_or_a_file_and_never_shown() {
    let daemon = Daemon::start(|_| Answer::Json(200, CONNECTION.into()));
    tokenkeep_with(&daemon, "connection put acme github/main --if-generation 7", TOKENS).is(TEXT);
    let file = daemon.directory().join("tokens.json");
    std::fs::write(&file, TOKENS).unwrap();
    let line = format!("connection put acme github/main --if-absent --file {} --output json", file.display());
    tokenkeep(&daemon, &line).is(&format!("{CONNECTION}\n"));
    let asked = daemon.asked();
    assert_eq!(asked[0].line, "PUT /v1/orgs/acme/connections/github/main");
    assert_eq!(asked[0].header("if-match"), Some("\"7\""));
    assert_eq!(asked[1].header("if-none-match"), Some("*"));
    for asked in asked {
        assert_eq!(
            asked.body,
            r#"{"access_token":"at-canary","refresh_token":"rt-canary","expires_in":3600,"scope":"repo user","account":"u1"}"#
        );
    }
}

#[test]
fn a_token_set_that_cannot_be_read_is_not_sent_and_not_quoted() {
    let daemon = Daemon::start(|_| Answer::HangUp);
    for (tokens, what) in [
        (
            r#"{"access_token":"canary","refreshToken":"canary"}"#,
            "a field is unknown, missing or of the wrong kind",
        ),
        (r#"{"access_token":"canary","expires_in":"canary"}"#, "of the wrong kind (line 1, column 46)"),
        (r#"{"access_token":"canary""#, "it ends too early"),
        (r#"["canary"]"#, "it is a list and not an object"),
        ("canary", "it is not JSON"),
        ("", "the input is empty"),
    ] {
        let told = tokenkeep_with(&daemon, "connection put acme github/main", tokens.as_bytes());
        assert_eq!((told.exit, told.out.as_str()), (1, ""));
        assert!(told.err.contains(what) && told.err.contains("\nmend: "), "{}", told.err);
        assert!(!told.err.contains("canary"), "{}", told.err);
    }
    let large = vec![b' '; (64 << 10) + 1];
    let told = tokenkeep_with(&daemon, "connection put acme github/main", &large);
    assert_eq!(told.exit, 1);
    assert!(told.err.contains("more than 65536 bytes"), "{}", told.err);
    assert!(daemon.asked().is_empty());
}

/// Answers as providers document them, shortened.
#[test]
fn of_a_provider_s_answer_is_sent_what_a_token_set_has() {
    let daemon = Daemon::start(|_| Answer::Json(200, CONNECTION.into()));
    for (answer, sent) in [
        (
            r#"{"access_token":"at","expires_in":28800,"refresh_token":"rt","refresh_token_expires_in":15897600,"scope":"","token_type":"bearer"}"#,
            r#"{"access_token":"at","refresh_token":"rt","token_type":"bearer","expires_in":28800,"scope":""}"#,
        ),
        (
            r#"{"token_type":"Bearer","scope":"User.Read","expires_in":3599,"ext_expires_in":3599,"access_token":"at","id_token":"it"}"#,
            r#"{"access_token":"at","token_type":"Bearer","expires_in":3599,"scope":"User.Read","id_token":"it"}"#,
        ),
        (
            r#"{"ok":true,"access_token":"at","token_type":"bot","team":{"name":"T","id":"T1","access_token":"no"},"authed_user":{"id":"U1","scope":"chat:write","access_token":"no"},"is_enterprise_install":false}"#,
            r#"{"access_token":"at","token_type":"bot"}"#,
        ),
        (
            r#"{"token_type":"Bearer","expires_at":1795284000,"expires_in":20566,"refresh_token":"rt","access_token":"at","athlete":{"id":1}}"#,
            r#"{"access_token":"at","refresh_token":"rt","token_type":"Bearer","expires_at":"2026-11-21T18:00:00Z"}"#,
        ),
        (
            r#"{"access_token":"at","expires_in":14346.5,"scope":["user:edit","bits:read"],"account":{"id":1},"consent":"given","labels":["x"]}"#,
            r#"{"access_token":"at","expires_in":14346,"scope":["user:edit","bits:read"]}"#,
        ),
    ] {
        let command = "connection put acme github/main";
        let told = tokenkeep_with(&daemon, command, answer.as_bytes());
        assert_eq!((told.exit, told.out.as_str()), (1, ""), "{answer}");
        assert!(
            told.err.ends_with("; --as-issued leaves out what a provider's answer has beside them\n"),
            "{}",
            told.err
        );
        let before = daemon.asked().len();
        tokenkeep_with(&daemon, &format!("{command} --as-issued"), answer.as_bytes()).is(TEXT);
        assert_eq!(daemon.asked()[before].body, sent);
    }
    let before = daemon.asked().len();
    for answer in [
        r#"{"error":"canary","error_description":"canary"}"#,
        r#"{"access_token":"canary","access_token":"canary"}"#,
        r#"{"access_token":"canary","ext":"canary""#,
        r#"{"access_token":"canary"} {}"#,
        r#"{"access_token":"canary","expires_at":"canary"}"#,
        r#"{"access_token":"canary","expires_in":"canary"}"#,
        r#"{"access_token":"canary","scope":{"canary":1}}"#,
        r#"["canary"]"#,
    ] {
        let told = tokenkeep_with(&daemon, "connection put acme github/main --as-issued", answer.as_bytes());
        assert_eq!((told.exit, told.out.as_str()), (1, ""), "{answer}");
        assert!(told.err.starts_with("error: the token set cannot be read: "), "{}", told.err);
        assert!(!told.err.contains("canary") && !told.err.contains("--as-issued"), "{}", told.err);
    }
    assert_eq!(daemon.asked().len(), before);
}

#[test]
fn a_deletion_needs_a_yes() {
    let daemon = Daemon::start(|_| Answer::Json(200, r#"{"deleted":true,"revoked":false}"#.into()));
    let told = tokenkeep_with(&daemon, "connection delete acme github/main", b"y\n");
    told.fails(
        64,
        "error: Delete connection github/main of org acme, its tokens for good? Nobody is there to answer\n\
         mend: --yes answers in advance\n",
    );
    assert!(daemon.asked().is_empty());
    tokenkeep(&daemon, "connection delete acme github/main --yes")
        .is("deleted github/main, not revoked at the provider\n");
    tokenkeep(&daemon, "connection delete acme github/main --yes --output json")
        .is("{\"deleted\":true,\"revoked\":false}\n");
    assert_eq!(daemon.asked()[0].line, "DELETE /v1/orgs/acme/connections/github/main");
}

#[test]
fn a_release_says_what_it_is_about_and_goes_on_to_the_end() {
    let daemon = Daemon::start(|asked| {
        let next = if asked.body.contains("after") { "null" } else { r#""0a""# };
        Answer::Json(200, format!(r#"{{"released":2,"next":{next}}}"#))
    });
    tokenkeep(&daemon, "connection release acme --all --provider github").fails(
        64,
        "error: Release all connections of provider github of org acme? No other daemon may refresh them any more. \
         Nobody is there to answer\nmend: --yes answers in advance\n",
    );
    assert!(daemon.asked().is_empty());
    tokenkeep(&daemon, "connection release acme --all --provider github --yes").is("4 released\n");
    let asked = daemon.asked();
    assert_eq!(asked[0].line, "POST /admin/v1/connections/release");
    assert_eq!(asked[0].body, r#"{"org":"acme","provider":"github","all":true}"#);
    for wrong in
        ["connection release", "connection release acme", "connection release acme github/main --all"]
    {
        assert_eq!(tokenkeep(&daemon, wrong).exit, 64, "{wrong}");
    }
    assert_eq!(daemon.asked().len(), 2);
}
