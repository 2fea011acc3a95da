//! Texts from outside: the kernel's, the secret manager's, and the header file's.
//!
//! Never touches a file.

use std::path::PathBuf;

use serde_json::value::RawValue;
use tokenkeep::crypto::key::SealingKey;
use tokenkeep::crypto::key_list::RootKeys;
use tokenkeep::crypto::root_key::aws::profile::{ProfileFile, find};
use tokenkeep::crypto::root_key::json;
use tokenkeep::crypto::seal::{Place, open, seal};
use tokenkeep::net::destination::Destination;
use tokenkeep::net::server::revocation::RevocationList;
use tokenkeep::os::peer::{is_unit_name, unit_of_cgroup};
use tokenkeep::vault::header::Header;

use crate::{ENVIRONMENT, KEY};

/// A destination that was read fits on its line, and is read again as it is written.
pub fn destination(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(destination) = Destination::parse(text) {
        let written = destination.to_string();
        assert!(written.len() <= Destination::LONGEST && written.bytes().all(|byte| byte.is_ascii_graphic()));
        assert_eq!(Destination::parse(&written), Some(destination));
    }
}

/// A unit that was read is the name of one, and is read again where it stands alone.
pub fn cgroup(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(unit) = unit_of_cgroup(text) {
        assert!(is_unit_name(&unit) && text.contains(&unit));
        let alone = format!("0::/system.slice/_{unit}\n");
        assert_eq!(unit_of_cgroup(&alone), Some(unit));
    }
}

/// A key list is its keys, in order: each can be found, and opens what it sealed.
pub fn key_list(data: &[u8]) {
    let Ok(keys) = RootKeys::parse(data) else { return };
    let lines = data.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let lines: Vec<&[u8]> = lines.filter(|line| !line.is_empty() && line[0] != b'#').collect();
    assert_eq!(keys.iter().count(), lines.len());
    let place = Place { vault: [1; 16], table: 2, record: [3; 32], field: 4 };
    for (key, line) in keys.iter().zip(lines) {
        assert_eq!(SealingKey::parse(line).expect("a key").id(), key.id());
        let found = keys.find(key.id()).expect("it is in the list");
        let sealed = seal(key, &place, 5, b"value");
        assert_eq!(open(found, &place, sealed.as_bytes()).expect("opens").expose(), b"value");
    }
}

/// A text in JSON is what any other reader of JSON takes it for.
pub fn json_text(data: &[u8]) {
    let Ok(raw) = serde_json::from_slice::<&RawValue>(data) else { return };
    let meant = serde_json::from_str::<String>(raw.get()).ok();
    assert_eq!(json::text(raw).map(|text| text.to_string()), meant);
}

/// A value of a profile stands in the file, and is read again where it stands alone.
pub fn profile(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for (file, section) in [(ProfileFile::Config, "[profile ops]"), (ProfileFile::Credentials, "[ops]")] {
        let Ok(Some(found)) = find(text, file, "ops") else { continue };
        for key in ["aws_access_key_id", "aws_secret_access_key", "region", "role_arn"] {
            let Some(value) = found.value(key) else { continue };
            assert!(text.contains(value) && !value.contains('\n') && value.trim() == value);
            let alone = format!("{section}\n{key} = {value}\n");
            let again = find(&alone, file, "ops").expect("sound").expect("it is there");
            assert_eq!(again.value(key), Some(value));
        }
    }
}

/// A header opens only as the vault that it is, and is wrapped anew only by a root key that opened it.
pub fn header(data: &[u8]) {
    let root = RootKeys::parse(KEY.as_bytes()).expect("a list");
    let nowhere = PathBuf::from("/nonexistent/vault.json");
    let Ok((mut header, keys)) = Header::parse(nowhere, data, ENVIRONMENT, &root) else { return };
    assert_eq!((header.environment(), header.root_key_id()), (ENVIRONMENT, root.primary().id()));
    assert_ne!(keys.system.id(), root.primary().id());
    let complete = header.is_complete();
    assert!(header.rewrap(&root).is_err(), "it has nowhere to be written to");
    assert_eq!((header.is_complete(), header.root_key_id()), (complete, root.primary().id()));
}

/// A revocation list that was read is whole, and what is signed is read again where it stands alone.
pub fn revocation_list(data: &[u8]) {
    let Some(list) = RevocationList::read(data) else { return };
    assert!(data.len() > list.signed.len() + list.signature.len() && list.signed.len() > list.issuer.len());
    assert_eq!(list.signed.first(), Some(&0x30), "it begins with its tag");
    let longer = [data, &[0]].concat();
    assert_eq!(RevocationList::read(&longer), None, "nothing may follow");
    assert_eq!(RevocationList::read(&data[..data.len() - 1]), None, "nothing may be missing");
}
