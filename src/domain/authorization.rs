//! An authorization (RFC 6749, section 4.1, with PKCE, RFC 7636): what a person is asked, and what may come back.
//!
//! The hard problem: what comes back has gone through a browser, where others may have put their own code or another
//! provider's. The answer: PKCE binds the code to who began (RFC 9700, section 2.1.1), `iss` binds the answer to the
//! provider (RFC 9207), and the nonce binds the ID token to the request (OpenID Connect Core 1.0, section 3.1.3.7).
//!
//! Never repeats a byte of what came back.

use std::time::Duration;

use form_urlencoded::Serializer;
use tokenkeep_client::limits;
use tokenkeep_client::moment::Moment;
use tokenkeep_client::secret::{IdToken, RefreshToken};

use super::identity::account;
use super::provider::{Address, OAuthClient};
use super::refresh::answer::Granted;
use super::token_set::Accepted;

/// How long an authorization that was begun may be completed: a person signs in and reads what is asked.
pub const LIFETIME: Duration = Duration::from_secs(600);

/// The scope that asks for an ID token (OpenID Connect Core 1.0, section 3.1.2.1).
const OPENID: &str = "openid";

/// What a person is asked.
#[derive(Debug)]
pub struct Asked<'a> {
    /// Where the browser is sent back to.
    pub redirect_uri: &'a str,
    /// What is asked for.
    pub scopes: &'a [String],
    /// What comes back with the code.
    pub state: &'a str,
    /// Of the verifier.
    pub challenge: &'a str,
    /// For the ID token, where one is asked for.
    pub nonce: Option<&'a str>,
}

/// Whether these scopes ask for an ID token.
#[must_use]
pub fn asks_for_identity(scopes: &[String]) -> bool {
    scopes.iter().any(|scope| scope == OPENID)
}

/// Where the browser is sent (RFC 6749, section 4.1.1). What the endpoint's own query says is kept (section 3.1).
#[must_use]
pub fn url(client: &OAuthClient, endpoint: &Address, asked: &Asked<'_>) -> String {
    let mut url = endpoint.to_string();
    url.push(if url.contains('?') { '&' } else { '?' });
    let start = url.len();
    let mut query = Serializer::for_suffix(url, start);
    query.append_pair("response_type", "code");
    query.append_pair("client_id", &client.id);
    query.append_pair("redirect_uri", asked.redirect_uri);
    if !asked.scopes.is_empty() {
        query.append_pair("scope", &asked.scopes.join(client.scope_separator.as_str()));
    }
    query.append_pair("state", asked.state);
    query.append_pair("code_challenge", asked.challenge);
    query.append_pair("code_challenge_method", "S256");
    if let Some(nonce) = asked.nonce {
        query.append_pair("nonce", nonce);
    }
    query.finish()
}

/// Whether a browser may be sent back there: over TLS, to this host itself, or to an application by a scheme of its own
/// name (RFC 8252, section 7.1). Whether it is the right place, the provider compares.
///
/// # Errors
/// The rule.
pub fn judge_redirect_uri(text: &str) -> Result<(), &'static str> {
    const RULE: &str = "redirect_uri is https://…, http:// to a loopback address, or of a scheme with a dot in it; \
                        without a fragment, at most 2048 visible characters";
    let visible =
        text.len() <= limits::REDIRECT_URI && text.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    let (scheme, rest) = text.split_once(':').ok_or(RULE)?;
    let authority = rest.strip_prefix("//").map(|rest| rest.split(['/', '?']).next().unwrap_or_default());
    let is_fine = match (scheme, authority) {
        ("https", Some(authority)) => !authority.is_empty() && !authority.contains('@'),
        ("http", Some(authority)) => is_loopback(authority),
        ("https" | "http", None) => false,
        (scheme, _) => is_private_scheme(scheme) && !rest.is_empty(),
    };
    if visible && is_fine { Ok(()) } else { Err(RULE) }
}

