//! Whether a provider can be asked at all, and whether it knows our client: tried, without a token of anybody.
//!
//! The hard problem: a wrong client secret shows only when the first refresh is due, and then for every connection at
//! once. The answer: a refresh with a token that nobody ever issued. A provider that answers `invalid_grant` has
//! accepted our client; one that answers `invalid_client` has not.
//!
//! Never sends a token that is kept here, and never repeats a byte of an answer.

use std::time::SystemTime;

use serde::Deserialize;
use tokenkeep_client::secret::{AccessToken, RefreshToken};
use tokenkeep_client::wire::Finding;

use super::client_auth::ClientAuthError;
use super::token_request::{Revoked, refresh_request, revocation_request};
use crate::crypto::{hex, random};
use crate::domain::provider::Address;
use crate::domain::provider::client::{ErrorMeaning, OAuthClient, RevocationWay};
use crate::net::connection::ConnectionError;
use crate::net::outbound::{Answer, OutboundError, Request};

/// Sends a request of this client to an address; blocks until there is an answer.
pub type Ask = dyn Fn(&OAuthClient, &Address, Request) -> Result<Answer, OutboundError> + Send + Sync;

/// Errors that may be named: the words of RFC 6749, sections 4.1.2.1 and 5.2, of RFC 6750 and RFC 7009. Whatever else
/// comes is not repeated.
const KNOWN_ERRORS: [&str; 11] = [
    "access_denied",
    "invalid_client",
    "invalid_grant",
    "invalid_request",
    "invalid_scope",
    "invalid_token",
    "server_error",
    "temporarily_unavailable",
    "unauthorized_client",
    "unsupported_grant_type",
    "unsupported_token_type",
];

/// An error, as far as it is looked at.
#[derive(Deserialize)]
struct ErrorAnswer {
    error: Option<String>,
}

/// What was found, each with its mend. Blocks.
#[must_use]
pub fn check(client: &OAuthClient, ask: &Ask, now: SystemTime) -> Vec<Finding> {
    let mut findings = Vec::new();
    let nobodys = RefreshToken::new(nobodys_token());
    match refresh_request(client, &nobodys, now) {
        Err(why) => return vec![unproven(&why)],
        Ok(request) => {
            findings.push(ok("client_credentials", "what the client proves itself with can be read"));
            match ask(client, &client.token_endpoint, request) {
                Err(why) => {
                    findings.push(unreached("token_endpoint", &why));
                    return findings;
                }
                Ok(answer) => {
                    findings
                        .push(ok("token_endpoint", &format!("it answers, with status {}", answer.status)));
                    findings.push(of_token_endpoint(client, &answer));
                }
            }
        }
    }
    findings.extend(revocation(client, ask, now));
    findings
}

/// The words say where it came from, to whoever reads the provider's log.
fn nobodys_token() -> String {
    format!("tokenkeep-provider-check-{}", hex::encode(&random::bytes::<16>()))
}

fn of_token_endpoint(client: &OAuthClient, answer: &Answer) -> Finding {
    let Some(error) = error_of(answer) else {
        let (detail, mend) = match answer.status {
            200..=299 => (
                "it gives something for a refresh token that nobody issued",
                "see that token_endpoint is the provider's own",
            ),
            300..=399 => ("it sends elsewhere", "set token_endpoint to the address that it sends to"),
            404 | 405 => ("there is no token endpoint", "see the path of token_endpoint"),
            429 => ("it is asked too often now", "try again later"),
            500..=599 => ("it has a fault of its own", "try again later"),
            _ => ("its answer is not one of OAuth", "see token_endpoint, and token_request"),
        };
        return warn("client_auth", detail, mend);
    };
    let named = named(&error);
    match client.meaning(&error) {
        ErrorMeaning::Grant => {
            ok("client_auth", &format!("our client is accepted, a token that nobody issued is not ({named})"))
        }
        ErrorMeaning::Client => fail(
            "client_auth",
            &format!("our client is not accepted ({named})"),
            "see client_id, what proves it, and client_auth: the provider may expect another way",
        ),
        ErrorMeaning::Other => warn(
            "client_auth",
            &format!("it answers {named}, which says neither that our client is accepted nor that it is not"),
            "see token_request and client_auth; where it is this provider's word for one of the two, add it to \
             grant_errors or client_errors",
        ),
    }
}

