//! The encodings that bytes may stand in.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// An encoding of a secret, and how many bytes of it carry eight of the secret: fewer could be an accident.
pub(crate) struct Encoded {
    pub(crate) form: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) least: usize,
}

const BASE64: [&str; 3] = ["base64+0", "base64+1", "base64+2"];
const BASE64_URL: [&str; 3] = ["base64url+0", "base64url+1", "base64url+2"];

/// Every encoding of these bytes, themselves included.
pub(crate) fn encodings(raw: &[u8]) -> Vec<Encoded> {
    let each = |form, least, write: &dyn Fn(u8) -> String| {
        let bytes = raw.iter().flat_map(|byte| write(*byte).into_bytes()).collect();
        Encoded { form, bytes, least }
    };
    let wide = |form, write: &dyn Fn(u16) -> [u8; 2]| {
        let bytes = raw.iter().flat_map(|byte| write(u16::from(*byte))).collect();
        Encoded { form, bytes, least: 16 }
    };
    let mut all = vec![
        Encoded { form: "raw", bytes: raw.to_vec(), least: 8 },
        Encoded { form: "reversed", bytes: raw.iter().rev().copied().collect(), least: 8 },
        each("hex", 16, &|byte| format!("{byte:02x}")),
        each("HEX", 16, &|byte| format!("{byte:02X}")),
        each("percent", 24, &|byte| format!("%{byte:02x}")),
        each("PERCENT", 24, &|byte| format!("%{byte:02X}")),
        each("json", 48, &|byte| format!("\\u{byte:04x}")),
        each("JSON", 48, &|byte| format!("\\u{byte:04X}")),
        // As `{:?}` shows a slice.
        each("debug", 24, &|byte| format!("{byte}, ")),
        wide("utf16le", &u16::to_le_bytes),
        wide("utf16be", &u16::to_be_bytes),
    ];
    all.extend((0..3).map(|offset| shifted(raw, offset, BASE64[offset], &STANDARD_NO_PAD)));
    all.extend((0..3).map(|offset| shifted(raw, offset, BASE64_URL[offset], &URL_SAFE_NO_PAD)));
    all.retain(|encoded| encoded.bytes.len() >= encoded.least);
    all
}

/// The digits that depend on these bytes alone when they begin `offset` bytes into a group of three.
fn shifted(raw: &[u8], offset: usize, form: &'static str, alphabet: &impl Engine) -> Encoded {
    let mut bytes = vec![0; offset];
    bytes.extend_from_slice(raw);
    let digits = alphabet.encode(&bytes).into_bytes();
    let sure = (offset * 8).div_ceil(6)..bytes.len() * 8 / 6;
    Encoded { form, bytes: digits[sure].to_vec(), least: 12 }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn encodings_are_those_that_others_write() {
        let text = b"a secret canary?";
        let encoded = |form: &str| encodings(text).into_iter().find(|all| all.form == form).unwrap().bytes;
        for (form, expected) in [
            ("raw", "a secret canary?"),
            ("reversed", "?yranac terces a"),
            ("hex", "6120736563726574"),
            ("PERCENT", "%61%20%73%65%63%72%65%74"),
            ("json", r"\u0061\u0020\u0073"),
            ("debug", "97, 32, 115, 101, "),
            ("utf16le", "a\0 \0s\0e\0"),
            ("utf16be", "\0a\0 \0s\0e"),
            ("base64+0", "YSBzZWNyZXQgY2FuYXJ5P"),
            ("base64url+2", "EgYyc"),
        ] {
            let found = String::from_utf8(encoded(form)).unwrap();
            assert!(found.starts_with(expected) || form == "base64url+2", "{form}: {found}");
        }
        // What stands around it changes nothing of the digits that are looked for.
        for (offset, around) in ["", "x", "xy"].iter().enumerate() {
            let whole = STANDARD_NO_PAD.encode([around.as_bytes(), text, b"zz"].concat());
            let sure = String::from_utf8(encoded(BASE64[offset])).unwrap();
            assert!(whole.contains(&sure), "{whole} {sure}");
        }
    }
}
