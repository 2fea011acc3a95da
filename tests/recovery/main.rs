//! Recovery without tokenkeep: a Python script with `cryptography`, the root key list, `vault.json` and the journal
//! give back everything that the daemon would have served.
//!
//! `TOKENKEEP_TEST_PYTHON` is a Python that has `cryptography`; without it, `python3`.
//!
//! Nothing of tokenkeep takes part in the decryption: the script is the second reader that the formats have.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "../crash/daemon.rs"]
mod daemon;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use daemon::{Line, Place};
use serde_json::{Value, json};

const GITHUB: &str = "/v1/orgs/acme/connections/github";

#[test]
fn a_script_with_the_root_key_recovers_everything() {
    let scratch = tempfile::tempdir().unwrap();
    let copy = scratch.path().join("copy");
    let place = Place::new(scratch.path());
    let daemon = place.start().unwrap();
    let mut line = daemon.application();
    fill(&mut line);
    begin_to_rotate_org_keys(&mut daemon.admin());
    rotate_root_key(&place, &mut daemon.admin());
    fill_after_rotation(&mut line);
    let served = served(&mut line, &mut daemon.admin());
    daemon.kill();
    copy_what_is_needed(&place, &copy);

    let output = recover(&copy);
    assert_everything_is_in(&output, &served);
    assert_previous_refresh_tokens(&output);
}

/// Where the first segments are gone, a snapshot holds what was in them.
#[test]
fn a_script_recovers_everything_from_a_snapshot_and_the_journal_after_it() {
    let scratch = tempfile::tempdir().unwrap();
    let copy = scratch.path().join("copy");
    let place = Place::new(scratch.path());
    place.start().unwrap().kill();
    let daemon = place.start().unwrap();
    let mut line = daemon.application();
    fill(&mut line);
    let first = place.state().join("journal/00000000000000000001.journal");
    let began = std::time::Instant::now();
    while first.exists() {
        assert!(began.elapsed().as_secs() < 60, "the first segment is never removed\n{}", place.last_words());
        line.done("PUT", "/v1/orgs/acme/secrets/large", &json!({ "value": "v".repeat(65_536) }));
    }
    rotate_root_key(&place, &mut daemon.admin());
    fill_after_rotation(&mut line);
    let served = served(&mut line, &mut daemon.admin());
    daemon.kill();
    copy_what_is_needed(&place, &copy);
    assert_everything_is_in(&recover(&copy), &served);
    // Without the index the daemon stands on the same two.
    fs::remove_dir_all(place.state().join("index")).unwrap();
    let daemon = place.start().unwrap();
    let again = self::served(&mut daemon.application(), &mut daemon.admin());
    assert_eq!(again, served);
    daemon.kill();
    // And no script guesses where the snapshots are gone.
    fs::remove_dir_all(copy.join("snapshots")).unwrap();
    let output = recover(&copy);
    assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
}

/// What stays in the application's database opens with what is left of the vault, each in its own org alone.
#[test]
fn ciphertexts_of_the_application_are_recovered_too() {
    let scratch = tempfile::tempdir().unwrap();
    let copy = scratch.path().join("copy");
    let place = Place::new(scratch.path());
    let daemon = place.start().unwrap();
    let mut line = daemon.application();
    let mut encrypt = |org: &str, base64: &str| {
        line.done("PUT", &format!("/v1/orgs/{org}"), &Value::Null);
        let body = json!({ "plaintexts": [base64] });
        let answer = line.done("POST", &format!("/v1/orgs/{org}/encrypt"), &body);
        text(&answer["ciphertexts"][0]).to_owned()
    };
    let (acme, globex) = (encrypt("acme", "AP9jb2x1bW4="), encrypt("Globex.Inc", ""));
    begin_to_rotate_org_keys(&mut daemon.admin());
    rotate_root_key(&place, &mut daemon.admin());
    daemon.kill();
    copy_what_is_needed(&place, &copy);
    let recover = |rows: String| {
        fs::write(copy.join("rows"), rows).unwrap();
        recover_with(&copy, &["rows"])
    };
    let output = recover(format!("acme {acme}\nGlobex.Inc {globex}\n"));
    assert!(output.status.success(), "{output:?}");
    let lines = lines(&output);
    let opened: Vec<_> = lines.iter().filter_map(|line| line.get("plaintext")).collect();
    assert_eq!(opened, ["AP9jb2x1bW4=", ""]);
    let output = recover(format!("Globex.Inc {acme}\n"));
    assert!(
        !output.status.success() && String::from_utf8_lossy(&output.stderr).contains("rows:1"),
        "{output:?}"
    );
}

