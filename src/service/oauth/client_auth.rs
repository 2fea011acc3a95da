//! How our client proves itself at a token endpoint (RFC 6749, section 2.3; RFC 7523; RFC 8705).
//!
//! The hard problem: the same id and secret are sent in five ways, and a provider that expects another one says
//! `invalid_client`, as if the secret were wrong. The answer: the way is data, and what is needed for it is read from
//! its place for this one request.
//!
//! Never keeps a secret: it goes with the request that it was read for.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::form::{self, Fields};
use crate::crypto::assertion::{AssertionKey, Claims};
use crate::domain::provider::client::{self, ClientAuth, OAuthClient};
use crate::net::outbound::{Identity, Request};
use crate::os::held::{Held, HeldError};

/// RFC 7521, section 4.2: what a signed assertion is announced as.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// An assertion is made for one request: a minute is far more than that takes, and bears with clocks that differ.
const ASSERTION_LIFETIME: Duration = Duration::from_secs(60);

/// Secrets have less than 200 bytes; keys in PEM, and chains, a few KiB.
const LONGEST: usize = 64 * 1024;

/// Why our client cannot prove itself. Ours to mend: no provider was asked.
#[derive(Debug)]
pub enum ClientAuthError {
    /// What is needed cannot be had: the setting, and why.
    Held(&'static str, HeldError),
    /// What is there is not what it should be: the setting, where it is held, what is wrong, and the mend.
    Unusable(&'static str, Held, &'static str),
}

impl ClientAuthError {
    /// Whether others may have read it.
    #[must_use]
    pub fn is_unsafe(&self) -> bool {
        matches!(self, Self::Held(_, why) if why.is_unsafe())
    }
}

impl fmt::Display for ClientAuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held(setting, why) => write!(f, "{setting}: {why}"),
            Self::Unusable(setting, held, what) => write!(f, "{setting}: {held} {what}"),
        }
    }
}

impl std::error::Error for ClientAuthError {}

/// The proof, for one request.
pub(super) enum Proof {
    /// `client_assertion`
    Assertion(Zeroizing<String>),
    /// Shown in the handshake.
    Certificate(Identity),
    /// `Authorization`
    Header(Zeroizing<String>),
    /// There is none.
    Public,
    /// `client_secret`
    Secret(Zeroizing<String>),
}

impl Proof {
    pub(super) fn of(client: &OAuthClient, now: SystemTime) -> Result<Self, ClientAuthError> {
        Ok(match &client.auth {
            ClientAuth::Basic(held) => {
                Self::Header(basic(&form::encode(&client.id), &form::encode(&secret(held)?)))
            }
            ClientAuth::BasicRaw(held) => Self::Header(basic(&client.id, &secret(held)?)),
            ClientAuth::Mtls(pair) => Self::Certificate(identity(pair)?),
            ClientAuth::None => Self::Public,
            ClientAuth::Post(held) => Self::Secret(secret(held)?),
            ClientAuth::PrivateKeyJwt(signing) => Self::Assertion(assertion(client, signing, now)?),
        })
    }

    /// In HTTP Basic, whatever is asked for at the token endpoint.
    pub(super) fn in_header(client: &OAuthClient) -> Result<Self, ClientAuthError> {
        match &client.auth {
            ClientAuth::Basic(held) | ClientAuth::BasicRaw(held) | ClientAuth::Post(held) => {
                Ok(Self::Header(basic(&client.id, &secret(held)?)))
            }
            ClientAuth::Mtls(_) | ClientAuth::None | ClientAuth::PrivateKeyJwt(_) => Ok(Self::Public),
        }
    }

    /// What it adds to the body. Without a header that says so, the body says which client it is.
    pub(super) fn add_fields<'a>(&'a self, client: &'a OAuthClient, fields: &mut Fields<'a>) {
        match self {
            Self::Header(_) => return,
            Self::Assertion(assertion) => {
                fields.push(("client_assertion_type", JWT_BEARER));
                fields.push(("client_assertion", assertion));
            }
            Self::Secret(secret) => fields.push(("client_secret", secret)),
            Self::Certificate(_) | Self::Public => {}
        }
        fields.push(("client_id", &client.id));
    }

    /// What it adds beside the body.
    pub(super) fn complete(self, request: Request) -> Request {
        match self {
            Self::Header(value) => request.with_header("authorization", value),
            Self::Certificate(identity) => request.with_identity(identity),
            Self::Assertion(_) | Self::Public | Self::Secret(_) => request,
        }
    }
}

/// RFC 7617, section 2. Base64 into a buffer of the right size: `encode` goes through one on the stack.
fn basic(id: &str, secret: &str) -> Zeroizing<String> {
    let mut pair = Zeroizing::new(Vec::with_capacity(id.len() + 1 + secret.len()));
    pair.extend_from_slice(id.as_bytes());
    pair.push(b':');
    pair.extend_from_slice(secret.as_bytes());
    let mut encoded = Zeroizing::new(vec![0; base64::encoded_len(pair.len(), true).unwrap_or_default()]);
    let written = STANDARD.encode_slice(&*pair, &mut encoded);
    debug_assert!(written.is_ok(), "the length was asked for");
    let mut header = Zeroizing::new(String::with_capacity("Basic ".len() + encoded.len()));
    header.push_str("Basic ");
    // Base64 is ASCII.
    header.push_str(std::str::from_utf8(&encoded).unwrap_or_default());
    header
}

/// RFC 6749, appendix A.2: visible characters and spaces; the line may end.
fn secret(held: &Held) -> Result<Zeroizing<String>, ClientAuthError> {
    let bytes = read("client_secret", held)?;
    let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let sound = !line.is_empty() && line.iter().all(|b| matches!(b, 0x20..=0x7e));
    match std::str::from_utf8(line) {
        Ok(text) if sound => Ok(Zeroizing::new(text.to_owned())),
        _ => {
            let what =
                "is not one line of visible characters; it must hold the client's secret and nothing else";
            Err(ClientAuthError::Unusable("client_secret", held.clone(), what))
        }
    }
}

fn identity(pair: &client::ClientCertificate) -> Result<Identity, ClientAuthError> {
    let (chain, key) = (read("client_certificate", &pair.certificate)?, read("client_key", &pair.key)?);
    Identity::parse(&chain, &key).ok_or_else(|| {
        let what = "and client_key are not a certificate and its key; write both as PEM, the key unencrypted";
        ClientAuthError::Unusable("client_certificate", pair.certificate.clone(), what)
    })
}

fn assertion(
    client: &OAuthClient,
    signing: &client::AssertionKey,
    now: SystemTime,
) -> Result<Zeroizing<String>, ClientAuthError> {
    let pem = read("client_key", &signing.key)?;
    let token_endpoint = client.token_endpoint.to_string();
    let claims = Claims {
        client_id: &client.id,
        audience: signing.audience.as_deref().unwrap_or(&token_endpoint),
        key_id: signing.id.as_deref(),
        issued_at: now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
        lifetime: ASSERTION_LIFETIME.as_secs(),
    };
    AssertionKey::parse(&pem).and_then(|key| key.assert(&claims)).ok_or_else(|| {
        let what = "is no key that signs RS256 or ES256; write an RSA key of 2048 bits or more, or one of P-256, \
                    unencrypted as PKCS #8 (openssl pkcs8 -topk8 -nocrypt)";
        ClientAuthError::Unusable("client_key", signing.key.clone(), what)
    })
}

fn read(setting: &'static str, held: &Held) -> Result<Zeroizing<Vec<u8>>, ClientAuthError> {
    held.read(LONGEST).map_err(|why| ClientAuthError::Held(setting, why))
}
