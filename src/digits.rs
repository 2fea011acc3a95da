//! Numbers as text, into a buffer that is there already: the hot path formats without allocating.

/// Appends the decimal digits of a number.
pub fn put_number(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        let low = (value % 10) as u8;
        digits[at] = b'0' + low;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
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
}
