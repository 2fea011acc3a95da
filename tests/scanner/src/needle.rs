//! What is looked for: a secret, and every pattern of bytes that gives it away.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;

use crate::schedule::{fixsliced, inverse, midstate, round_keys};
use crate::text::encodings;

/// What a secret is to its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Plaintext that was planted.
    Canary,
    /// A key.
    Key,
}

/// Bytes that give a needle away.
pub struct Pattern {
    pub(crate) needle: u32,
    /// As a report names it.
    pub form: &'static str,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// So many of them in a row are a hit: what carries 47 bits of the secret or more.
    pub least: usize,
}

/// The needles of a scan.
#[derive(Default)]
pub struct Needles {
    names: Vec<(Kind, String)>,
    patterns: Vec<Pattern>,
}

impl Needles {
    /// Plaintext, in every encoding. Random throughout: a part that others share is found with them.
    pub fn canary(&mut self, name: &str, secret: &[u8]) {
        let needle = self.named(Kind::Canary, name);
        self.encoded(needle, secret);
    }

    /// A Fernet key by its text: the text, the bytes, and what AES-128 and HMAC-SHA256 make of its halves. Gives false
    /// where the text is none.
    #[must_use]
    pub fn fernet_key(&mut self, name: &str, text: &str) -> bool {
        let Some(key) = URL_SAFE.decode(text).ok().filter(|key| key.len() == 32) else {
            return false;
        };
        let (signing, sealing) = key.split_at(16);
        let needle = self.named(Kind::Key, name);
        self.encoded(needle, text.trim_end_matches('=').as_bytes());
        self.encoded(needle, &key);
        self.pads(needle, signing);
        let sealing: [u8; 16] = std::array::from_fn(|at| sealing[at]);
        self.rounds(needle, &sealing);
        self.swapped(needle, "bytes swapped in words", &key);
        true
    }

    /// A key of HMAC-SHA256, at most a block long.
    pub fn mac_key(&mut self, name: &str, key: &[u8]) {
        let needle = self.named(Kind::Key, name);
        self.encoded(needle, key);
        self.swapped(needle, "bytes swapped in words", key);
        self.pads(needle, key);
    }

    /// The patterns, all of them.
    #[must_use]
    pub fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }

    /// Whose pattern it is.
    #[must_use]
    pub fn owner(&self, pattern: &Pattern) -> (Kind, &str) {
        let (kind, name) = &self.names[pattern.needle as usize];
        (*kind, name)
    }

    fn named(&mut self, kind: Kind, name: &str) -> u32 {
        self.names.push((kind, name.to_owned()));
        (self.names.len() - 1) as u32
    }

    fn encoded(&mut self, needle: u32, secret: &[u8]) {
        let all = encodings(secret).into_iter();
        let all = all.map(|text| Pattern { needle, form: text.form, bytes: text.bytes, least: text.least });
        self.patterns.extend(all);
    }

    fn add(&mut self, needle: u32, form: &'static str, bytes: &[u8], least: usize) {
        self.patterns.push(Pattern { needle, form, bytes: bytes.to_vec(), least });
    }

    fn swapped(&mut self, needle: u32, form: &'static str, bytes: &[u8]) {
        let swapped: Vec<u8> = bytes.chunks(4).flat_map(|word| word.iter().rev().copied()).collect();
        self.add(needle, form, &swapped, 8);
    }

    /// The round keys as AES instructions take them, both ways, and as software keeps them. Those of the first round
    /// are the key.
    fn rounds(&mut self, needle: u32, key: &[u8; 16]) {
        for (round, round_key) in round_keys(key).iter().enumerate() {
            if round > 0 {
                self.add(needle, "AES round key", round_key, 8);
                self.swapped(needle, "AES round key, bytes swapped in words", round_key);
                self.add(needle, "AES inverse round key", &inverse(round_key), 8);
            }
            // A word has one bit of each byte, four times: half of the eight words are 64 bits of the key.
            self.add(needle, "AES round key, fixsliced", &fixsliced(round, round_key), 32);
        }
    }

    /// The key part of both pads, and what SHA-256 is after each: as numbers in memory, as bytes of a hash, and in the
    /// order of the SHA instructions.
    fn pads(&mut self, needle: u32, key: &[u8]) {
        let forms = [
            (0x36, "HMAC inner pad", "SHA-256 after the inner pad"),
            (0x5c, "HMAC outer pad", "SHA-256 after the outer pad"),
        ];
        for (fill, pad, state) in forms {
            let mut block = [fill; 64];
            for (byte, of_key) in block.iter_mut().zip(key) {
                *byte ^= of_key;
            }
            let of_key = &block[..key.len().min(64)];
            self.add(needle, pad, of_key, 8);
            self.swapped(needle, pad, of_key);
            let [a, b, c, d, e, f, g, h] = midstate(&block);
            let native: Vec<u8> =
                [a, b, c, d, e, f, g, h].iter().flat_map(|word| word.to_le_bytes()).collect();
            self.swapped(needle, state, &native);
            self.add(needle, state, &native, 8);
            for half in [[f, e, b, a], [h, g, d, c]] {
                let half: Vec<u8> = half.iter().flat_map(|word| word.to_le_bytes()).collect();
                self.add(needle, state, &half, 8);
            }
        }
    }
}
