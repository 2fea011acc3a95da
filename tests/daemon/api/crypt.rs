//! Encrypt and decrypt: what comes back, what does not, and what stands in the log.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokenkeep::crypto::fingerprint;

use crate::kit::vault::new_key;
use crate::kit::{Client, Configuration, Line, Request, TestVault, over_each_protocol, poll};

const ENCRYPT: &str = "/v1/orgs/acme/encrypt";
const DECRYPT: &str = "/v1/orgs/acme/decrypt";

fn base64(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes)
}

fn encrypt(line: &Line, org: &str, plaintexts: &[Vec<u8>]) -> Vec<String> {
    let body = json!({"plaintexts": plaintexts.iter().map(base64).collect::<Vec<_>>()});
    let answer = line.post(&format!("/v1/orgs/{org}/encrypt"), &body).is(200).json();
    serde_json::from_value(answer["ciphertexts"].clone()).expect("texts")
}

/// What comes of each: the plaintext, or code and reason of the problem.
fn decrypt(line: &Line, org: &str, ciphertexts: &[String]) -> Vec<Result<Vec<u8>, String>> {
    let body = json!({"ciphertexts": ciphertexts});
    results(&line.post(&format!("/v1/orgs/{org}/decrypt"), &body).is(200).json())
}

pub(crate) fn results(answer: &Value) -> Vec<Result<Vec<u8>, String>> {
    let one = |result: &Value| match result["plaintext"].as_str() {
        Some(text) => {
            assert!(result.get("problem").is_none());
            Ok(STANDARD.decode(text).expect("base64"))
        }
        None => {
            let problem = &result["problem"];
            Err(format!("{} {}", problem["code"].as_str().unwrap(), problem["reason"].as_str().unwrap()))
        }
    };
    answer["results"].as_array().expect("results").iter().map(one).collect()
}

fn invalid() -> Result<Vec<u8>, String> {
    Err("invalid_request ciphertext_invalid".to_owned())
}

#[test]
fn what_was_encrypted_is_decrypted_byte_for_byte_and_by_its_org_alone() {
    over_each_protocol(|vault, line| {
        vault.create_org("acme");
        vault.create_org("beta");
        let plaintexts: Vec<Vec<u8>> = vec![
            b"one".to_vec(),
            Vec::new(),
            (0..=255).collect(),
            "größe 日本語".into(),
            vec![0; 262_144],
            b"one".to_vec(),
        ];
        let ciphertexts = encrypt(line, "acme", &plaintexts);
        assert_eq!(ciphertexts.len(), plaintexts.len());
        assert!(ciphertexts.iter().all(|text| text.starts_with("gAAAAA")), "standard Fernet tokens");
        assert_ne!(ciphertexts[0], ciphertexts[5], "nobody sees that two are the same");
        let expected: Vec<_> = plaintexts.into_iter().map(Ok).collect();
        assert_eq!(decrypt(line, "acme", &ciphertexts), expected);

        let theirs = encrypt(line, "beta", &[b"theirs".to_vec()]).remove(0);
        let cut = ciphertexts[0][..ciphertexts[0].len() - 4].to_owned();
        let mut changed = ciphertexts[0].clone().into_bytes();
        changed[50] = if changed[50] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        let foreign = fernet::Fernet::new(&new_key()).unwrap().encrypt(b"foreign");
        let asked = [
            theirs.clone(),
            ciphertexts[0].clone(),
            cut,
            changed,
            foreign,
            String::new(),
            "hunter2".to_owned(),
            "A".repeat(600_000),
            format!("{} ", ciphertexts[0]),
            ciphertexts[3].clone(),
        ];
        let opened = decrypt(line, "acme", &asked);
        assert_eq!(opened[1], expected[0]);
        assert_eq!(opened[9], expected[3]);
        for at in [0, 2, 3, 4, 5, 6, 7, 8] {
            assert_eq!(opened[at], invalid(), "item {at}");
        }
        assert_eq!(decrypt(line, "beta", &[theirs]), [Ok(b"theirs".to_vec())]);
        assert_eq!(decrypt(line, "acme", &[]), []);
    });
}

