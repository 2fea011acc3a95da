//! `key`.

use crate::kit::{Answer, Daemon, problem};
use crate::tokenkeep;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

fn keys(remaining: u64, rotating: bool, error: Option<&str>) -> String {
    let error = error.map_or("null".into(), |error| format!("\"{error}\""));
    format!(
        r#"{{"root_keys":[{{"id":"new","primary":true,"org_keys":{},"system_key":true}},{{"id":"old","primary":false,"org_keys":{remaining},"system_key":false}}],"remaining":{remaining},"rotating":{rotating},"rotation_error":{error},"org_rotation":{}}}"#,
        5 - remaining,
        org_rotation(false, 0, 0, None)
    )
}

fn org_rotation(running: bool, found: u64, done: u64, error: Option<&str>) -> String {
    let error = error.map_or("null".into(), |error| format!("\"{error}\""));
    format!(
        r#"{{"running":{running},"new_keys":1,"found":{found},"done":{done},"records_per_second":5000,"error":{error}}}"#
    )
}

/// As [`keys`], while the keys of orgs are replaced.
fn rotating_orgs(running: bool, done: u64, error: Option<&str>) -> String {
    keys(0, false, None).replace(&org_rotation(false, 0, 0, None), &org_rotation(running, 40, done, error))
}

fn org_keys(earlier: u64) -> String {
    format!(
        r#"{{"current_records":{},"earlier_records":{earlier},"keys":[{{"org":"acme","id":"0123456789abcdef","state":"former","former_since":"2026-11-22T08:00:00Z","records":{earlier},"backup_records":3,"backup_sets":2,"in_backups_until":"2026-12-22T08:00:00Z"}}],"earlier_keys":1,"rotation":{},"backups":{{"sets":4,"uncounted_sets":1,"oldest_set":"a","root_keys":[{{"id":"older","listed":false,"sets":2,"last_set":"b","until":"2026-12-22T08:00:00Z"}}],"error":null}}}}"#,
        40 - earlier,
        org_rotation(false, 40, 40 - earlier, None)
    )
}

const ORG_KEYS: &str = "\
org acme key 0123456789abcdef (former since 2026-11-22T08:00:00Z): 2 records, 3 in kept backups (2 sets) until 2026-12-22T08:00:00Z
records under current org keys: 38, under earlier ones: 2
root key older is needed by 2 kept sets, and is not on the key list; the last of them, b, goes on 2026-12-22T08:00:00Z or later
1 of 4 kept sets do not say what is under which org key: each counts for every key
";

const ROTATED: &str = "\
root key new (primary): 5 org keys, the system key
root key old (older): 0 org keys
left to rotate: 0
";

fn is_key(text: &str) -> bool {
    text.len() == 44
        && text.ends_with('=')
        && !text[..43].contains(|c: char| !c.is_ascii_alphanumeric() && !"-_".contains(c))
}

#[test]
fn a_key_is_printed_once_and_never_the_same() {
    let daemon = Daemon::stopped(|_| Answer::HangUp);
    let (one, two) = (tokenkeep(&daemon, "key generate"), tokenkeep(&daemon, "key generate"));
    assert!(one.exit == 0 && is_key(one.out.strip_suffix('\n').unwrap()), "{one:?}");
    assert_ne!(one.out, two.out);
    let json: serde_json::Value =
        serde_json::from_str(&tokenkeep(&daemon, "key generate --output json").out).unwrap();
    assert!(is_key(json["key"].as_str().unwrap()));
}

#[test]
fn a_key_file_gets_a_new_first_line_and_loses_none() {
    let daemon = Daemon::stopped(|_| Answer::HangUp);
    let path = daemon.directory().join("root.key");
    let generate = format!("key generate --file {}", path.display());
    tokenkeep(&daemon, &generate).is(&format!("{}: new first key, 0 older\n", path.display()));
    let first = fs::read_to_string(&path).unwrap();
    assert!(is_key(first.strip_suffix('\n').unwrap()));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let link = daemon.directory().join("link");
    symlink(&path, &link).unwrap();
    let told = tokenkeep(&daemon, &format!("key generate --file {}", link.display()));
    assert_eq!(told.exit, 0);
    assert_eq!(
        told.err,
        "note: `tokenkeep key reload`, then `tokenkeep key rotate`\n".replace("note", "next")
    );
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    let second = fs::read_to_string(&path).unwrap();
    assert_eq!((second.lines().count(), second.lines().nth(1)), (2, first.lines().next()));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);

    let json = tokenkeep(&daemon, &format!("{generate} --output json"));
    json.is(&format!("{{\"file\":\"{}\",\"keys\":3}}\n", path.display()));
    assert!(fs::read_to_string(&path).unwrap().ends_with(&second));
    assert_eq!(fs::read_dir(daemon.directory()).unwrap().count(), 2, "nothing is left beside");
}

