//! The house rules that the compiler cannot hold: arrows point down, each tool stays in its room, each file
//! says what it is for, and secrets leave their types only in the files that may let them.
//!
//! Each finding names file and line and says what to do.
#![allow(clippy::expect_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};

/// Layers from top to bottom. A layer may import what stands below it; rooms on one floor do not know each other.
const FLOORS: &[&[&str]] = &[
    &["bin"],
    &["doorman", "egress"],
    &["daemon", "cli"],
    &["transport"],
    &["service"],
    &["vault"],
    &["audit", "metrics"],
    &["domain"],
    &["store"],
    &["crypto"],
    &["net"],
    &["chain", "clock", "digits", "lacking", "os", "room"],
];

/// Crates that only these layers may use.
const ROOMS: &[(&str, &str)] = &[
    ("aes", "crypto"),
    ("aws_credential_types", "crypto"),
    ("aws_lc_rs", "crypto"),
    ("aws_lc_rs", "net"),
    ("aws_sigv4", "crypto"),
    ("cbc", "crypto"),
    ("clap_complete", "cli"),
    ("csv", "cli"),
    ("fernet", "crypto"),
    ("getrandom", "crypto"),
    ("hmac", "crypto"),
    ("hyper", "net"),
    ("hyper", "transport"),
    ("hyper_util", "net"),
    ("hyper_util", "transport"),
    ("indicatif", "cli"),
    ("landlock", "os"),
    ("libc", "os"),
    ("libc", "room"),
    ("mimalloc", "os"),
    ("nix", "os"),
    ("prometheus_client", "metrics"),
    ("psm", "room"),
    ("rustls", "net"),
    ("seccompiler", "os"),
    ("sd_notify", "os"),
    ("sha2", "crypto"),
    ("sled", "store"),
    ("subtle", "crypto"),
    ("tokio_rustls", "net"),
    ("toml", "daemon"),
    ("tracing_journald", "daemon"),
    ("tracing_subscriber", "daemon"),
    ("webpki", "net"),
];

/// Files in which a secret may leave its type, each with its reason.
const MAY_EXPOSE: &[(&str, &str)] = &[
    ("cli/import/item.rs", "what was sealed becomes an item of an import"),
    ("cli/key.rs", "a new root key is printed where the admin asks for it"),
    ("cli/key_file.rs", "a new root key is written where the admin wants it"),
    ("crypto/age/tests.rs", "compares a key with what it was made of"),
    ("crypto/key.rs", "its tests read what was generated"),
    ("crypto/key_list.rs", "its tests write key lists"),
    ("crypto/multi_fernet.rs", "its tests compare what opens"),
    ("crypto/seal/tests.rs", "compares what was sealed with what opens"),
    ("crypto/wrap/tests.rs", "compares what was wrapped with what opens"),
    ("daemon/config/development.rs", "writes the root key of a development vault"),
    ("domain/identity.rs", "judges what an ID token says"),
    ("domain/refresh/answer.rs", "judges the text of tokens that a provider gave"),
    ("domain/token_set.rs", "judges the text of tokens"),
    ("service/oauth/token_request.rs", "writes tokens into the request that spends or revokes them"),
    ("transport/authorizations.rs", "judges the text of a code"),
    ("transport/secrets.rs", "writes answers"),
    ("transport/tokens.rs", "writes answers"),
    ("vault/authorizations.rs", "opens what was begun"),
    ("vault/ciphertexts.rs", "seals and opens what the application keeps"),
    ("vault/backup.rs", "seals the identity of a drill"),
    ("vault/connection_record.rs", "seals token sets, opens metadata"),
    ("vault/consents.rs", "opens consents"),
    ("vault/custody.rs", "seals the refresh token of a late answer"),
    ("vault/kept.rs", "opens how many records are under which key, in which no secret stands"),
    ("vault/note.rs", "opens its own notes"),
    ("vault/open_orgs.rs", "its tests make keys"),
    ("vault/orgs.rs", "opens metadata"),
    ("vault/outbox.rs", "opens events, in which no secret stands"),
    ("vault/passes.rs", "opens passes"),
    ("vault/retirement.rs", "opens the notes of keys, in which no secret stands"),
    ("vault/revocation_record.rs", "opens what is to be revoked"),
    ("vault/revocations.rs", "hands tokens over to be revoked"),
    ("vault/rotation.rs", "opens how far a rotation is, in which no secret stands"),
    ("vault/secrets.rs", "seals and opens secrets"),
    ("vault/tokens.rs", "splices answers from opened tokens"),
];

#[test]
fn the_house_is_in_order() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut findings = Vec::new();
    for file in sources(&root.join("src")) {
        let name = file.strip_prefix(root.join("src")).expect("below src").to_string_lossy().into_owned();
        findings.extend(judge(&name, &fs::read_to_string(&file).expect("readable")));
    }
    for file in sources(&root.join("clients/rust")) {
        let name = file.strip_prefix(root).expect("below the root").to_string_lossy().into_owned();
        findings.extend(judge_client(&name, &fs::read_to_string(&file).expect("readable")));
    }
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