#[test]
fn batches_and_values_have_their_limits() {
    over_each_protocol(|vault, line| {
        vault.create_org("acme");
        let thousand: Vec<Vec<u8>> = (0..1000_u32).map(|at| at.to_be_bytes().to_vec()).collect();
        let ciphertexts = encrypt(line, "acme", &thousand);
        let opened = decrypt(line, "acme", &ciphertexts);
        assert!(opened.into_iter().map(Result::unwrap).eq(thousand));
        let too_many = vec!["Zm9v"; 1001];
        line.post(ENCRYPT, &json!({"plaintexts": too_many})).refused(400, "invalid_request");
        line.post(DECRYPT, &json!({"ciphertexts": too_many})).refused(400, "invalid_request");
        let too_long = base64(vec![0; 262_145]);
        line.post(ENCRYPT, &json!({"plaintexts": ["Zm9v", too_long]})).refused(413, "too_large");
        let too_large = vec!["A".repeat(500_000); 17];
        line.post(DECRYPT, &json!({"ciphertexts": too_large})).refused(413, "too_large");
        for body in [
            json!({"plaintexts": ["Zm9"]}),
            json!({"plaintexts": ["Zm9v\n"]}),
            json!({"plaintexts": "Zm9v"}),
            json!({"plaintexts": [], "key": "django"}),
            json!({}),
        ] {
            line.post(ENCRYPT, &body).refused(400, "invalid_request");
        }
        for body in [json!({"ciphertexts": [1]}), json!({"ciphertexts": [], "key": "../etc"}), json!({})] {
            line.post(DECRYPT, &body).refused(400, "invalid_request");
        }
        line.post("/v1/orgs/nobody/encrypt", &json!({"plaintexts": ["Zm9v"]})).refused(404, "not_found");
        line.post("/v1/orgs/nobody/decrypt", &json!({"ciphertexts": ["x"]})).refused(404, "not_found");
        line.get(ENCRYPT).refused(405, "method_not_allowed");
    });
}

#[test]
fn each_item_is_in_the_audit_log_under_the_fingerprint_of_its_ciphertext() {
    let vault = TestVault::running();
    vault.create_org("acme");
    let plaintexts = json!({"plaintexts": [base64("one"), base64("two")]});
    let answer = vault.send(&Request::post(ENCRYPT, &plaintexts)).is(200);
    let mut asked: Vec<String> = serde_json::from_value(answer.json()["ciphertexts"].clone()).unwrap();
    let entries = |id: Option<&str>| {
        let mut entries = vault.audit();
        entries.retain(|entry| Some(entry.request_id.as_str()) == id);
        entries
    };
    let made = entries(answer.header("x-request-id"));
    let fingerprints: Vec<_> = asked.iter().map(|text| fingerprint::of_ciphertext(text.as_bytes())).collect();
    assert_eq!(made.len(), 2);
    for (entry, fingerprint) in made.iter().zip(&fingerprints) {
        assert_eq!((entry.action.as_str(), entry.outcome.as_str()), ("crypt:encrypt", "ok"));
        assert_eq!((entry.org.as_deref(), entry.target.as_ref()), (Some("acme"), Some(fingerprint)));
    }
    asked.push("garbage".to_owned());
    let answer = vault.send(&Request::post(DECRYPT, &json!({"ciphertexts": asked}))).is(200);
    let opened = entries(answer.header("x-request-id"));
    let outcomes: Vec<_> =
        opened.iter().map(|entry| (entry.outcome.as_str(), entry.reason.as_deref())).collect();
    assert_eq!(outcomes, [("ok", None), ("ok", None), ("invalid_request", Some("ciphertext_invalid"))]);
    for (entry, fingerprint) in opened.iter().zip(&fingerprints) {
        assert_eq!((entry.action.as_str(), entry.target.as_ref()), ("crypt:decrypt", Some(fingerprint)));
    }
    assert!(!opened.iter().any(|entry| entry.target.as_deref() == Some("garbage")));
    vault.audit_is_intact();
}

#[test]
fn a_ciphertext_outlives_rotations_and_starts() {
    let mut vault = TestVault::running();
    vault.create_org("acme");
    let ciphertexts = encrypt(&vault.line(), "acme", &[b"kept in a column".to_vec()]);
    let (old, new) = (vault.root_key(), new_key());
    vault.write_root_key(&[&new, &old]);
    vault.admin().send(&Request::new("POST", "/admin/v1/keys/reload")).is(200);
    vault.admin().send(&Request::new("POST", "/admin/v1/keys/rotate")).is(202);
    poll("the rotation to end", || {
        let keys = vault.admin().get("/admin/v1/keys").json();
        (keys["remaining"] == 0 && keys["rotating"] == false).then_some(())
    });
    vault.stop();
    vault.write_root_key(&[&new]);
    vault.start();
    assert_eq!(decrypt(&vault.line(), "acme", &ciphertexts), [Ok(b"kept in a column".to_vec())]);
}

#[test]
fn who_may_not_does_neither() {
    let reader = Client { orgs: &["acme"], allow: &["crypt:decrypt"], ..Client::own() };
    let vault = TestVault::with(Configuration { clients: vec![reader], ..Configuration::default() });
    for org in ["acme", "beta"] {
        vault.admin().send(&Request::new("PUT", format!("/v1/orgs/{org}"))).is(201);
    }
    let (plaintexts, ciphertexts) = (json!({"plaintexts": ["Zm9v"]}), json!({"ciphertexts": ["x"]}));
    vault.line().post(ENCRYPT, &plaintexts).refused(403, "forbidden");
    vault.line().post(DECRYPT, &ciphertexts).is(200);
    vault.line().post("/v1/orgs/beta/decrypt", &ciphertexts).refused(403, "cross_org");
    for (path, body) in [(ENCRYPT, &plaintexts), (DECRYPT, &ciphertexts)] {
        vault.admin().post(path, body).refused(403, "forbidden");
    }
}
