//! The recipe of docs/backup.md: Python with `pyrage` and `cryptography`, a backup, an identity and the root keys give back
//! every token without tokenkeep. So the format of age here is held against another implementation of it, too.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

use super::kit::{BackedUp, RECIPIENT};
use crate::root_key::server::python_with;

fn script(python: &str, name: &str, arguments: &[&Path]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recovery").join(name);
    Command::new(python).arg(script).args(arguments).output().expect("it runs")
}

#[test]
fn python_an_identity_and_the_root_keys_recover_every_token() {
    let Some(python) = python_with("pyrage, cryptography") else { return };
    let mut backed_up = BackedUp::running();
    backed_up.vault.create_org("acme");
    let mut expected = BTreeMap::new();
    for number in 0..40 {
        let (access, refresh) = (format!("at-{number}"), format!("rt-{number}"));
        backed_up.vault.put_pair("acme", &format!("github/c{number}"), &access, &refresh);
        expected.insert(format!("c{number}"), (access, refresh));
        if number == 20 {
            // What came before is in a snapshot, what comes after in parts of the journal.
            assert_eq!(backed_up.task("create")["error"], Value::Null);
        }
    }
    backed_up.vault.line().put("/v1/orgs/acme/secrets/key", &json!({ "value": "word" })).is(201);
    let set = backed_up.wait_for_all();
    let list = backed_up.list();
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let directory = backed_up.backups().join(text(&list["vault"])).join(text(&set["set"]));
    let identity = backed_up.shelf.path().join("identity.txt");
    backed_up.vault.kill9();

    let into = backed_up.shelf.path().join("into");
    let told = script(&python, "unpack.py", &[&directory, &identity, &into]);
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let (root, header, journal) =
        (backed_up.vault.root_key_file(), into.join("vault.json"), into.join("journal"));
    let told = script(&python, "recover.py", &[&root, &header, &journal]);
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let lines: Vec<Value> = String::from_utf8_lossy(&told.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let tokens = lines.iter().filter(|line| line["access_token"].is_string());
    let found: BTreeMap<_, _> = tokens
        .map(|line| (text(&line["name"]), (text(&line["access_token"]), text(&line["refresh_token"]))))
        .collect();
    assert_eq!(found, expected);
    assert!(
        lines.iter().any(|line| line["secret"] == "key" && line["versions"][0]["value"] == "word"),
        "{lines:?}"
    );
    assert_eq!(list["last"].as_array().map(|runs| runs.is_empty()), Some(false));
}

/// What another implementation seals opens here: an escrow that was made with it.
#[test]
fn an_escrow_may_be_made_with_any_program_of_age() {
    let Some(python) = python_with("pyrage, cryptography") else { return };
    let mut backed_up = BackedUp::running();
    backed_up.vault.create_org("acme");
    backed_up.wait_for_all();
    backed_up.vault.kill9();
    let root = backed_up.vault.root_key_file();
    let seal = "import pathlib, pyrage, sys\nfile = pathlib.Path(sys.argv[1])\n\
                to = pyrage.x25519.Recipient.from_str(sys.argv[2])\n\
                file.write_bytes(pyrage.encrypt(file.read_bytes(), [to]))";
    let told = Command::new(python).args(["-c", seal]).arg(&root).arg(RECIPIENT).output().expect("it runs");
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let told = backed_up.restore(&backed_up.shelf.path().join("into"), &[]);
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
}
