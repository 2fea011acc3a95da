//! What the vault keeps is not opened with `/decrypt`, and what `/encrypt` made is not taken for something kept: not by
//! who has the state directory, not under the right key.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokenkeep::vault::place::Field;

use super::attacker::Attacker;
use super::furnished;
use crate::kit::vault::write_private;
use crate::kit::{Request, TestVault};

const DECRYPT: &str = "/v1/orgs/acme/decrypt";

fn decrypt(vault: &TestVault, ciphertexts: &[String], key: Option<&str>) -> Value {
    let mut body = json!({ "ciphertexts": ciphertexts });
    if let Some(key) = key {
        body["key"] = json!(key);
    }
    vault.send(&Request::post(DECRYPT, &body)).is(200).json()
}

fn encrypt(vault: &TestVault, plaintext: &[u8]) -> String {
    let body = json!({"plaintexts": [STANDARD.encode(plaintext)]});
    let answer = vault.send(&Request::post("/v1/orgs/acme/encrypt", &body)).is(200).json();
    answer["ciphertexts"][0].as_str().unwrap().to_owned()
}

fn are_misplaced(vault: &TestVault, answer: &Value, count: usize) {
    let results = answer["results"].as_array().unwrap();
    assert_eq!(results.len(), count);
    for result in results {
        assert_eq!(result["problem"]["code"], "forbidden", "{result}");
        assert_eq!(result["problem"]["reason"], "ciphertext_misplaced", "{result}");
    }
    assert!(!answer.to_string().contains("plaintext\""), "{answer}");
    assert!(vault.said().contains("sealed for another place"), "and it is logged");
}

#[test]
fn nothing_that_is_kept_is_opened_as_a_ciphertext() {
    let mut vault = furnished();
    let sealed = Attacker::enter(&vault).sealed_of("acme");
    assert!(sealed.len() >= 3 * 3 + 2 * 2, "connections, secrets, versions: {}", sealed.len());
    let org_key = Attacker::enter(&vault).org_key("acme", vault.root_key().as_bytes());

    vault.start();
    are_misplaced(&vault, &decrypt(&vault, &sealed, None), sealed.len());
    // The control: under the same key, what was made to be opened opens.
    let own = encrypt(&vault, b"own");
    assert_eq!(decrypt(&vault, std::slice::from_ref(&own), None)["results"][0]["plaintext"], "b3du");
    vault.stop();

    // Not even where the org's key was stolen and configured as an application's.
    let file = vault.room().join("stolen.keys");
    write_private(&file, org_key.as_bytes());
    let text =
        format!("[[application_key]]\nname = \"stolen\"\npath = \"{}\"\norgs = [\"*\"]\n", file.display());
    vault.configuration.more = text.leak();
    vault.start();
    let mut all = sealed;
    all.push(own);
    are_misplaced(&vault, &decrypt(&vault, &all, Some("stolen")), all.len());
}

#[test]
fn what_was_encrypted_is_never_taken_for_something_kept() {
    let mut vault = furnished();
    let body = br#"{"access_token":"planted","token_type":"Bearer","expires_at":null,"scopes":[]}"#;
    let value = [&[0; 8][..], body].concat();
    let frame = {
        let attacker = Attacker::enter(&vault);
        attacker.frame_for(("acme", "one"), Field::AccessToken, &value)
    };
    vault.start();
    let planted = [encrypt(&vault, &value), encrypt(&vault, &frame)];
    for ciphertext in planted {
        vault.stop();
        Attacker::enter(&vault).plant_access_token(("acme", "one"), ciphertext.as_bytes());
        vault.start();
        let answer = vault.token("acme", "github/one");
        assert!(!answer.text().contains("planted"));
        answer.refused(500, "integrity");
    }
    assert_eq!(vault.access_token("acme", "github/two"), "at-acme-two");
}
