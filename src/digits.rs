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
pub fn put_hex<const N: usize>(out: &mut Vec<u8>, bytes: &[u8; N]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    // Pairs of a known number, and one append: without a look at the room for each.
    let pairs = bytes.map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    out.extend_from_slice(pairs.as_flattened());
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
}