#[test]
fn a_torn_last_record_costs_that_record_alone_and_is_said() {
    let scratch = tempfile::tempdir().unwrap();
    let copy = two_connections(scratch.path());
    let segment = copy.join("journal/00000000000000000001.journal");
    let mut torn = fs::read(&segment).unwrap();
    let end = torn.iter().rposition(|byte| *byte != 0).unwrap();
    torn[end - 100..].fill(0);
    fs::write(&segment, &torn).unwrap();
    let output = recover(&copy);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("are no whole record"), "{output:?}");
    assert_eq!(Vec::from_iter(by_name(&output).into_keys()), ["acme", "acme github/main"]);
}

#[test]
fn under_another_vaults_id_nothing_is_recovered() {
    let scratch = tempfile::tempdir().unwrap();
    let copy = two_connections(scratch.path());
    let header = copy.join("vault.json");
    let mut written: Value = serde_json::from_slice(&fs::read(&header).unwrap()).unwrap();
    written["vault_id"] = json!("00".repeat(16));
    fs::write(&header, written.to_string()).unwrap();
    let output = recover(&copy);
    assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("belongs elsewhere"), "{output:?}");
}

/// What is left of a vault with two connections, `main` and then `other`.
fn two_connections(scratch: &Path) -> PathBuf {
    let (place, copy) = (Place::new(scratch), scratch.join("copy"));
    let daemon = place.start().unwrap();
    let mut line = daemon.application();
    line.done("PUT", "/v1/orgs/acme", &Value::Null);
    line.done("PUT", &format!("{GITHUB}/main"), &json!({ "access_token": "at-1" }));
    line.done("PUT", &format!("{GITHUB}/other"), &json!({ "access_token": "at-2" }));
    daemon.kill();
    copy_what_is_needed(&place, &copy);
    copy
}

fn fill(line: &mut Line) {
    for org in ["acme", "Globex.Inc", "empty"] {
        line.done("PUT", &format!("/v1/orgs/{org}"), &Value::Null);
    }
    let whole = json!({
        "access_token": "at-1 \\\"/!~", "refresh_token": "rt-1", "id_token": "it-1", "token_type": "DPoP",
        "expires_at": "2031-01-02T03:04:05Z", "scope": "read:org repo:status",
        "labels": { "größe": "日本語 🗝", "kunde": "Åse \"&\" Söhne" },
    });
    line.done("PUT", &format!("{GITHUB}/whole"), &whole);
    line.done("PUT", &format!("{GITHUB}/bare"), &json!({ "access_token": "at-2" }));
    line.done("PUT", &format!("{GITHUB}/a:b@c+d"), &json!({ "access_token": "a".repeat(16_384) }));
    line.done("PUT", &format!("{GITHUB}/gone"), &json!({ "access_token": "at-3", "refresh_token": "rt-3" }));
    line.done("DELETE", &format!("{GITHUB}/gone"), &Value::Null);
    for generation in 1..=3 {
        let set = json!({ "access_token": format!("at-{generation}"), "refresh_token": format!("rt-{generation}") });
        line.done("PUT", &format!("{GITHUB}/replaced"), &set);
    }
    line.done("PUT", &format!("{GITHUB}/kept"), &json!({ "access_token": "at-4", "refresh_token": "rt-4" }));
    line.done("PUT", &format!("{GITHUB}/kept"), &json!({ "access_token": "at-5" }));
    let elsewhere = json!({ "access_token": "at-6", "refresh_token": "rt-6" });
    line.done("PUT", "/v1/orgs/Globex.Inc/connections/slack/whole", &elsewhere);
    for version in 1..=18 {
        let value =
            json!({ "value": format!("value {version}: ключ\n\0"), "labels": { "v": version.to_string() } });
        line.done("PUT", "/v1/orgs/acme/secrets/webhook", &value);
    }
    line.done("PUT", "/v1/orgs/acme/secrets/large", &json!({ "value": "v".repeat(65_536) }));
    line.done("PUT", "/v1/orgs/acme/secrets/gone", &json!({ "value": "gone" }));
    line.done("DELETE", "/v1/orgs/acme/secrets/gone", &Value::Null);
}