#[test]
fn a_file_that_is_no_key_list_is_left_alone() {
    let daemon = Daemon::stopped(|_| Answer::HangUp);
    let path = daemon.directory().join("file");
    let beside = daemon.directory().join(".file.new");
    let generate = format!("key generate --file {}", path.display());

    fs::write(&path, "[listen]\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let told = tokenkeep(&daemon, &generate);
    assert!(told.exit == 1 && told.err.contains("is not a key list"), "{}", told.err);
    assert_eq!(fs::read_to_string(&path).unwrap(), "[listen]\n");

    fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).unwrap();
    let told = tokenkeep(&daemon, &generate);
    assert!(told.exit == 1 && told.err.contains("is open to everybody"), "{}", told.err);
    assert!(!beside.exists());

    fs::write(&beside, "").unwrap();
    let told = tokenkeep(&daemon, &generate);
    assert!(told.exit == 1 && told.err.contains("is there already"), "{}", told.err);
    assert!(beside.exists(), "the file of another run stays");
}

#[test]
fn status_and_reload_show_what_each_key_wraps() {
    let daemon = Daemon::start(|asked| match asked.line.as_str() {
        "GET /admin/v1/keys/orgs" => Answer::Json(200, org_keys(2)),
        _ => Answer::Json(200, keys(2, false, Some("the disk is full"))),
    });
    let text = "\
root key new (primary): 3 org keys, the system key
root key old (older): 2 org keys
left to rotate: 2
the last rotation ended early: the disk is full
";
    tokenkeep(&daemon, "key status").is(&format!("{text}{ORG_KEYS}"));
    tokenkeep(&daemon, "key reload").is(text);
    let json = keys(2, false, Some("the disk is full"));
    let json = format!("{},\"org_keys\":{}}}\n", json.strip_suffix('}').unwrap(), org_keys(2));
    tokenkeep(&daemon, "key status --output json").is(&json);
    let lines: Vec<_> = daemon.asked().into_iter().map(|asked| asked.line).collect();
    let (read, orgs) = ("GET /admin/v1/keys", "GET /admin/v1/keys/orgs");
    assert_eq!(lines, [read, orgs, "POST /admin/v1/keys/reload", read, read, orgs]);
}