/// A token that nobody issued is revoked with success (RFC 7009, section 2.2), unless our client is not accepted.
fn revocation(client: &OAuthClient, ask: &Ask, now: SystemTime) -> Option<Finding> {
    let revocation = client.revocation.as_ref()?;
    if !matches!(revocation.way, RevocationWay::Form | RevocationWay::Json) {
        let detail = "revoking takes an access token that is accepted, so it is not tried";
        return Some(ok("revocation_endpoint", detail));
    }
    let (access, refresh) = (AccessToken::new(nobodys_token()), RefreshToken::new(nobodys_token()));
    let revoked = Revoked { access: &access, refresh: Some(&refresh) };
    let answer = match revocation_request(client, revocation, &revoked, now) {
        Err(why) => return Some(unproven(&why)),
        Ok(request) => ask(client, &revocation.endpoint, request),
    };
    Some(match answer {
        Err(why) => unreached("revocation_endpoint", &why),
        Ok(answer) => of_revocation_endpoint(client, &answer),
    })
}

fn of_revocation_endpoint(client: &OAuthClient, answer: &Answer) -> Finding {
    const CHECK: &str = "revocation_endpoint";
    let error = error_of(answer);
    match error.as_deref().map(|error| (client.meaning(error), named(error))) {
        Some((ErrorMeaning::Client, named)) => {
            fail(CHECK, &format!("our client is not accepted ({named})"), "see revocation, and client_auth")
        }
        // Some refuse what nobody issued, though RFC 7009 has them say nothing of it.
        Some((meaning, named)) if meaning == ErrorMeaning::Grant || named == "invalid_token" => {
            ok(CHECK, &format!("it answers, and knows no such token ({named})"))
        }
        Some((_, named)) => warn(
            CHECK,
            &format!("it answers {named}, which does not say whether a token would be revoked"),
            "see revocation_endpoint, revocation and client_auth",
        ),
        None if (200..300).contains(&answer.status) => ok(CHECK, "it answers, and knows no such token"),
        None => warn(
            CHECK,
            &format!("it answers with status {}, and not as RFC 7009 has it", answer.status),
            "see revocation_endpoint and revocation",
        ),
    }
}

fn error_of(answer: &Answer) -> Option<String> {
    serde_json::from_slice::<ErrorAnswer>(&answer.body).ok()?.error
}

/// What may be repeated of an error: its word, if it is one of the RFC.
fn named(error: &str) -> &'static str {
    KNOWN_ERRORS.into_iter().find(|known| *known == error).unwrap_or("an error of its own")
}

fn unproven(why: &ClientAuthError) -> Finding {
    fail("client_credentials", &why.to_string(), "put it right, then check again; nothing was sent")
}

fn unreached(check: &str, why: &OutboundError) -> Finding {
    let mend = match why {
        OutboundError::Unconnected(ConnectionError::Unresolved) => "see the host of the address, and DNS",
        OutboundError::Unconnected(ConnectionError::NotNamed) => {
            "have tokenkeep-egress read the configuration again (SIGHUP)"
        }
        OutboundError::Unconnected(ConnectionError::Egress(_) | ConnectionError::Impostor(_)) => {
            "see that tokenkeep-egress runs, at the socket that [egress] names"
        }
        OutboundError::Unconnected(ConnectionError::Forbidden) => {
            "see the host of the address, and what DNS says of it"
        }
        OutboundError::Untrusted(_) | OutboundError::Roots(_) => {
            "see the host of the address, and set ca where its authority is your own"
        }
        OutboundError::Untimely(_) => "see the clock of this host",
        OutboundError::Deadline(_) | OutboundError::Unconnected(_) => {
            "see the firewall, and whether the provider is up"
        }
        _ => "see the address",
    };
    fail(check, &format!("it {why}"), mend)
}

fn ok(check: &str, detail: &str) -> Finding {
    Finding { check: check.into(), level: "ok".into(), detail: detail.into(), mend: None }
}

fn warn(check: &str, detail: &str, mend: &str) -> Finding {
    Finding { check: check.into(), level: "warn".into(), detail: detail.into(), mend: Some(mend.into()) }
}

fn fail(check: &str, detail: &str, mend: &str) -> Finding {
    Finding { check: check.into(), level: "fail".into(), detail: detail.into(), mend: Some(mend.into()) }
}