/// Puts a new key before the old one and wraps everything anew; then the old one is dropped.
fn rotate_root_key(place: &Place, admin: &mut Line) {
    let file = place.root_key();
    let old = fs::read_to_string(&file).unwrap();
    let new = command(env!("CARGO_BIN_EXE_tokenkeep"), &["key", "generate"]);
    let new = String::from_utf8(new.stdout).unwrap();
    fs::write(&file, format!("{new}{old}")).unwrap();
    admin.done("POST", "/admin/v1/keys/reload", &Value::Null);
    admin.done("POST", "/admin/v1/keys/rotate", &Value::Null);
    loop {
        let answer = admin.read("/admin/v1/keys").unwrap().json();
        if answer["rotating"] == false {
            assert_eq!((&answer["remaining"], &answer["rotation_error"]), (&json!(0), &Value::Null));
            break;
        }
    }
    fs::write(&file, &new).unwrap();
    admin.done("POST", "/admin/v1/keys/reload", &Value::Null);
}

/// A new key for every org; a part of what is under the old ones is sealed anew, and no more.
fn begin_to_rotate_org_keys(admin: &mut Line) {
    let wanted = json!({ "all": true, "records_per_second": 1 });
    admin.done("POST", "/admin/v1/keys/orgs/rotate", &wanted);
    while admin.read("/admin/v1/keys").unwrap().json()["org_rotation"]["new_keys"] == 0 {}
}

fn fill_after_rotation(line: &mut Line) {
    line.done("PUT", "/v1/orgs/late", &Value::Null);
    let set = json!({ "access_token": "at-7", "refresh_token": "rt-7" });
    line.done("PUT", "/v1/orgs/late/connections/github/main", &set);
    line.done("PUT", "/v1/orgs/Globex.Inc/connections/slack/after", &set);
}

/// All that the daemon serves, by name, in the shape of [`by_name`].
fn served(line: &mut Line, admin: &mut Line) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    for org in admin.list("/admin/v1/orgs").unwrap() {
        let name = org["org"].as_str().unwrap();
        all.insert(name.to_owned(), json!({ "created_at": org["created_at"] }));
        for connection in line.list(&format!("/v1/orgs/{name}/connections")).unwrap() {
            let id = format!("{}/{}", text(&connection["provider"]), text(&connection["name"]));
            let path = format!("/v1/orgs/{name}/connections/{id}");
            let mut whole = line.read(&format!("{path}/token")).unwrap().json();
            let refresh_token = line.read(&format!("{path}/refresh-token")).unwrap().json();
            assert_eq!(whole["generation"], connection["generation"]);
            for key in ["labels", "created_at", "refreshed_at"] {
                whole[key] = connection[key].clone();
            }
            whole["refresh_token"] = refresh_token["refresh_token"].clone();
            all.insert(format!("{name} {id}"), whole);
        }
        for secret in line.list(&format!("/v1/orgs/{name}/secrets")).unwrap() {
            let path = format!("/v1/orgs/{name}/secrets/{}", text(&secret["name"]));
            let versions =
                secret["versions"].as_array().unwrap().iter().map(|version| {
                    line.read(&format!("{path}?version={}", version["version"])).unwrap().json()
                });
            let versions: Vec<Value> = versions.collect();
            let whole = json!({ "labels": secret["labels"], "versions": versions });
            all.insert(format!("{name} {}", text(&secret["name"])), whole);
        }
    }
    assert_eq!(all.len(), 4 + 8 + 2, "{:?}", all.keys());
    all
}

