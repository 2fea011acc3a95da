//! Lower-case hex, the form of ids and chain values in text.

use crate::digits::hex_digits;

/// The bytes as lower-case hex.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| {
        let [.., high, low] = hex_digits(u32::from(*byte));
        [high, low]
    });
    digits.map(char::from).collect()
}

/// Reads exactly `N` bytes of lower-case hex.
#[must_use]
pub fn decode<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(bytes)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_reads_back_and_refuses_other_forms() {
        assert_eq!(encode(&[0, 0x9f, 0xff]), "009fff");
        assert_eq!(decode(b"009fff"), Some([0, 0x9f, 0xff]));
        assert_eq!(decode::<3>(b"009fF0"), None);
        assert_eq!(decode::<3>(b"009ff"), None);
    }
}
