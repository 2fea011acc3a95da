//! What cryptography makes of keys, as it may be left in memory: AES round keys (FIPS 197, section 5.2) and the states of
//! SHA-256 after the pads of HMAC (RFC 2104; FIPS 180-4).
//!
//! Written from the standards and for nothing but looking: it is slow and not constant-time, and seals nothing.

/// The round keys of AES-128; the first is the key.
pub(crate) fn round_keys(key: &[u8; 16]) -> [[u8; 16]; 11] {
    let sbox = sbox();
    let mut words = [[0_u8; 4]; 44];
    for (word, bytes) in words.iter_mut().zip(key.chunks_exact(4)) {
        word.copy_from_slice(bytes);
    }
    let mut constant = 1;
    for at in 4..44 {
        let mut word = words[at - 1];
        if at % 4 == 0 {
            word.rotate_left(1);
            word = word.map(|byte| sbox[usize::from(byte)]);
            word[0] ^= constant;
            constant = double(constant);
        }
        for (byte, before) in word.iter_mut().zip(words[at - 4]) {
            *byte ^= before;
        }
        words[at] = word;
    }
    std::array::from_fn(|round| std::array::from_fn(|byte| words[4 * round + byte / 4][byte % 4]))
}

/// A round key as the equivalent inverse cipher wants it (FIPS 197, section 5.3.5): what AESIMC gives.
pub(crate) fn inverse(round_key: &[u8; 16]) -> [u8; 16] {
    const ROW: [u8; 4] = [14, 11, 13, 9];
    let mixed = |at: usize| {
        let column = &round_key[at / 4 * 4..at / 4 * 4 + 4];
        (0..4).fold(0, |sum, row| sum ^ times(column[row], ROW[(row + 4 - at % 4) % 4]))
    };
    std::array::from_fn(mixed)
}

/// A round key as the crate `aes` keeps it without AES instructions: fixsliced for four blocks at once
/// (<https://eprint.iacr.org/2020/1123>), the bits of a place in one word, rows shifted back, the constant of the S-box
/// taken in.
pub(crate) fn fixsliced(round: usize, round_key: &[u8; 16]) -> Vec<u8> {
    let constant = if round == 0 { 0 } else { 0x63 };
    let shift = if round == 10 { 0 } else { round % 4 };
    let byte = |row: usize, column: usize| round_key[(column + 4 - row * shift % 4) % 4 * 4 + row] ^ constant;
    let word = |bit: usize| {
        (0..16).fold(0_u64, |word, at| {
            let is_set = byte(at / 4, at % 4) >> bit & 1 == 1;
            word | if is_set { 0xf << (4 * at) } else { 0 }
        })
    };
    (0..8).flat_map(|bit| word(bit).to_le_bytes()).collect()
}

/// The state of SHA-256 after one block.
pub(crate) fn midstate(block: &[u8; 64]) -> [u32; 8] {
    let (start, constants) = (roots_of_primes::<8>(2), roots_of_primes::<64>(3));
    let mut words = [0_u32; 64];
    for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
        *word = bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte));
    }
    for at in 16..64 {
        let (a, b) = (words[at - 15], words[at - 2]);
        let first = a.rotate_right(7) ^ a.rotate_right(18) ^ a >> 3;
        let second = b.rotate_right(17) ^ b.rotate_right(19) ^ b >> 10;
        words[at] = words[at - 16].wrapping_add(first).wrapping_add(words[at - 7]).wrapping_add(second);
    }
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = start;
    for (word, constant) in words.iter().zip(constants) {
        let one = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
        let choice = e & f ^ !e & g;
        let t1 = h.wrapping_add(one).wrapping_add(choice).wrapping_add(constant).wrapping_add(*word);
        let zero = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
        let t2 = zero.wrapping_add(a & b ^ a & c ^ b & c);
        (h, g, f, e, d, c, b, a) = (g, f, e, d.wrapping_add(t1), c, b, a, t1.wrapping_add(t2));
    }
    let end = [a, b, c, d, e, f, g, h];
    std::array::from_fn(|at| start[at].wrapping_add(end[at]))
}

