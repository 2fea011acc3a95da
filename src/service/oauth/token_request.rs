//! Requests for new token sets (RFC 6749, section 6) and for the revocation of old ones (RFC 7009), ready to be sent.
//!
//! The hard problem: a refresh token and a client secret meet here. The answer: both go from where they are kept into
//! one buffer of the right size, which is the request's and is wiped with it.
//!
//! Never sends: who sends one knows what a lost answer costs.

use std::time::SystemTime;

use tokenkeep_client::secret::{AccessToken, AuthorizationCode, RefreshToken, SecretValue};
use zeroize::Zeroizing;

use super::client_auth::{ClientAuthError, Proof};
use super::form::{self, Fields};
use crate::domain::provider::client::{BodyForm, OAuthClient, Revocation, RevocationWay};
use crate::net::outbound::Request;

/// GitHub refuses who does not say what it is.
const USER_AGENT: &str = concat!("tokenkeep/", env!("CARGO_PKG_VERSION"));

/// A token set, as far as a revocation needs one.
pub struct Revoked<'a> {
    /// For providers that take only this one.
    pub access: &'a AccessToken,
    /// Ends the access tokens too, where the provider follows RFC 7009, section 2.1.
    pub refresh: Option<&'a RefreshToken>,
}

/// The request that asks the token endpoint of `client` for the next token set.
///
/// # Errors
/// Our client cannot prove itself.
pub fn refresh_request(
    client: &OAuthClient,
    token: &RefreshToken,
    now: SystemTime,
) -> Result<Request, ClientAuthError> {
    let fields = vec![("grant_type", "refresh_token"), ("refresh_token", token.expose())];
    let target = client.token_endpoint.target();
    proven(client, Request::new("POST", target), client.token_request, fields, now)
}

/// What is shown at the token endpoint for a token set (RFC 6749, section 4.1.3; RFC 7636, section 4.5).
pub struct Code<'a> {
    /// What the browser came back with.
    pub code: &'a AuthorizationCode,
    /// As it was sent to the authorization endpoint.
    pub redirect_uri: &'a str,
    /// What the challenge was made of.
    pub verifier: &'a SecretValue,
}

/// The request that exchanges a code at the token endpoint of `client`.
///
/// # Errors
/// Our client cannot prove itself.
pub fn code_request(
    client: &OAuthClient,
    code: &Code<'_>,
    now: SystemTime,
) -> Result<Request, ClientAuthError> {
    let fields = vec![
        ("grant_type", "authorization_code"),
        ("code", code.code.expose()),
        ("redirect_uri", code.redirect_uri),
        ("code_verifier", code.verifier.expose()),
    ];
    let target = client.token_endpoint.target();
    proven(client, Request::new("POST", target), client.token_request, fields, now)
}

/// The request that revokes a token set at its provider.
///
/// # Errors
/// Our client cannot prove itself.
pub fn revocation_request(
    client: &OAuthClient,
    revocation: &Revocation,
    revoked: &Revoked<'_>,
    now: SystemTime,
) -> Result<Request, ClientAuthError> {
    let target = revocation.endpoint.target();
    let (token, hint) = match revoked.refresh {
        Some(refresh) => (refresh.expose(), "refresh_token"),
        None => (revoked.access.expose(), "access_token"),
    };
    let fields = vec![("token", token), ("token_type_hint", hint)];
    match revocation.way {
        RevocationWay::Form => proven(client, Request::new("POST", target), BodyForm::Form, fields, now),
        RevocationWay::Json => proven(client, Request::new("POST", target), BodyForm::Json, fields, now),
        RevocationWay::Bearer => {
            let mut bearer = Zeroizing::new(String::with_capacity(7 + revoked.access.expose().len()));
            bearer.push_str("Bearer ");
            bearer.push_str(revoked.access.expose());
            Ok(dressed(client, Request::new("POST", target)).with_header("authorization", bearer))
        }
        RevocationWay::GitHub => {
            let request =
                Request::new("DELETE", format!("{target}/{}/token", form::encode(&client.id).as_str()));
            let (kind, body) = form::body(BodyForm::Json, &vec![("access_token", revoked.access.expose())]);
            let request = dressed(client, request).with_body(kind, body);
            Ok(Proof::in_header(client)?.complete(request))
        }
    }
}

fn proven(
    client: &OAuthClient,
    request: Request,
    written: BodyForm,
    fields: Fields<'_>,
    now: SystemTime,
) -> Result<Request, ClientAuthError> {
    let proof = Proof::of(client, now)?;
    let (kind, body) = {
        let mut fields = fields;
        proof.add_fields(client, &mut fields);
        form::body(written, &fields)
    };
    Ok(proof.complete(dressed(client, request).with_body(kind, body)))
}

fn dressed(client: &OAuthClient, request: Request) -> Request {
    let plain = |text: &str| Zeroizing::new(text.to_owned());
    let request =
        request.with_header("accept", plain("application/json")).with_header("user-agent", plain(USER_AGENT));
    client.headers.iter().fold(request, |request, (name, value)| request.with_header(name, plain(value)))
}

#[cfg(test)]
mod tests;
