//! Bech32 (BIP 173), the text of keys of age: without the limit of 90 characters, as age has it.
//!
//! Never mixed case, and never a bit that is not used.

use zeroize::Zeroizing;

const DIGITS: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
const CHECKSUM: usize = 6;
/// Far beyond what a key has.
const LONGEST: usize = 256;

/// The text of these bytes behind this prefix, in lower case.
pub(super) fn encode(prefix: &str, bytes: &[u8]) -> String {
    let mut digits = regroup(bytes, 8, 5);
    let mut sum = checksum_of(prefix);
    digits.iter().for_each(|digit| step(&mut sum, *digit));
    (0..CHECKSUM).for_each(|_| step(&mut sum, 0));
    sum ^= 1;
    digits.extend((0..CHECKSUM).map(|at| ((sum >> (5 * (5 - at))) & 31) as u8));
    let text: String = digits.iter().map(|digit| char::from(DIGITS[usize::from(*digit)])).collect();
    format!("{prefix}1{text}")
}

/// The bytes behind this prefix; none where it is no such text.
pub(super) fn decode(prefix: &str, text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let is_mixed =
        text.bytes().any(|b| b.is_ascii_lowercase()) && text.bytes().any(|b| b.is_ascii_uppercase());
    if is_mixed || text.len() > LONGEST || !text.is_ascii() {
        return None;
    }
    let text = Zeroizing::new(text.to_ascii_lowercase());
    let data = text.strip_prefix(prefix)?.strip_prefix('1')?;
    let digit = |b: u8| DIGITS.iter().position(|digit| *digit == b).map(|at| at as u8);
    let digits = Zeroizing::new(data.bytes().map(digit).collect::<Option<Vec<u8>>>()?);
    let mut sum = checksum_of(prefix);
    digits.iter().for_each(|digit| step(&mut sum, *digit));
    if sum != 1 || digits.len() < CHECKSUM {
        return None;
    }
    let digits = &digits[..digits.len() - CHECKSUM];
    let bytes = Zeroizing::new(regroup(digits, 5, 8));
    // Bits that fill up the last digit are zero, and fewer than a digit.
    let used = digits.len() * 5 / 8;
    let rest = digits.len() * 5 % 8;
    let is_tidy = rest < 5 && digits.last().is_none_or(|last| last & ((1 << rest) - 1) == 0);
    is_tidy.then(|| Zeroizing::new(bytes[..used].to_vec()))
}

fn checksum_of(prefix: &str) -> u32 {
    let mut sum = 1;
    prefix.bytes().for_each(|byte| step(&mut sum, byte >> 5));
    step(&mut sum, 0);
    prefix.bytes().for_each(|byte| step(&mut sum, byte & 31));
    sum
}

fn step(sum: &mut u32, digit: u8) {
    let top = *sum >> 25;
    *sum = (*sum & 0x01ff_ffff) << 5 ^ u32::from(digit);
    for (bit, generator) in GENERATOR.iter().enumerate() {
        if top >> bit & 1 == 1 {
            *sum ^= generator;
        }
    }
}

/// Groups of so many bits become groups of so many others; the last is filled up with zeros.
fn regroup(groups: &[u8], from: u32, to: u32) -> Vec<u8> {
    let (mut kept, mut bits) = (0_u32, 0);
    let mut regrouped = Vec::with_capacity(groups.len() * from as usize / to as usize + 2);
    for group in groups {
        kept = (kept << from | u32::from(*group)) & 0xffff;
        bits += from;
        while bits >= to {
            bits -= to;
            regrouped.push((kept >> bits & ((1 << to) - 1)) as u8);
        }
    }
    if bits > 0 {
        regrouped.push((kept << (to - bits) & ((1 << to) - 1)) as u8);
    }
    regrouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_written_as_age_writes_them() {
        let text = "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa";
        let bytes = decode("age", text).unwrap();
        assert_eq!(bytes.len(), 32);
        assert_eq!(encode("age", &bytes), text);
        for wrong in [
            "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pb",
            "Age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa",
            "age1",
            "agf1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa",
            "",
        ] {
            assert!(decode("age", wrong).is_none(), "{wrong}");
        }
        for length in 0..40 {
            let bytes = vec![0xa5; length];
            assert_eq!(*decode("age-secret-key-", &encode("age-secret-key-", &bytes)).unwrap(), bytes);
        }
    }
}
