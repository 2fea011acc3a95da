//! The keys of a vault, all of them, got as whoever has the root key gets them: from `vault.json` and the journal, with
//! nothing of tokenkeep (docs/recovery.md).

use std::collections::BTreeSet;
use std::fs;

use fernet::Fernet;
use hmac::{Hmac, Mac};
use serde_json::Value;
use sha2::Sha256;
use tokenkeep_scanner::Needles;

use crate::kit::{TestVault, files};

/// Bytes of a frame before its value, and where the field stands (docs/recovery.md).
const FRAME: usize = 59;
const FIELD: usize = 50;
const ORG_KEY: u8 = 5;
/// The token of a frame with an org key: version, time, IV, 112 bytes of ciphertext, MAC, in base64.
const ORG_KEY_TOKEN: usize = (1 + 8 + 16 + 112 + 32_usize).div_ceil(3) * 4;
/// Text of a Fernet key.
const KEY_TEXT: usize = 44;

/// Looks for every key that these root keys lead to, and for them. Gives how many org keys that are.
pub(crate) fn add_to(needles: &mut Needles, vault: &TestVault, roots: &[String]) -> usize {
    for (at, root) in roots.iter().enumerate() {
        assert!(needles.fernet_key(&format!("root key {at}"), root));
    }
    let header: Value = serde_json::from_slice(&fs::read(vault.state().join("vault.json")).unwrap()).unwrap();
    let sealed = |name: &str| header[name]["sealed"].as_str().unwrap().to_owned();
    let system = roots.iter().find_map(|root| opened(root, &sealed("system_key"))).expect("a system key");
    let system = text(&system[FRAME..FRAME + KEY_TEXT]);
    assert!(needles.fernet_key("system key", &system));
    for (name, labels) in [
        ("index_key", vec![b"index digest".to_vec()]),
        ("journal_key", vec![b"journal record".to_vec(), b"journal segment".to_vec()]),
        ("audit_key", (0..4_u64).map(|number| [&b"segment"[..], &number.to_be_bytes()].concat()).collect()),
    ] {
        let key = opened(&system, &sealed(name)).expect("a key of the vault")[FRAME..].to_vec();
        needles.mac_key(name, &key);
        for label in labels {
            let derived = Hmac::<Sha256>::new_from_slice(&key).unwrap().chain_update(&label).finalize();
            needles.mac_key(&format!("{name}, derived"), &derived.into_bytes());
        }
    }
    let orgs = org_keys(vault, roots);
    for (at, key) in orgs.iter().enumerate() {
        assert!(needles.fernet_key(&format!("org key {at}"), key));
    }
    orgs.len()
}

/// Every Fernet token in the journal that is as long as that of an org key, that a root key opens, and that says it is one.
fn org_keys(vault: &TestVault, roots: &[String]) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    for file in vault.journal_files() {
        let bytes = files::without_room(&fs::read(file).unwrap());
        for token in bytes.windows(ORG_KEY_TOKEN).filter(|token| token.starts_with(b"gAAAA")) {
            let Ok(token) = std::str::from_utf8(token) else { continue };
            let frames = roots.iter().filter_map(|root| opened(root, token));
            let of_orgs = frames.filter(|frame| frame.get(FIELD) == Some(&ORG_KEY));
            keys.extend(of_orgs.map(|frame| text(&frame[FRAME..FRAME + KEY_TEXT])));
        }
    }
    keys
}

fn opened(key: &str, token: &str) -> Option<Vec<u8>> {
    let frame =
        (token.len() > FRAME && token.starts_with("gAAAA")).then(|| Fernet::new(key)?.decrypt(token).ok());
    frame.flatten().filter(|frame| frame.len() > FRAME)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("the text of a key")
}