#[test]
fn new_org_keys_are_watched_until_nothing_is_under_the_old_ones() {
    let daemon = Daemon::start(|asked| match asked.nth {
        1 => Answer::Json(202, org_rotation(true, 0, 0, None)),
        2 => Answer::Json(200, rotating_orgs(true, 10, None)),
        3 => Answer::Json(200, rotating_orgs(false, 40, None)),
        _ => Answer::Json(200, org_keys(0)),
    });
    let told = tokenkeep(&daemon, "key rotate --all-orgs --rate 10000");
    let done = ORG_KEYS
        .replace("2 records", "0 records")
        .replace("38, under earlier ones: 2", "40, under earlier ones: 0");
    assert_eq!((told.exit, told.out), (0, done));
    assert_eq!(told.err, "rotating: 10 of 40 records done\n");
    let asked = daemon.asked();
    assert_eq!(asked[0].line, "POST /admin/v1/keys/orgs/rotate");
    assert_eq!(asked[0].body, r#"{"all":true,"records_per_second":10000}"#);
}

#[test]
fn new_org_keys_that_are_held_up_say_why() {
    let daemon = Daemon::start(|asked| match asked.nth {
        1 => Answer::Json(202, org_rotation(true, 40, 0, None)),
        _ => Answer::Json(200, rotating_orgs(false, 10, Some("integrity: 1 records do not open"))),
    });
    let told = tokenkeep(&daemon, "key rotate --org acme");
    assert_eq!((told.exit, told.out.as_str()), (2, ""));
    let error = "error: the rotation ended early: integrity: 1 records do not open\nmend: nothing is lost";
    assert!(told.err.contains(error), "{}", told.err);
    assert_eq!(daemon.asked()[0].body, r#"{"org":"acme","all":false}"#);
    let told = tokenkeep(&daemon, "key rotate --rate 5");
    assert_eq!(told.exit, 64, "{}", told.err);
}

#[test]
fn a_key_is_retired_and_destroyed_only_on_a_yes() {
    let daemon = Daemon::start(|asked| match asked.nth {
        1 => Answer::Json(200, r#"{"id":"0123456789abcdef","org":"acme","state":"retired"}"#.into()),
        2 => Answer::Json(200, r#"{"id":"0123456789abcdef","org":null,"state":"unneeded"}"#.into()),
        _ => Answer::Json(200, r#"{"id":"0123456789abcdef","org":"acme","state":"destroyed"}"#.into()),
    });
    let retire = "key retire 0123456789abcdef";
    tokenkeep(&daemon, retire).is("key 0123456789abcdef of org acme opens ciphertexts and nothing else\n");
    tokenkeep(&daemon, retire)
        .is("nothing needs root key 0123456789abcdef: take it off the list, then `tokenkeep key reload`\n");
    let told = tokenkeep(&daemon, &format!("{retire} --destroy"));
    assert_eq!(told.exit, 64, "{}", told.err);
    assert_eq!(daemon.asked().len(), 2, "nothing is asked without a yes");
    tokenkeep(&daemon, &format!("{retire} --destroy --yes"))
        .is("key 0123456789abcdef of org acme is destroyed\n");
    assert_eq!(daemon.asked()[2].body, r#"{"id":"0123456789abcdef","destroy":true}"#);
}

#[test]
fn a_rotation_is_watched_to_its_end() {
    let daemon = Daemon::start(|asked| match asked.nth {
        1 => Answer::Json(200, keys(4, false, None)),
        2 => Answer::Json(202, "{}".into()),
        3 => Answer::Json(200, keys(3, true, None)),
        4 => Answer::Json(200, keys(1, true, None)),
        _ => Answer::Json(200, keys(0, false, None)),
    });
    let told = tokenkeep(&daemon, "key rotate");
    assert_eq!((told.exit, told.out.as_str()), (0, ROTATED));
    assert_eq!(told.err, "rotating: 1 of 4 keys done\n");
    let lines: Vec<_> = daemon.asked().into_iter().map(|asked| asked.line).collect();
    assert_eq!(lines[1], "POST /admin/v1/keys/rotate");
    assert_eq!(lines.len(), 5);
    // Again, with nothing left to do.
    tokenkeep(&daemon, "key rotate --output json").is(&format!("{}\n", keys(0, false, None)));
}

#[test]
fn a_rotation_that_runs_already_is_watched() {
    let daemon = Daemon::start(|asked| match asked.nth {
        1 | 3 => Answer::Json(200, keys(4, true, None)),
        2 => problem("conflict", 409, "a rotation runs"),
        _ => Answer::Json(200, keys(0, false, None)),
    });
    let told = tokenkeep(&daemon, "key rotate");
    assert_eq!((told.exit, told.out.as_str()), (0, ROTATED));
}

#[test]
fn a_rotation_that_ends_early_says_how_to_go_on() {
    let daemon = Daemon::start(|asked| match asked.nth {
        1 => Answer::Json(200, keys(4, false, None)),
        2 | 5 => Answer::Json(202, "{}".into()),
        3 => Answer::Json(200, keys(2, false, Some("the disk is full"))),
        _ => Answer::Json(200, keys(2, false, None)),
    });
    let mend =
        "mend: nothing is lost, old and new root key both open; run `tokenkeep key rotate` again to go on\n";
    for why in ["the disk is full", "the daemon may have been restarted"] {
        let told = tokenkeep(&daemon, "key rotate");
        assert_eq!((told.exit, told.out.as_str()), (2, ""));
        let error = format!("error: the rotation ended with 2 keys left: {why}\n{mend}");
        assert!(told.err.ends_with(&error), "{}", told.err);
    }
}
