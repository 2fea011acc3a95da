//! `import`.

use crate::kit::{Answer, Asked, Daemon};
use crate::{Told, finish, program, tokenkeep, tokenkeep_with};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

/// The key and the token of the Fernet spec's generate.json, whose plaintext is "hello"; its key has this id.
const KEY: &str = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=";
const TOKEN: &str =
    "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA==";

/// Answers every item with what `settle` says of its name.
fn daemon(settle: impl Fn(&str) -> Value + Send + Sync + 'static) -> Daemon {
    Daemon::start(move |asked| {
        if asked.line == "GET /readyz" {
            return Answer::Json(200, String::new());
        }
        let items = body(asked)["items"].as_array().unwrap().clone();
        let results: Vec<Value> = items.iter().map(|item| settle(item["name"].as_str().unwrap())).collect();
        Answer::Json(200, json!({ "created_orgs": ["acme"], "results": results }).to_string())
    })
}

fn created(_: &str) -> Value {
    json!({ "outcome": "created", "generation": 1 })
}

fn body(asked: &Asked) -> Value {
    assert_eq!(asked.line, "POST /admin/v1/import");
    serde_json::from_str(&asked.body).unwrap()
}

fn key_file(daemon: &Daemon) -> String {
    let path = daemon.directory().join("fernet.keys");
    let other = fernet::Fernet::generate_key();
    fs::write(&path, format!("# newest first\n{other}\n{KEY}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path.display().to_string()
}

fn import(daemon: &Daemon, options: &str, rows: &str) -> Told {
    let line = format!("import - --key-file {} {options}", key_file(daemon));
    tokenkeep_with(daemon, &line, rows.as_bytes())
}

/// The document of an import, with its exit code.
fn documented(daemon: &Daemon, options: &str, rows: &str) -> (i32, Value) {
    let told = import(daemon, &format!("{options} --output json"), rows);
    (told.exit, serde_json::from_str(&told.out).unwrap_or_else(|_| panic!("{}", told.err)))
}

#[test]
fn rows_are_opened_here_and_sent_in_the_clear_over_the_socket() {
    let daemon = daemon(created);
    let rows = format!(
        "org,provider,name,access_token,refresh_token,expires_in,scopes,labels\n\
         acme,github,a,{TOKEN},b'{TOKEN}',3600,repo user,\"{{\"\"team\"\":\"\"core\"\"}}\"\n\
         acme,github,b,{TOKEN},,,,\n"
    );
    let told = import(&daemon, "--format csv --dry-run --create-orgs", &rows);
    let out = told.out.lines().collect::<Vec<_>>();
    assert_eq!(told.exit, 0, "{}", told.err);
    assert_eq!(out[0], "dry run: nothing was written; this is what an import would do");
    assert_eq!(out[1], "rows        2, 1 with a refresh token");
    assert_eq!(
        out[2..7],
        ["created     2", "replaced    0", "unchanged   0", "wrong       0", "orgs        1 created"]
    );
    assert!(out[7].ends_with(" opened 0") && out[8].ends_with(" opened 3"), "{out:?}");
    assert_eq!(out[9..], ["acme github: 2 rows, 2 created"]);
    assert!(told.err.starts_with("note: 2 rows in "), "{}", told.err);

    let sent = body(&daemon.asked()[1]);
    assert_eq!(sent["terms"], json!({"mode": "dry_run", "different": "refuse", "missing_org": "create"}));
    // Sealed at 1985-10-26T08:20:00Z, which is when the hour of `expires_in` begins.
    let tokens = json!({
        "access_token": "hello", "refresh_token": "hello", "expires_at": "1985-10-26T09:20:00Z",
        "scopes": ["repo", "user"], "labels": {"team": "core"},
    });
    assert_eq!(sent["items"][0], json!({"org": "acme", "provider": "github", "name": "a", "tokens": tokens}));
    assert_eq!(sent["items"][1]["tokens"], json!({"access_token": "hello"}));
}

#[test]
fn json_lines_give_the_same_as_csv_under_names_of_their_own() {
    let daemon = daemon(created);
    let hex: String = TOKEN.bytes().map(|byte| format!("{byte:02x}")).collect();
    let row = json!({"tenant": "acme", "token": format!("\\x{hex}"), "until": "2031-01-02 03:04:05+00", "scope": ["a"]});
    let options = "--format jsonl --org-field tenant --provider github --name main --access-token-field token \
                   --expires-at-field until --scopes-field scope --replace-different";
    let (exit, document) = documented(&daemon, options, &format!("{row}\n\n"));
    assert_eq!((exit, &document["created"], &document["wrong_rows"]), (0, &json!(1), &json!([])));
    let sent = body(&daemon.asked()[1]);
    assert_eq!(sent["terms"], json!({"mode": "write", "different": "replace", "missing_org": "refuse"}));
    let tokens = json!({"access_token": "hello", "expires_at": "2031-01-02T03:04:05Z", "scopes": ["a"]});
    assert_eq!(
        sent["items"],
        json!([{"org": "acme", "provider": "github", "name": "main", "tokens": tokens}])
    );
}

/// What Authlib and its like keep: one ciphertext with everything in it.
#[test]
fn a_whole_token_set_may_be_sealed_as_one() {
    let daemon = daemon(created);
    let fernet = fernet::Fernet::new(KEY).unwrap();
    let row = |name: &str, plaintext: &str| json!({"org": "acme", "name": name, "blob": fernet.encrypt(plaintext.as_bytes()), "expires_at": null});
    let whole = r#"{"access_token":"at","refresh_token":"rt","id_token":"it","token_type":"bearer","expires_in":3600,"expires_at":1795284000.7,"scope":"a,b"}"#;
    let mut said_beside = row("c", r#"{"access_token":"at","scope":"a"}"#);
    said_beside["scopes"] = json!(["beside"]);
    let rows = [
        row("a", whole),
        row("b", r#"{"access_token":"at","refreshToken":"canary"}"#),
        said_beside,
        row("d", r#"["at"]"#),
        row("e", "gho_bare"),
    ];
    let rows = rows.map(|row| row.to_string() + "\n").concat();
    let options = "--format jsonl --provider github --token-set-field blob --scope-separator ,";
    let (exit, document) = documented(&daemon, options, &rows);
    let wrong: Vec<_> =
        document["wrong_rows"].as_array().unwrap().iter().map(|row| row["code"].clone()).collect();
    assert_eq!((exit, wrong), (1, vec![json!("unknown_field"), json!("plaintext"), json!("plaintext")]));
    let items = body(&daemon.asked()[1])["items"].clone();
    assert_eq!(
        items[0]["tokens"],
        json!({
            "access_token": "at", "refresh_token": "rt", "id_token": "it", "token_type": "bearer",
            "expires_at": "2026-11-21T18:00:00Z", "scopes": ["a", "b"],
        })
    );
    assert_eq!(items[1]["tokens"], json!({"access_token": "at", "scopes": ["beside"]}));
    // The other way round: an object is not taken for a token.
    let row = row("a", whole).to_string().replace("blob", "access_token");
    let (_, document) = documented(&daemon, "--format jsonl --provider github", &row);
    assert_eq!(document["wrong_rows"][0]["code"], "plaintext");
}

#[test]
fn fields_in_the_clear_follow_their_rules() {
    let daemon = daemon(created);
    let with = |field: &str, value: Value| {
        let mut row = json!({"org": "acme", "provider": "github", "name": "a", "access_token": TOKEN});
        row[field] = value;
        row.to_string()
    };
    for (row, code) in [
        (with("expires_at", json!("2031-01-02 03:04:05")), "expires_at"),
        (with("expires_at", json!(1_795_284_000_000_u64)), "expires_at"),
        (with("expires_in", json!("soon")), "expires_in"),
        (with("scopes", json!("{a,b}")), "scopes"),
        (with("scopes", json!([1])), "scopes"),
        (with("labels", json!({"a": 1})), "labels"),
        (with("labels", json!("a")), "labels"),
        (with("token_type", json!(1)), "wrong_kind"),
        (with("access_token", json!({"a": 1})), "wrong_kind"),
        (with("access_token", json!("\\x8000")), "binary_token"),
        (with("access_token", json!("=")), "not_fernet"),
        (with("name", json!("../a")), "name"),
        (with("provider", json!("GitHub")), "provider"),
    ] {
        let (exit, document) = documented(&daemon, "--format jsonl", &row);
        let wrong = &document["wrong_rows"];
        assert_eq!((exit, &wrong[0]["line"], &wrong[0]["code"]), (1, &json!(1), &json!(code)), "{row}");
    }
    assert!(daemon.asked().iter().all(|asked| asked.line == "GET /readyz"));
    let row = with("expires_at", json!("2031-01-02 03:04:05"));
    assert_eq!(documented(&daemon, "--format jsonl --assume-utc", &row).0, 0);
    let row = with("issued_at", json!("2026-11-21 18:00:00+00")).replace('{', r#"{"expires_in":60,"#);
    assert_eq!(documented(&daemon, "--format jsonl", &row).0, 0);
    let sent = body(daemon.asked().last().unwrap());
    assert_eq!(sent["items"][0]["tokens"]["expires_at"], "2026-11-21T18:01:00Z");
}

#[test]
fn wrong_rows_are_listed_by_line_and_never_quoted() {
    let daemon = daemon(|name| match name {
        "taken" => json!({ "problem": problem("already_exists", 409) }),
        "gone" => json!({ "problem": problem("not_found", 404) }),
        _ => created(name),
    });
    let damaged = TOKEN.replace("021", "022");
    let row = |org: &str, name: &str, token: &str| json!({"org": org, "provider": "github", "name": name, "access_token": token});
    let mut both = row("acme", "x", TOKEN).to_string();
    both.insert_str(1, "\"org\":\"canary\",");
    let lines = [
        row("acme", "good", TOKEN).to_string(),
        row("acme", "canary", &damaged).to_string(),
        row("acme", "canary", "canary").to_string(),
        row("-canary", "a", TOKEN).to_string(),
        row("acme", "", TOKEN).to_string(),
        "{canary".to_owned(),
        json!({"org": "acme", "canary": 1}).to_string(),
        both,
        row("acme", "good", TOKEN).to_string(),
        row("acme", "taken", TOKEN).to_string(),
        row("acme", "gone", TOKEN).to_string(),
        row("acme", "canary", "<memory at 0x7f0canary>").to_string(),
    ];
    let told = import(&daemon, "--format jsonl", &(lines.join("\n") + "\n"));
    assert_eq!(told.exit, 1);
    let heads =
        told.out.lines().take(11).map(|line| line.splitn(3, ": ").take(2).collect::<Vec<_>>().join(" "));
    let expected = [
        "line 2 no_key_opens",
        "line 3 not_fernet",
        "line 4 org",
        "line 5 missing_field",
        "line 6 not_json",
        "line 7 unknown_field",
        "line 8 repeated_field",
        "line 9 duplicate",
        "line 10 already_exists",
        "line 11 not_found",
        "line 12 python_buffer",
    ];
    assert_eq!(heads.collect::<Vec<_>>(), expected);
    assert!(told.out.contains("as line 1\n") && told.out.contains("; --replace-different replaces it\n"));
    assert!(told.out.contains("\nwrong       11\n"), "{}", told.out);
    assert!(!format!("{told:?}").contains("canary"), "{told:?}");
}

fn problem(code: &str, status: u16) -> Value {
    json!({"type": "about:blank", "title": "T", "status": status, "code": code, "detail": "D", "request_id": "r"})
}

#[test]
fn a_header_that_lacks_a_column_or_has_one_too_many_is_refused() {
    let daemon = daemon(created);
    for (options, rows, word) in [
        ("", "org,provider,name\n", "no column for access_token; --access-token-field names it"),
        ("", "org,provider,name,access_token,refreshtoken\n", "no option names column 5 of the header"),
        ("", "org,provider,name,access_token,org\n", "column 5 of the header has the name of another"),
        ("--expires-at-field until", "org,provider,name,access_token\n", "no column for expires_at"),
        ("", "", "there is no header"),
    ] {
        let told = import(&daemon, &format!("--format csv {options}"), rows);
        assert_eq!((told.exit, told.out.as_str()), (64, ""), "{rows}");
        assert!(told.err.contains(word) && told.err.contains("\nmend: "), "{}", told.err);
    }
    assert!(daemon.asked().iter().all(|asked| asked.line == "GET /readyz"));
}

#[test]
fn a_table_that_ends_in_the_middle_of_a_row_does_not_bring_half_of_it_in() {
    let daemon = daemon(created);
    let whole = format!(
        "org,provider,name,access_token,scopes\nacme,github,a,{TOKEN},repo\nacme,github,b,{TOKEN},repo user"
    );
    let (exit, document) = documented(&daemon, "--format csv", &whole);
    assert_eq!((exit, &document["created"]), (1, &json!(1)));
    assert_eq!(
        (&document["wrong_rows"][0]["line"], &document["wrong_rows"][0]["code"]),
        (&json!(3), &json!("cut_off"))
    );
    let endless = format!("org,provider,name,access_token\nacme,github,\"{}", "a".repeat(2 << 20));
    let told = import(&daemon, "--format csv", &endless);
    assert!(told.exit == 1 && told.err.contains("is not CSV from line 2 on"), "{}", told.err);
}

#[test]
fn a_key_list_that_others_can_read_or_that_is_none_is_refused() {
    let daemon = daemon(created);
    let keys = key_file(&daemon);
    let line = format!("import rows.csv --key-file {keys}");
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o640)).unwrap();
    let told = tokenkeep(&daemon, &line);
    assert!(told.exit == 1 && told.err.contains("has mode 0640"), "{}", told.err);
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&keys, format!("{KEY}\ncanary\n")).unwrap();
    let told = tokenkeep(&daemon, &line);
    assert!(told.exit == 1 && told.err.contains("line 2 is not a Fernet key"), "{}", told.err);
    assert!(!told.err.contains("canary"));
    let told = tokenkeep(&daemon, &line.replace(".csv", ""));
    assert!(told.exit == 64 && told.err.contains("say --format csv or --format jsonl"), "{}", told.err);
}

#[test]
fn a_daemon_that_cannot_store_ends_the_import_and_the_way_on_is_said() {
    let daemon = daemon(|name| match name {
        "full" => json!({ "problem": problem("storage_full", 507) }),
        _ => created(name),
    });
    let rows = format!("org,provider,name,access_token\nacme,github,a,{TOKEN}\nacme,github,full,{TOKEN}\n");
    let told = import(&daemon, "--format csv", &rows);
    assert_eq!(told.exit, 2);
    assert!(told.err.contains("make room on the file system"), "{}", told.err);
    assert!(told.err.contains("run the same command again to go on"), "{}", told.err);
    let stopped = Daemon::stopped(|_| Answer::HangUp);
    let told = import(&stopped, "--format csv", &rows);
    assert!(told.exit == 2 && told.err.contains("no daemon answers"), "{}", told.err);
}

#[test]
fn an_interrupt_ends_it_after_what_is_under_way() {
    let daemon = daemon(created);
    let line = format!("import - --format csv --key-file {} --output json", key_file(&daemon));
    let mut command = program(&line);
    command
        .arg("--socket")
        .arg(daemon.socket())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    writeln!(input, "org,provider,name,access_token").unwrap();
    for at in 0..1500 {
        writeln!(input, "acme,github,c{at},{TOKEN}").unwrap();
    }
    while !daemon.asked().iter().any(|asked| asked.line.starts_with("POST")) {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let pid = nix::unistd::Pid::from_raw(child.id().try_into().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    let mut out = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut out).unwrap();
    let told = child.wait_with_output().unwrap();
    let document: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&document["rows"], &document["created"]), (&json!(1000), &json!(1000)));
    assert_eq!((&document["interrupted"], &document["last_line"]), (&json!(true), &json!(1001)));
    let error = String::from_utf8(told.stderr).unwrap();
    assert!(
        error.contains("interrupted after line 1001") && error.contains("run the same command again"),
        "{error}"
    );
    assert_eq!(told.status.code(), Some(1));
    drop(input);
}

#[test]
fn a_secret_given_as_an_argument_is_not_repeated() {
    let daemon = daemon(created);
    let told = finish(
        program("import rows.csv --key-file k --key sk_canary").arg("--socket").arg(daemon.socket()),
        b"",
    );
    assert!(told.exit == 64 && !told.err.contains("canary"), "{}", told.err);
}
