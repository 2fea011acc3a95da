//! `key`.

use crate::kit::{Answer, Daemon, problem};
use crate::tokenkeep;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

fn keys(remaining: u64, rotating: bool, error: Option<&str>) -> String {
    let error = error.map_or("null".into(), |error| format!("\"{error}\""));
    format!(
        r#"{{"root_keys":[{{"id":"new","primary":true,"org_keys":{},"system_key":true}},{{"id":"old","primary":false,"org_keys":{remaining},"system_key":false}}],"remaining":{remaining},"rotating":{rotating},"rotation_error":{error}}}"#,
        5 - remaining
    )
}

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
    let daemon = Daemon::start(|_| Answer::Json(200, keys(2, false, Some("the disk is full"))));
    let text = "\
root key new (primary): 3 org keys, the system key
root key old (older): 2 org keys
left to rotate: 2
the last rotation ended early: the disk is full
";
    tokenkeep(&daemon, "key status").is(text);
    tokenkeep(&daemon, "key reload").is(text);
    let json = format!("{}\n", keys(2, false, Some("the disk is full")));
    tokenkeep(&daemon, "key status --output json").is(&json);
    let lines: Vec<_> = daemon.asked().into_iter().map(|asked| asked.line).collect();
    let read = "GET /admin/v1/keys";
    assert_eq!(lines, [read, "POST /admin/v1/keys/reload", read, read]);
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
