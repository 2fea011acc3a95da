//! The request of a refresh (RFC 6749, sections 2.3.1 and 6), with the proof that we are the client.
//!
//! The secret is read for each request and wiped with it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokenkeep_client::secret::RefreshToken;
use zeroize::Zeroizing;

use crate::domain::provider::OAuthClient;
use crate::domain::provider::client::{BodyForm, ClientAuth};
use crate::net::outbound::Request;
use crate::os::held::{Held, HeldError};

/// Far beyond any client secret.
const LONGEST_SECRET: usize = 16 * 1024;

/// Asks for a new token set.
///
/// # Errors
/// The secret cannot be read.
pub(super) fn refresh(client: &OAuthClient, token: &RefreshToken) -> Result<Request, HeldError> {
    let token = RefreshToken::expose(token);
    let mut fields = vec![("grant_type", Zeroizing::new("refresh_token".to_owned()))];
    fields.push(("refresh_token", Zeroizing::new(token.to_owned())));
    let mut authorization = None;
    match &client.auth {
        ClientAuth::Basic(held) => {
            let secret = read(held)?;
            authorization = Some(basic(&encoded(&client.id), &encoded(&secret)));
        }
        ClientAuth::BasicRaw(held) => authorization = Some(basic(&client.id, &read(held)?)),
        ClientAuth::Post(held) => {
            fields.push(("client_id", Zeroizing::new(client.id.clone())));
            fields.push(("client_secret", read(held)?));
        }
        ClientAuth::None | ClientAuth::Mtls(_) | ClientAuth::PrivateKeyJwt(_) => {
            fields.push(("client_id", Zeroizing::new(client.id.clone())));
        }
    }
    let body = match client.token_request {
        BodyForm::Form => form(&fields),
        BodyForm::Json => json(&fields),
    };
    let content = match client.token_request {
        BodyForm::Form => "application/x-www-form-urlencoded",
        BodyForm::Json => "application/json",
    };
    let request = Request::new("POST", client.token_endpoint.target())
        .with_body(content, body)
        .with_header("accept", Zeroizing::new("application/json".to_owned()))
        .with_header(
            "user-agent",
            Zeroizing::new(concat!("tokenkeep/", env!("CARGO_PKG_VERSION")).to_owned()),
        );
    Ok(match authorization {
        Some(value) => request.with_header("authorization", value),
        None => request,
    })
}

fn read(held: &Held) -> Result<Zeroizing<String>, HeldError> {
    let bytes = held.read(LONGEST_SECRET)?;
    Ok(Zeroizing::new(String::from_utf8_lossy(&bytes).trim_end_matches(['\r', '\n']).to_owned()))
}

fn basic(id: &str, secret: &str) -> Zeroizing<String> {
    let pair = Zeroizing::new(format!("{id}:{secret}"));
    let mut value = Zeroizing::new(String::with_capacity(6 + pair.len().div_ceil(3) * 4));
    value.push_str("Basic ");
    STANDARD.encode_string(pair.as_bytes(), &mut value);
    value
}

fn form(fields: &[(&str, Zeroizing<String>)]) -> Zeroizing<Vec<u8>> {
    let room = fields.iter().map(|(name, value)| name.len() + 3 * value.len() + 2).sum();
    let mut body = Zeroizing::new(Vec::with_capacity(room));
    for (name, value) in fields {
        if !body.is_empty() {
            body.push(b'&');
        }
        body.extend_from_slice(name.as_bytes());
        body.push(b'=');
        body.extend_from_slice(encoded(value).as_bytes());
    }
    body
}

fn json(fields: &[(&str, Zeroizing<String>)]) -> Zeroizing<Vec<u8>> {
    let object: std::collections::BTreeMap<&str, &str> =
        fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let room = fields.iter().map(|(name, value)| name.len() + 6 * value.len() + 8).sum();
    let mut body = Zeroizing::new(Vec::with_capacity(room));
    // Writing a map of strings into memory does not fail.
    drop(serde_json::to_writer(&mut *body, &object));
    body
}

/// `application/x-www-form-urlencoded` (RFC 6749, appendix B), a space as `%20`, which every decoder takes.
fn encoded(text: &str) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::with_capacity(3 * text.len()));
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let digit = |value: u8| char::from(b"0123456789ABCDEF"[usize::from(value & 15)]);
            out.extend(['%', digit(byte >> 4), digit(byte)]);
        }
    }
    out
}