/// The script has recovered all that the daemon served, and nothing else.
fn assert_everything_is_in(output: &Output, served: &BTreeMap<String, Value>) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.is_empty(), "{told}");
    assert_eq!(by_name(output), *served);
}

/// What the script has printed, by name, in the shape of [`served`].
fn by_name(output: &Output) -> BTreeMap<String, Value> {
    let named = lines(output).into_iter().map(|mut line| {
        let object = line.as_object_mut().unwrap();
        let org = text(&object.remove("org").unwrap()).to_owned();
        for only_recovered in ["previous_refresh_token", "id_token"] {
            object.remove(only_recovered);
        }
        if object.contains_key("access_token") {
            object.entry("refresh_token").or_insert(Value::Null);
            let (provider, name) = (object.remove("provider").unwrap(), object.remove("name").unwrap());
            (format!("{org} {}/{}", text(&provider), text(&name)), line)
        } else if let Some(name) = object.remove("secret") {
            (format!("{org} {}", text(&name)), line)
        } else {
            (org, line)
        }
    });
    let named: Vec<(String, Value)> = named.collect();
    let (count, all) = (named.len(), BTreeMap::from_iter(named));
    assert_eq!(all.len(), count, "nothing twice");
    all
}

/// What no answer of the daemon shows.
fn assert_previous_refresh_tokens(output: &Output) {
    let lines = lines(output);
    let of = |name: &str| {
        let line = lines.iter().find(|line| line["org"] == "acme" && line["name"] == name).unwrap();
        (line["previous_refresh_token"].clone(), line["id_token"].clone())
    };
    assert_eq!(of("replaced"), (json!("rt-2"), Value::Null));
    assert_eq!(of("kept"), (Value::Null, Value::Null));
    assert_eq!(of("whole"), (Value::Null, json!("it-1")));
}

fn lines(output: &Output) -> Vec<Value> {
    String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Nothing but the root key list, the header, snapshots and journal; as whoever finds them in a backup has them.
fn copy_what_is_needed(place: &Place, copy: &Path) {
    let (state, journal) = (place.state(), copy.join("journal"));
    fs::create_dir_all(&journal).unwrap();
    fs::set_permissions(copy, fs::Permissions::from_mode(0o700)).unwrap();
    fs::copy(place.root_key(), copy.join("root.key")).unwrap();
    fs::copy(state.join("vault.json"), copy.join("vault.json")).unwrap();
    fs::create_dir_all(copy.join("snapshots")).unwrap();
    for directory in ["snapshots", "journal"] {
        for entry in fs::read_dir(state.join(directory)).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), copy.join(directory).join(entry.file_name())).unwrap();
        }
    }
}

fn recover(copy: &Path) -> Output {
    recover_with(copy, &[])
}

fn recover_with(copy: &Path, more: &[&str]) -> Output {
    let python = std::env::var("TOKENKEEP_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let present = command(&python, &["-c", "import cryptography"]);
    assert!(
        present.status.success(),
        "{python} has no `cryptography`: python3 -m venv .venv && .venv/bin/pip install cryptography, \
         then TOKENKEEP_TEST_PYTHON=.venv/bin/python"
    );
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recovery/recover.py");
    let files = ["root.key", "vault.json", "journal"].iter().chain(more);
    let files: Vec<String> = files.map(|name| copy.join(name).display().to_string()).collect();
    let arguments: Vec<&str> = std::iter::once(script).chain(files.iter().map(String::as_str)).collect();
    command(&python, &arguments)
}

fn command(program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).output();
    output.unwrap_or_else(|why| panic!("{program} does not run: {why}"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}