fn is_loopback(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    };
    matches!(host, "127.0.0.1" | "[::1]" | "localhost")
}

fn is_private_scheme(scheme: &str) -> bool {
    scheme.contains('.')
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'+' | b'-'))
}

/// Why what came back is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mixed {
    /// It says who it comes from, and nobody has said who it should come from.
    IssuerUnknown,
    /// It does not say who it comes from, and this provider always does.
    IssuerMissing,
    /// It comes from somebody else.
    IssuerOther,
}

impl Mixed {
    /// What to do, in a sentence.
    #[must_use]
    pub fn detail(self) -> &'static str {
        match self {
            Self::IssuerUnknown => {
                "iss is given and cannot be checked: set issuer in the [[provider]] to what it calls itself"
            }
            Self::IssuerMissing => "iss is missing: hand in the iss that came back beside the code",
            Self::IssuerOther => {
                "iss is another provider's: this code was not given by the provider that was asked"
            }
        }
    }
}

/// Whether the answer comes from who was asked (RFC 9207, section 2.4: compared as it is, and missed where it is due).
///
/// # Errors
/// Why it cannot be said.
pub fn judge_issuer(expected: Option<&str>, given: Option<&str>) -> Result<(), Mixed> {
    match (expected, given) {
        (None, None) => Ok(()),
        (None, Some(_)) => Err(Mixed::IssuerUnknown),
        (Some(_), None) => Err(Mixed::IssuerMissing),
        (Some(expected), Some(given)) if expected == given => Ok(()),
        (Some(_), Some(_)) => Err(Mixed::IssuerOther),
    }
}

/// The token set that a code was exchanged for. What the answer leaves out is as it was asked (RFC 6749, section 5.1).
#[must_use]
pub fn accepted(granted: &Granted, scopes: &[String], client: &OAuthClient, asked_at: Moment) -> Accepted {
    let life = granted.expires_in.or(client.access_token_lifetime);
    Accepted {
        access_token: granted.access_token.copy(),
        refresh_token: granted.refresh_token.as_ref().map(RefreshToken::copy),
        account: granted.id_token.as_ref().and_then(account),
        id_token: granted.id_token.as_ref().map(IdToken::copy),
        token_type: granted.token_type.clone().unwrap_or_else(|| "Bearer".to_owned()),
        // From the moment at which it was asked for: it cannot be older.
        expires_at: life.map(|life| asked_at.after(life)),
        scopes: granted.scopes.clone().unwrap_or_else(|| scopes.to_vec()),
        labels: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_sent_back_over_tls_or_stays_on_its_host() {
        for fine in [
            "https://app.example/callback?x=1",
            "http://127.0.0.1:3000/cb",
            "http://[::1]:3000/cb",
            "http://localhost/cb",
            "com.example.app:/cb",
        ] {
            assert_eq!(judge_redirect_uri(fine), Ok(()), "{fine}");
        }
        let long = format!("https://a/{}", "a".repeat(limits::REDIRECT_URI));
        for bad in [
            "",
            "app.example/cb",
            "http://app.example/cb",
            "http://localhost.example/cb",
            "https:///cb",
            "https:cb",
            "https://u@app.example/",
            "https://app.example/#f",
            "https://app.example/a b",
            "javascript:alert(1)",
            "data:text/html,x",
            &long,
        ] {
            assert!(judge_redirect_uri(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_issuer_is_compared_as_it_is_and_missed_where_it_is_due() {
        let idp = Some("https://idp.example");
        assert_eq!(judge_issuer(None, None), Ok(()));
        assert_eq!(judge_issuer(idp, idp), Ok(()));
        assert_eq!(judge_issuer(idp, Some("https://idp.example/")), Err(Mixed::IssuerOther));
        assert_eq!(judge_issuer(idp, None), Err(Mixed::IssuerMissing));
        assert_eq!(judge_issuer(None, idp), Err(Mixed::IssuerUnknown));
    }
}
