//! Assertions by which a client proves itself with a key instead of a secret (RFC 7523): a signed JWT.
//!
//! The key decides the algorithm: an RSA key signs RS256, one of P-256 signs ES256 (RFC 7518, section 3.1).
//!
//! Never a key that is kept: it is read, signs, and goes.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;
use zeroize::Zeroizing;

use super::hex;
use super::random;

/// What stands around a PKCS #8 key in PEM (RFC 7468, section 10).
const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

/// A key that signs. AWS-LC wipes it when it goes.
pub struct AssertionKey(Pair);

enum Pair {
    P256(EcdsaKeyPair),
    Rsa(Box<RsaKeyPair>),
}

/// What an assertion says.
#[derive(Debug, Clone, Copy)]
pub struct Claims<'a> {
    /// Who signs, about itself: `iss` and `sub`.
    pub client_id: &'a str,
    /// Who is meant.
    pub audience: &'a str,
    /// `kid` of the key, where the provider gave it one.
    pub key_id: Option<&'a str>,
    /// Seconds since 1970.
    pub issued_at: u64,
    /// Seconds that it is good for.
    pub lifetime: u64,
}

impl AssertionKey {
    /// Reads a PKCS #8 key in PEM: RSA of 2048 bits or more, or P-256. None where it is neither.
    #[must_use]
    pub fn parse(pem: &[u8]) -> Option<Self> {
        let der = decode(pem)?;
        if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der) {
            return Some(Self(Pair::P256(pair)));
        }
        RsaKeyPair::from_pkcs8(&der).ok().map(|pair| Self(Pair::Rsa(Box::new(pair))))
    }

    /// A signed assertion, each with an id of its own (`jti`). None where the key does not sign.
    #[must_use]
    pub fn assert(&self, claims: &Claims<'_>) -> Option<Zeroizing<String>> {
        let algorithm = match self.0 {
            Pair::P256(_) => "ES256",
            Pair::Rsa(_) => "RS256",
        };
        let mut header = json!({ "alg": algorithm, "typ": "JWT" });
        if let Some(id) = claims.key_id {
            header["kid"] = id.into();
        }
        let body = json!({
            "iss": claims.client_id,
            "sub": claims.client_id,
            "aud": claims.audience,
            "jti": hex::encode(&random::bytes::<16>()),
            "iat": claims.issued_at,
            "exp": claims.issued_at.saturating_add(claims.lifetime),
        });
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let signed = format!("{}.{}", encode(&header.to_string()), encode(&body.to_string()));
        let signature = URL_SAFE_NO_PAD.encode(self.sign(signed.as_bytes())?);
        let mut assertion = Zeroizing::new(String::with_capacity(signed.len() + 1 + signature.len()));
        assertion.push_str(&signed);
        assertion.push('.');
        assertion.push_str(&signature);
        Some(assertion)
    }

    fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match &self.0 {
            Pair::P256(pair) => Some(pair.sign(&random, message).ok()?.as_ref().to_vec()),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).ok()?;
                Some(signature)
            }
        }
    }
}

/// The bytes between the lines, in buffers of the right size that are wiped.
fn decode(pem: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let text = std::str::from_utf8(pem).ok()?;
    let (_, rest) = text.split_once(BEGIN)?;
    let (body, _) = rest.split_once(END)?;
    let mut joined = Zeroizing::new(Vec::with_capacity(body.len()));
    joined.extend(body.bytes().filter(|byte| !byte.is_ascii_whitespace()));
    let mut der = Zeroizing::new(vec![0; base64::decoded_len_estimate(joined.len())]);
    let length = STANDARD.decode_slice(&*joined, &mut der).ok()?;
    der.truncate(length);
    Some(der)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::encoding::AsDer as _;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED, KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
    };

    fn pem(der: &[u8]) -> String {
        format!("{BEGIN}\n{}\n{END}\n", STANDARD.encode(der))
    }

    fn asserted(pem: &str) -> (Vec<Vec<u8>>, String) {
        let claims = Claims {
            client_id: "c",
            audience: "https://idp.example/token",
            key_id: Some("k1"),
            issued_at: 1_700_000_000,
            lifetime: 60,
        };
        let jwt = AssertionKey::parse(pem.as_bytes()).unwrap().assert(&claims).unwrap();
        let parts = jwt.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap()).collect();
        (parts, jwt.rsplit_once('.').unwrap().0.to_owned())
    }

    #[test]
    fn an_assertion_verifies_with_the_public_key_and_says_who_means_whom_until_when() {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let (parts, signed) = asserted(&pem(key.to_pkcs8v1().unwrap().as_ref()));
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.public_key().as_ref());
        assert!(public.verify(signed.as_bytes(), &parts[2]).is_ok());
        assert!(public.verify(b"other", &parts[2]).is_err());
        let header: serde_json::Value = serde_json::from_slice(&parts[0]).unwrap();
        assert_eq!(header, json!({ "alg": "ES256", "typ": "JWT", "kid": "k1" }));
        let claims: serde_json::Value = serde_json::from_slice(&parts[1]).unwrap();
        assert_eq!((&claims["iss"], &claims["sub"]), (&json!("c"), &json!("c")));
        assert_eq!(claims["aud"], "https://idp.example/token");
        assert_eq!(
            (claims["iat"].as_u64(), claims["exp"].as_u64()),
            (Some(1_700_000_000), Some(1_700_000_060))
        );
        let (again, _) = asserted(&pem(key.to_pkcs8v1().unwrap().as_ref()));
        assert_ne!(parts[1], again[1], "each has an id of its own");
    }

    #[test]
    fn an_rsa_key_signs_rs256() {
        let key = RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
        let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = key.as_der().unwrap();
        let (parts, signed) = asserted(&pem(der.as_ref()));
        let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref());
        assert!(public.verify(signed.as_bytes(), &parts[2]).is_ok());
        assert!(parts[0].windows(5).any(|window| window == b"RS256"));
    }

    #[test]
    fn what_is_no_key_is_none() {
        for text in
            ["", "hunter2", "-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----", &pem(b"no key")]
        {
            assert!(AssertionKey::parse(text.as_bytes()).is_none(), "{text}");
        }
    }
}
