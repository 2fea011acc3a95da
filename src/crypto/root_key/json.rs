//! Secrets out of a JSON document, without a copy that stays.
//!
//! The hard problem: a JSON parser unescapes into a buffer of its own, which nobody wipes. The answer: it only finds
//! where the text stands (`RawValue`), and the text is unescaped here, into a buffer that is.
//!
//! Never decodes a secret into anything that is not wiped.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

/// The text of a JSON string, unescaped; `None` if it is no string or is not sound.
#[must_use]
pub fn text(raw: &RawValue) -> Option<Zeroizing<String>> {
    let mut rest = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    // Unescaped is never longer: the buffer does not grow.
    let mut text = Zeroizing::new(String::with_capacity(rest.len()));
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let (character, length) = escaped(&rest[at + 1..])?;
        text.push(character);
        rest = &rest[at + 1 + length..];
    }
    text.push_str(rest);
    Some(text)
}

/// The bytes behind standard base64 (RFC 4648, section 4).
#[must_use]
pub fn base64(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; base64::decoded_len_estimate(text.len())]);
    let length = STANDARD.decode_slice(text, &mut bytes).ok()?;
    bytes.truncate(length);
    Some(bytes)
}

/// What stands after the backslash (RFC 8259, section 7), and how many bytes of it.
fn escaped(rest: &str) -> Option<(char, usize)> {
    let simple = match rest.bytes().next()? {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        plain @ (b'"' | b'\\' | b'/') => char::from(plain),
        b'u' => return unicode(rest),
        _ => return None,
    };
    Some((simple, 1))
}

fn unicode(rest: &str) -> Option<(char, usize)> {
    let unit = |at: usize| u32::from_str_radix(rest.get(at..at + 4)?, 16).ok();
    let high = unit(1)?;
    if !(0xd800..0xdc00).contains(&high) {
        return Some((char::from_u32(high)?, 5));
    }
    let low = unit(7).filter(|low| rest.get(5..7) == Some("\\u") && (0xdc00..0xe000).contains(low))?;
    Some((char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00))?, 11))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Option<String> {
        text(serde_json::from_str::<&RawValue>(json).unwrap()).map(|text| text.to_string())
    }

    #[test]
    fn strings_are_unescaped() {
        let meant = "a\n\"\\/\u{8}\u{c}\r\tä€😀";
        assert_eq!(read(r#""a\n\"\\\/\b\f\r\tä\u20ac\ud83d\ude00""#).as_deref(), Some(meant));
        assert_eq!(read(r#""""#).as_deref(), Some(""));
        for none in ["1", "null", "[\"a\"]", r#""\ud83d""#, r#""\ude00""#, r#""\ud83d\u0041""#] {
            assert_eq!(read(none), None, "{none}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_was_written_is_read(meant in ".*") {
            let json = serde_json::to_string(&meant).unwrap();
            proptest::prop_assert_eq!(read(&json), Some(meant));
        }
    }
}
