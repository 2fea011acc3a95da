//! A token set as an application hands it in, checked against the rules.
//!
//! The hard problem: what is accepted here is served as a header later, so it must be a token by the letter
//! of RFC 6749 (appendix A: VSCHAR), not merely a string.
//!
//! Errors say the rule, never the text.

use std::time::Duration;

use tokenkeep_client::limits;
use tokenkeep_client::moment::Moment;
use tokenkeep_client::secret::{AccessToken, IdToken, RefreshToken};
use tokenkeep_client::wire::{Labels, Scope, TokenSet};

use super::identity;
use super::provider::client::ScopeSeparator;

/// A token set that follows the rules.
#[derive(Debug)]
pub struct Accepted {
    /// The access token.
    pub access_token: AccessToken,
    /// The refresh token, where one came.
    pub refresh_token: Option<RefreshToken>,
    /// The ID token, where one came.
    pub id_token: Option<IdToken>,
    /// What the provider calls the account, where that is known.
    pub account: Option<String>,
    /// RFC 6749, section 7.1.
    pub token_type: String,
    /// The end of the access token, where it is known.
    pub expires_at: Option<Moment>,
    /// The scopes granted, none empty.
    pub scopes: Vec<String>,
    /// None: the stored ones stay.
    pub labels: Option<Labels>,
}

/// The rule that a token set breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejected(pub &'static str);

/// Checks a token set that came at `now`, from a provider that writes `separator` between scopes.
///
/// # Errors
/// The first rule it breaks.
pub fn accept(set: TokenSet, now: Moment, separator: ScopeSeparator) -> Result<Accepted, Rejected> {
    token(set.access_token.expose(), "access_token is 1 to 16384 printable ASCII characters")?;
    if let Some(text) = &set.refresh_token {
        token(text.expose(), "refresh_token is 1 to 16384 printable ASCII characters")?;
    }
    if let Some(text) = &set.id_token {
        token(text.expose(), "id_token is 1 to 16384 printable ASCII characters")?;
    }
    if let Some(account) = &set.account
        && !is_account(account)
    {
        return Err(Rejected("account is 1 to 512 bytes without control characters"));
    }
    let token_type = set.token_type.unwrap_or_else(|| "Bearer".to_owned());
    if token_type.is_empty() || token_type.len() > limits::TOKEN_TYPE || !token_type.bytes().all(is_printable)
    {
        return Err(Rejected("token_type is 1 to 64 printable ASCII characters"));
    }
    let expires_at = match (set.expires_in, set.expires_at) {
        (Some(_), Some(_)) => return Err(Rejected("expires_in and expires_at do not go together")),
        (Some(seconds), None) if seconds > limits::EXPIRES_IN => {
            return Err(Rejected("expires_in is a span in seconds, at most ten years"));
        }
        (Some(seconds), None) => Some(now.after(Duration::from_secs(seconds))),
        (None, at) => at,
    };
    let scopes = match (set.scope, set.scopes) {
        (Some(_), Some(_)) => return Err(Rejected("scope and scopes do not go together")),
        (Some(Scope::Text(text)), None) => separator.split(&text).map(str::to_owned).collect(),
        (Some(Scope::List(scopes)), None) => scopes,
        (None, scopes) => scopes.unwrap_or_default(),
    };
    check_scopes(&scopes)?;
    if let Some(labels) = &set.labels {
        check_labels(labels)?;
    }
    Ok(Accepted {
        account: set.account.or_else(|| set.id_token.as_ref().and_then(identity::account)),
        access_token: set.access_token,
        refresh_token: set.refresh_token,
        id_token: set.id_token,
        token_type,
        expires_at,
        scopes,
        labels: set.labels,
    })
}

/// Checks a list of scopes.
///
/// # Errors
/// The rule they break.
pub fn check_scopes(scopes: &[String]) -> Result<(), Rejected> {
    if scopes.len() <= limits::SCOPES && scopes.iter().all(|scope| is_scope(scope)) {
        Ok(())
    } else {
        Err(Rejected("there are at most 256 scopes, each 1 to 512 printable characters without a space"))
    }
}

/// Checks the labels of a connection or a secret.
///
/// # Errors
/// The rule they break.
pub fn check_labels(labels: &Labels) -> Result<(), Rejected> {
    let fine = |text: &String| text.len() <= limits::LABEL && !text.chars().any(char::is_control);
    if labels.len() <= limits::LABELS && labels.iter().all(|(name, value)| fine(name) && fine(value)) {
        Ok(())
    } else {
        Err(Rejected(
            "there are at most 32 labels, names and values each at most 256 bytes without control characters",
        ))
    }
}

fn token(text: &str, rule: &'static str) -> Result<(), Rejected> {
    if is_token(text) { Ok(()) } else { Err(Rejected(rule)) }
}

/// Whether it is a token by the letter, and not too long to be kept.
#[must_use]
pub fn is_token(text: &str) -> bool {
    !text.is_empty() && text.len() <= limits::TOKEN && text.bytes().all(is_printable)
}

fn is_account(text: &str) -> bool {
    (1..=limits::ACCOUNT).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// VSCHAR of RFC 6749, appendix A.
fn is_printable(byte: u8) -> bool {
    (0x20..=0x7e).contains(&byte)
}

fn is_scope(scope: &str) -> bool {
    !scope.is_empty() && scope.len() <= limits::SCOPE && scope.bytes().all(|b| is_printable(b) && b != b' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Moment {
        Moment::from_unix(1_000_000).expect("in range")
    }

    fn set(json: &str) -> Result<Accepted, Rejected> {
        accept(serde_json::from_str(json).expect("the shape is right"), now(), ScopeSeparator::Space)
    }

    #[test]
    fn a_provider_s_answer_is_accepted() {
        let accepted = set(r#"{"access_token":"at","refresh_token":"rt","expires_in":3600,"scope":"a b"}"#);
        let accepted = accepted.expect("follows the rules");
        assert_eq!(accepted.expires_at, Moment::from_unix(1_003_600));
        assert_eq!(accepted.scopes, ["a", "b"]);
        assert_eq!(accepted.token_type, "Bearer");
    }

    #[test]
    fn what_is_no_token_is_refused_without_being_repeated() {
        let long = format!(r#"{{"access_token":"{}"}}"#, "a".repeat(limits::TOKEN + 1));
        for bad in [
            r#"{"access_token":""}"#,
            r#"{"access_token":"a\nb"}"#,
            r#"{"access_token":"ä"}"#,
            &long,
            r#"{"access_token":"a","refresh_token":""}"#,
            r#"{"access_token":"a","expires_in":1,"expires_at":"2026-01-01T00:00:00Z"}"#,
            r#"{"access_token":"a","expires_in":1893456000}"#,
            r#"{"access_token":"a","scope":"a","scopes":["a"]}"#,
            r#"{"access_token":"a","scopes":["a b"]}"#,
            r#"{"access_token":"a","scope":["a b"]}"#,
            r#"{"access_token":"a","scope":["a"],"scopes":["a"]}"#,
            r#"{"access_token":"a","labels":{"a":"\u0007"}}"#,
            r#"{"access_token":"a","account":""}"#,
            r#"{"access_token":"a","account":"a\u0000b"}"#,
        ] {
            assert!(set(bad).is_err(), "{bad}");
        }
    }
}
