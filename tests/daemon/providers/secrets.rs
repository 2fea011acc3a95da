//! What a client proves itself with is looked at at start, and by a reload: a file that others can read is refused, and
//! so is one that holds something else.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::kit::vault::write_private;
use crate::kit::{Configuration, TestVault};

/// A vault with a provider whose secret is in the file that is given back.
fn vault(line: &str) -> (TestVault, PathBuf) {
    let vault = TestVault::stopped(Configuration::default());
    let secret = vault.room().join("client-secret");
    vault.write_configuration();
    let file = vault.configuration_file();
    let text = fs::read_to_string(&file).expect("a configuration");
    let lines = line.replace("FILE", &secret.display().to_string());
    let more = format!("[[provider]]\nid = \"gh\"\npreset = \"github\"\nclient_id = \"c\"\n{lines}\n");
    write_private(&file, format!("{text}\n{more}").as_bytes());
    (vault, secret)
}

const SECRET: &str = "client_secret = { file = \"FILE\" }";

#[test]
fn a_client_that_cannot_prove_itself_keeps_the_daemon_from_starting() {
    let (mut vault, secret) = vault(SECRET);
    let words = ["provider gh", "client_secret"];
    vault.start_in_vain_as_configured().with(78, &["does not exist", "mode 0600"]).with(78, &words);
    write_private(&secret, b"ghs_canary");
    fs::set_permissions(&secret, Permissions::from_mode(0o644)).expect("chmod");
    vault.start_in_vain_as_configured().with(77, &["mode 0644", "chmod", "issue a new one"]).with(77, &words);
    write_private(&secret, b"ghs_canary\nand more");
    let ended = vault.start_in_vain_as_configured().with(78, &["not one line of visible characters"]);
    assert!(!ended.line.contains("ghs_canary"), "{}", ended.line);
    write_private(&secret, b"ghs_canary\n");
    vault.start_as_configured();
    assert!(!vault.said().contains("ghs_canary"));
}

#[test]
fn a_key_that_signs_nothing_and_a_credential_that_was_not_given_are_refused() {
    let (mut with_key, key) = vault("client_auth = \"private_key_jwt\"\nclient_key = { file = \"FILE\" }");
    write_private(&key, b"ghs_canary");
    let ended = with_key.start_in_vain_as_configured().with(78, &["provider gh", "client_key", "PKCS #8"]);
    assert!(!ended.line.contains("ghs_canary"), "{}", ended.line);
    let (mut with_credential, _) = vault("client_secret = { credential = \"gh\" }");
    with_credential.start_in_vain_as_configured().with(78, &["LoadCredential=gh:PATH"]);
}
