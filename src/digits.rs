//! Numbers and bytes as text, into a buffer that is there already: the hot path formats without allocating.

/// Appends the decimal digits of a number.
pub fn put_number(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&digits(value));
}

/// The decimal digits of a number.
#[must_use]
pub fn digits(mut value: u64) -> Digits {
    let mut digits = Digits { room: [0; 20], from: 20 };
    loop {
        digits.from -= 1;
        digits.room[digits.from] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            return digits;
        }
    }
}

/// Decimal digits, in place.
#[derive(Debug, Clone, Copy)]
pub struct Digits {
    room: [u8; 20],
    from: usize,
}

impl std::ops::Deref for Digits {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.room[self.from..]
    }
}

/// Appends bytes in lower-case hex.
pub fn put_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    let (fours, rest) = bytes.as_chunks::<4>();
    for four in fours {
        out.extend_from_slice(&hex_digits(u32::from_be_bytes(*four)));
    }
    for byte in rest {
        out.extend_from_slice(&hex_digits((*byte).into())[6..]);
    }
}

/// The lower-case hex digits of a number, made all at once: each byte of a word is spread to be one digit.
#[must_use]
pub fn hex_digits(number: u32) -> [u8; 8] {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let halves = (u64::from(number) << 16 | u64::from(number)) & 0x0000_ffff_0000_ffff;
    let bytes = (halves << 8 | halves) & 0x00ff_00ff_00ff_00ff;
    let nibbles = (bytes << 4 | bytes) & (EACH * 0x0f);
    // A nibble above nine carries into the upper half of its byte when six is added.
    let letters = ((nibbles + EACH * 6) >> 4) & EACH;
    (nibbles + EACH * u64::from(b'0') + letters * u64::from(b'a' - b'0' - 10)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_of_display() {
        for number in [0, 7, 10, 99, 1_000_000, u64::MAX] {
            let mut out = b"n=".to_vec();
            put_number(&mut out, number);
            assert_eq!(out, format!("n={number}").into_bytes());
        }
    }
    #[test]
    fn hex_has_two_digits_a_byte() {
        let mut out = b"h=".to_vec();
        put_hex(&mut out, &[0, 9, 10, 0xf0, 0xff]);
        assert_eq!(out, b"h=00090af0ff");
    }

    #[test]
    fn all_digits_of_hex_are_those_of_format() {
        for at in 0..8 {
            for digit in 0..16 {
                let number = digit << (4 * at) | !0xf_u32.wrapping_shl(4 * at) & 0x9a9a_a99f;
                assert_eq!(hex_digits(number), format!("{number:08x}").as_bytes());
            }
        }
    }
}