#[test]
fn every_exception_is_still_needed() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (file, _) in MAY_EXPOSE {
        let text = fs::read_to_string(src.join(file)).unwrap_or_default();
        assert!(
            text.contains(".expose(") || text.contains("::expose"),
            "{file} exposes nothing: take it off the list"
        );
    }
}

#[test]
fn what_is_out_of_order_is_found() {
    let found = |file: &str, line: &str| judge(file, &format!("//! A file.\n{line}\n")).len();
    assert_eq!(found("store/mod.rs", "use crate::vault::Vault;"), 1, "an upward import");
    assert_eq!(found("vault/mod.rs", "use crate::store::Store;"), 0, "a downward import");
    assert_eq!(
        found("vault/mod.rs", "    let x = crate::transport::route::Route::Health;"),
        1,
        "an upward path"
    );
    assert_eq!(found("os/mod.rs", "use crate::clock::Clock;"), 1, "a neighbour");
    assert_eq!(found("vault/door.rs", "use super::super::transport::x;"), 1, "an upward import in disguise");
    assert_eq!(found("vault/mod.rs", "use sled::Db;"), 1, "sled outside the store");
    assert_eq!(found("store/index.rs", "use sled::Db;"), 0, "sled in the store");
    assert_eq!(found("audit/mod.rs", "    nix::unistd::getuid()"), 1, "nix outside os");
    assert_eq!(found("audit/mod.rs", "    token.expose()"), 1, "an exposed secret");
    assert_eq!(found("audit/mod.rs", "// see sled::Db and crate::vault"), 0, "a comment");
    assert_eq!(judge("audit/mod.rs", "use std::fs;\n").len(), 1, "no header");
    assert_eq!(judge("attic/mod.rs", "//! A file.\n").len(), 1, "a room without a floor");
    assert_eq!(judge_client("clients/rust/src/lib.rs", "//! A file.\nuse tokenkeep::vault;\n").len(), 1);
}

fn judge(file: &str, text: &str) -> Vec<String> {
    let room = file.split(['/', '.']).next().unwrap_or_default();
    let mut findings = headless(file, text);
    if room == "lib" {
        return findings;
    }
    let Some(floor) = floor_of(room) else {
        findings
            .push(format!("{file}:1: the layer `{room}` has no floor; give it one in tests/architecture.rs"));
        return findings;
    };
    let depth = file.trim_end_matches(".rs").trim_end_matches("/mod").split('/').count();
    for (number, line) in code(text) {
        for target in after(line, "crate::") {
            let allowed = target == room || floor_of(&target).is_some_and(|below| below > floor);
            if !allowed && floor_of(&target).is_some() {
                findings.push(format!(
                    "{file}:{number}: `{room}` imports `{target}`, which is not below it; move what is shared down, or the caller up"
                ));
            }
        }
        // `use super::*` in the tests at the end of a file of the lowest floor is that file.
        if line.contains(&"super::".repeat(depth)) && !line.contains("use super::*") {
            findings.push(format!("{file}:{number}: reaches out of its layer with super::; write crate::"));
        }
        for (tool, home) in ROOMS {
            if !is_home(tool, room) && uses(line, tool) {
                findings.push(format!(
                    "{file}:{number}: `{tool}` belongs into `{home}`; give `{home}` what you need"
                ));
            }
        }
        let exposes = line.contains(".expose(") || line.contains("::expose");
        if exposes && !MAY_EXPOSE.iter().any(|(may, _)| *may == file) {
            findings.push(format!(
                "{file}:{number}: a secret leaves its type; do it where it is listed, or list the reason"
            ));
        }
    }
    findings
}

fn is_home(tool: &str, room: &str) -> bool {
    ROOMS.iter().any(|(one, home)| *one == tool && *home == room)
}

fn judge_client(file: &str, text: &str) -> Vec<String> {
    let mut findings = headless(file, text);
    for (number, line) in code(text) {
        if line.contains("tokenkeep::") {
            findings.push(format!("{file}:{number}: the client imports nothing of the daemon"));
        }
    }
    findings
}

fn headless(file: &str, text: &str) -> Vec<String> {
    if text.starts_with("//!") {
        Vec::new()
    } else {
        vec![format!("{file}:1: says not what it is for; begin with //!")]
    }
}

fn floor_of(room: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&room))
}

/// Lines that are not comments, with their numbers.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let numbered = text.lines().enumerate().map(|(at, line)| (at + 1, line));
    numbered.filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// The words that follow `mark`.
fn after<'a>(line: &'a str, mark: &'a str) -> impl Iterator<Item = String> + 'a {
    let starts = line.match_indices(mark).filter(|(at, _)| !ends_in_word(&line[..*at]));
    starts.map(|(at, _)| {
        let rest = &line[at + mark.len()..];
        rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    })
}

fn uses(line: &str, tool: &str) -> bool {
    let path = format!("{tool}::");
    line.match_indices(&path).any(|(at, _)| !ends_in_word(&line[..at]))
}

/// Whether a path goes on from here: `dollar_crate::`, `a::nix::`.
fn ends_in_word(before: &str) -> bool {
    before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')
}

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}