/// The first 32 bits of the fractions of the square or cube roots of the first primes (FIPS 180-4, sections 4.2.2, 5.3.3).
fn roots_of_primes<const N: usize>(degree: u32) -> [u32; N] {
    let mut primes = (2_u128..).filter(|n| (2..*n).take_while(|d| d * d <= *n).all(|d| n % d != 0));
    std::array::from_fn(|_| {
        let wide = primes.next().unwrap_or(2) << (32 * degree);
        let (mut low, mut high) = (0_u128, 1 << 40);
        while low + 1 < high {
            let middle = (low + high) / 2;
            if middle.pow(degree) <= wide { low = middle } else { high = middle }
        }
        // The whole part is above.
        (low & 0xffff_ffff) as u32
    })
}

fn double(byte: u8) -> u8 {
    byte << 1 ^ if byte >= 0x80 { 0x1b } else { 0 }
}

/// A product in the field of AES (FIPS 197, section 4.2).
fn times(mut a: u8, mut b: u8) -> u8 {
    let mut product = 0;
    while b > 0 {
        product ^= if b & 1 == 1 { a } else { 0 };
        a = double(a);
        b >>= 1;
    }
    product
}

fn sbox() -> [u8; 256] {
    std::array::from_fn(|byte| {
        let byte = byte as u8;
        let inverse = (1..=255).find(|other| times(byte, *other) == 1).unwrap_or(0);
        let rotated = (1..5).fold(inverse, |sum, turn| sum ^ inverse.rotate_left(turn));
        rotated ^ 0x63
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// FIPS 197, appendix A.1.
    const KEY: [u8; 16] =
        [0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2, 0xa6, 0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf, 0x4f, 0x3c];

    #[test]
    fn round_keys_are_those_of_the_standard() {
        let keys = round_keys(&KEY);
        assert_eq!(hex(&keys[1]), "a0fafe1788542cb123a339392a6c7605");
        assert_eq!(hex(&keys[10]), "d014f9a8c9ee2589e13f0cc8b6630ca6");
    }

    /// FIPS 197, appendix C.1 of the 2001 edition: round 1 of the equivalent inverse cipher of the key 00 01 02 ...
    #[test]
    fn inverse_round_keys_are_those_of_the_standard() {
        let keys = round_keys(&std::array::from_fn(|at| at as u8));
        assert_eq!(hex(&inverse(&keys[9])), "13aa29be9c8faff6f770f58000f7bf03");
    }

    /// As the crate `aes` 0.8.4 has it in memory when it is built with `--cfg aes_force_soft`.
    #[test]
    fn fixsliced_round_keys_are_those_of_the_crate() {
        let keys = round_keys(&KEY);
        let first = "0fff00ff0fff00000f0ffffff0f0ff000000ffff0ffffff0fffffff000f000ff\
                     00000f0fff0f0ff0ff0fff0f0000f0f000000ffff0f00000000ff0fff000f00f";
        let second = "fff0ff0ff0ff0000ff000f0f0ff0ff0f00000f0ff0ff00fff0f0ff000ffff000\
                      0000f00fff0ffff0f000000f000000ffffff00f00ff0ffffff00f0f0000f0f00";
        assert_eq!(
            (hex(&fixsliced(0, &keys[0])), hex(&fixsliced(1, &keys[1]))),
            (first.into(), second.into())
        );
    }

    #[test]
    fn the_midstate_of_a_padded_message_is_its_hash() {
        let mut block = [0; 64];
        block[..4].copy_from_slice(b"abc\x80");
        block[63] = 24;
        let bytes: Vec<u8> = midstate(&block).iter().flat_map(|word| word.to_be_bytes()).collect();
        assert_eq!(hex(&bytes), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
