//! Signatures of what is sent to a webhook, by Standard Webhooks 1.0.0 (github.com/standard-webhooks/standard-webhooks,
//! spec/standard-webhooks.md, "Signature scheme"): HMAC-SHA256 over id, moment and body, each ended by a dot.
//!
//! The hard problem: a secret must be replaced without a moment in which one side knows only the old one and the other
//! only the new. The answer is the scheme's own: a message may carry several signatures, so the file may hold several
//! secrets, one a line, and each of them signs.
//!
//! Never keeps a secret: what is parsed goes with the message that it signs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::room::within;

/// What each secret begins with.
const PREFIX: &str = "whsec_";
/// The scheme's bounds of a secret, in bytes.
const LENGTHS: std::ops::RangeInclusive<usize> = 24..=64;
/// A secret, the one before it, and one to come.
const MOST: usize = 4;

/// What signs messages to a webhook. Wiped on drop.
pub struct SigningSecrets(Vec<Zeroizing<Vec<u8>>>);

impl SigningSecrets {
    /// Reads `whsec_…`, one a line. None where a line is none, or there are none, or more than four.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let secrets: Vec<_> = lines.map(secret).collect::<Option<_>>()?;
        (1..=MOST).contains(&secrets.len()).then_some(Self(secrets))
    }

    /// The value of `webhook-signature`: one signature of each secret, in their order.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: u64, body: &[u8]) -> String {
        let head = format!("{id}.{timestamp}.");
        let signatures =
            self.0.iter().map(|secret| format!("v1,{}", STANDARD.encode(tag(secret, &head, body))));
        signatures.collect::<Vec<_>>().join(" ")
    }
}

fn secret(line: &str) -> Option<Zeroizing<Vec<u8>>> {
    let digits = line.strip_prefix(PREFIX)?;
    let mut bytes = Zeroizing::new(vec![0; base64::decoded_len_estimate(digits.len())]);
    let length = STANDARD.decode_slice(digits, &mut bytes).ok()?;
    bytes.truncate(length);
    LENGTHS.contains(&length).then_some(bytes)
}

fn tag(secret: &[u8], head: &str, body: &[u8]) -> [u8; 32] {
    // A key that is shorter than a block is padded with zeros (RFC 2104, section 2); 64 bytes are a block.
    let mut tag = [0; 32];
    within(|_| {
        let mut padded = [0_u8; 64];
        padded[..secret.len()].copy_from_slice(secret);
        let mut mac = <Hmac<Sha256> as hmac::digest::KeyInit>::new((&padded).into());
        mac.update(head.as_bytes());
        mac.update(body);
        tag = mac.finalize().into_bytes().into();
    });
    tag
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector that the libraries of Standard Webhooks are tested with.
    #[test]
    fn signs_as_the_libraries_of_the_scheme_do() {
        let secrets = SigningSecrets::parse(b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").expect("a secret");
        let signed = secrets.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn each_secret_signs_and_what_is_none_is_refused() {
        let (old, new) = (STANDARD.encode([1; 24]), STANDARD.encode([2; 64]));
        let both = SigningSecrets::parse(format!("whsec_{new}\r\n\nwhsec_{old}\n").as_bytes()).expect("two");
        let alone = SigningSecrets::parse(format!("whsec_{old}").as_bytes()).expect("one");
        let signed = both.sign("a", 1, b"x");
        assert_eq!(signed.split(' ').count(), 2);
        assert!(signed.ends_with(&alone.sign("a", 1, b"x")));
        let short = STANDARD.encode([1; 23]);
        for text in
            ["", "\n", "whsec_", "whsec_!", &old, &format!("whsec_{short}"), &format!("whsec_{old}\nx")]
        {
            assert!(SigningSecrets::parse(text.as_bytes()).is_none(), "{text}");
        }
        assert!(SigningSecrets::parse(format!("whsec_{old}\n").repeat(5).as_bytes()).is_none());
    }
}
