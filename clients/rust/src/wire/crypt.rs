//! Encrypt and decrypt: for ciphertexts that stay in the application's own database.
//!
//! Plaintexts are bytes and travel as base64. One result for each ciphertext, in the order asked: one that
//! does not open fails alone.
//!
//! A plaintext is never written anywhere but by `body`, into a buffer that is wiped.

use super::to_body;
use crate::ids::KeyName;
use crate::problem::Problem;
use crate::secret::Plaintext;
use serde::{Deserialize, Serialize, Serializer};
use zeroize::Zeroizing;

/// Plaintexts or ciphertexts that one request may carry.
pub const CRYPT_ITEMS: usize = 1000;

/// POST `/v1/orgs/{org}/encrypt`.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct EncryptRequest {
    /// At most 1,000, each up to 256 KiB.
    #[cfg_attr(feature = "schema", schemars(length(max = CRYPT_ITEMS)))]
    #[serde(deserialize_with = "super::items::up_to::<CRYPT_ITEMS, _, _>")]
    pub plaintexts: Vec<Plaintext>,
}

impl EncryptRequest {
    /// The JSON body of the POST, in a buffer that is wiped when it goes.
    #[must_use]
    pub fn body(&self) -> Zeroizing<Vec<u8>> {
        encrypt_body(&self.plaintexts)
    }
}

/// The body of an encrypt request of borrowed plaintexts.
pub(crate) fn encrypt_body(plaintexts: &[Plaintext]) -> Zeroizing<Vec<u8>> {
    #[derive(Serialize)]
    struct Written<'a> {
        plaintexts: Vec<Exposed<'a>>,
    }
    to_body(&Written { plaintexts: plaintexts.iter().map(Exposed).collect() })
}

/// The answer of an encrypt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EncryptOut {
    /// One a plaintext, in the order asked: Fernet tokens.
    pub ciphertexts: Vec<String>,
}

/// POST `/v1/orgs/{org}/decrypt`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DecryptRequest {
    /// At most 1,000.
    #[cfg_attr(feature = "schema", schemars(length(max = CRYPT_ITEMS)))]
    #[serde(deserialize_with = "super::items::up_to::<CRYPT_ITEMS, _, _>")]
    pub ciphertexts: Vec<String>,
    /// The retired application key that they were made with; the org's own where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyName>,
}

/// One answer of a decrypt, in the order asked.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(transform = crate::schema::plaintext_or_problem))]
pub struct DecryptResult {
    /// The plaintext, or the problem.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plaintext: Option<Plaintext>,
    /// Why there is no plaintext.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

impl From<Result<Plaintext, Problem>> for DecryptResult {
    fn from(opened: Result<Plaintext, Problem>) -> Self {
        match opened {
            Ok(plaintext) => Self { plaintext: Some(plaintext), problem: None },
            Err(problem) => Self { plaintext: None, problem: Some(problem) },
        }
    }
}

/// The answer of a decrypt.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DecryptOut {
    /// One a ciphertext.
    pub results: Vec<DecryptResult>,
}

impl DecryptOut {
    /// The JSON of the answer, in a buffer that is wiped when it goes.
    #[must_use]
    pub fn body(&self) -> Zeroizing<Vec<u8>> {
        #[derive(Serialize)]
        struct Written<'a> {
            results: Vec<One<'a>>,
        }
        to_body(&Written { results: self.results.iter().map(One::from).collect() })
    }
}

/// A result on its way into a body that is wiped.
#[derive(Serialize)]
struct One<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    plaintext: Option<Exposed<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<&'a Problem>,
}

impl<'a> From<&'a DecryptResult> for One<'a> {
    fn from(result: &'a DecryptResult) -> Self {
        Self { plaintext: result.plaintext.as_ref().map(Exposed), problem: result.problem.as_ref() }
    }
}

/// A plaintext on its way into a body that is wiped.
struct Exposed<'a>(&'a Plaintext);

impl Serialize for Exposed<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.0.to_base64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plaintext(bytes: &[u8]) -> Plaintext {
        Plaintext::new(bytes.to_vec())
    }

    #[test]
    fn plaintexts_read_back_from_their_body() {
        let request = EncryptRequest { plaintexts: vec![plaintext(b"\x00\xff\x10"), plaintext(b"")] };
        let body = request.body();
        assert_eq!(&body[..], br#"{"plaintexts":["AP8Q",""]}"#);
        let again: EncryptRequest = serde_json::from_slice(&body).expect("reads");
        assert_eq!(again.plaintexts, request.plaintexts);
    }

    #[test]
    fn results_stand_in_the_order_asked_each_with_its_own() {
        let problem: Problem = serde_json::from_str(
            r#"{"type":"t","title":"T","status":500,"code":"integrity","detail":"d","request_id":"r"}"#,
        )
        .expect("reads");
        let results = vec![Ok(plaintext(b"one")).into(), Err(problem.clone()).into()];
        let body = DecryptOut { results }.body();
        let again: DecryptOut = serde_json::from_slice(&body).expect("reads");
        assert_eq!(again.results[0].plaintext, Some(plaintext(b"one")));
        assert_eq!(again.results[1].problem, Some(problem));
        assert!(again.results[0].problem.is_none() && again.results[1].plaintext.is_none());
    }

    #[test]
    fn a_key_is_named_or_left_out() {
        let read = |text: &str| serde_json::from_str::<DecryptRequest>(text);
        assert_eq!(read(r#"{"ciphertexts":["gAAA"]}"#).expect("reads").key, None);
        let named = read(r#"{"ciphertexts":[],"key":"django-2019"}"#).expect("reads");
        assert_eq!(named.key.expect("named").as_str(), "django-2019");
        assert!(read(r#"{"ciphertexts":[],"keys":"x"}"#).is_err());
        assert!(read(r#"{"ciphertexts":[],"key":"../x"}"#).is_err());
    }
}
