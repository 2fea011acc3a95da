//! What a provider's answer to a refresh means (RFC 6749, sections 5.1 and 5.2, and what providers make of them).
//!
//! The hard problem: to take a fault for the end of a connection loses the connection, and to take the end of one for
//! a fault asks for ever. The answer: only words in the body end a connection, never a status; what may have been
//! processed and is not understood may have spent the token; and a field that is merely odd never costs a token set.
//!
//! Never repeats a byte of an answer.

use std::time::Duration;

use serde_json::{Map, Value};
use tokenkeep_client::limits;
use tokenkeep_client::secret::{AccessToken, IdToken, RefreshToken};

use super::Ended;
use crate::domain::provider::client::{ErrorMeaning, ScopeSeparator};
use crate::domain::token_set::is_token;

/// What came back from a provider.
#[derive(Debug)]
pub enum Heard<'a> {
    /// An answer, whole.
    Answer {
        /// The HTTP status.
        status: u16,
        /// `Retry-After`, where it is a span (RFC 9110, section 10.2.3).
        retry_after: Option<Duration>,
        /// The body.
        body: &'a [u8],
    },
    /// The request went out, and no answer came that could be read to its end.
    Nothing,
    /// The request never went out.
    NotSent,
}

/// What it means.
#[derive(Debug)]
pub enum Meaning {
    /// The provider broke in the middle of it, and says so.
    Broken(Option<Duration>),
    /// The provider refuses us, whatever the connection.
    ClientRefused,
    /// No answer, or half of one.
    Lost,
    /// Not processed; when it may be asked again, where it says so.
    NotProcessed(Option<Duration>),
    /// It refuses this refresh token.
    Refused,
    /// A token set.
    Tokens(Box<Granted>),
    /// It says that it worked, and what came is no token set. To be kept as it is.
    Unreadable,
}

impl Meaning {
    /// What it says of the token that was sent.
    #[must_use]
    pub fn ended(&self) -> Ended {
        match self {
            Self::Broken(_) => Ended::Broken,
            Self::ClientRefused | Self::NotProcessed(_) => Ended::NotProcessed,
            Self::Lost | Self::Unreadable => Ended::Lost,
            Self::Refused => Ended::Refused,
            Self::Tokens(_) => Ended::Answered,
        }
    }
}

/// A token set as a provider gives it (RFC 6749, section 5.1).
#[derive(Debug)]
pub struct Granted {
    /// The access token.
    pub access_token: AccessToken,
    /// The next refresh token; none: the one that was sent stays (section 6).
    pub refresh_token: Option<RefreshToken>,
    /// The ID token, where one came.
    pub id_token: Option<IdToken>,
    /// Section 7.1; none: as before.
    pub token_type: Option<String>,
    /// How long the access token lives, where it says so.
    pub expires_in: Option<Duration>,
    /// None: as before (section 6).
    pub scopes: Option<Vec<String>>,
}

/// How a provider speaks, where they differ.
pub struct Dialect<'a> {
    /// What a word of its `error` field means.
    pub meaning: &'a dyn Fn(&str) -> ErrorMeaning,
    /// What stands between its scopes.
    pub separator: ScopeSeparator,
}

/// Reads what came back.
#[must_use]
pub fn read(heard: &Heard<'_>, dialect: &Dialect<'_>) -> Meaning {
    match heard {
        Heard::Nothing => Meaning::Lost,
        Heard::NotSent => Meaning::NotProcessed(None),
        Heard::Answer { status, retry_after, body } => {
            let parsed = match serde_json::from_slice(body) {
                Ok(Value::Object(object)) => Some(object),
                _ => None,
            };
            of_body(*status, parsed, *retry_after, dialect)
        }
    }
}

fn of_body(
    status: u16,
    body: Option<Map<String, Value>>,
    wish: Option<Duration>,
    dialect: &Dialect<'_>,
) -> Meaning {
    let is_success = (200..300).contains(&status);
    let Some(mut body) = body else { return of_status(status, wish) };
    if is_success && body.contains_key("access_token") {
        return granted(&mut body, dialect.separator)
            .map_or(Meaning::Unreadable, |set| Meaning::Tokens(Box::new(set)));
    }
    match error_word(&body).map(|word| (word, (dialect.meaning)(word))) {
        Some((_, ErrorMeaning::Grant)) => Meaning::Refused,
        Some((_, ErrorMeaning::Client)) => Meaning::ClientRefused,
        Some(("server_error", _)) => Meaning::Broken(wish),
        Some(_) if is_success => Meaning::NotProcessed(wish),
        Some(_) | None => of_status(status, wish),
    }
}

fn error_word(body: &Map<String, Value>) -> Option<&str> {
    body.get("error").and_then(Value::as_str)
}

/// What a status alone says. RFC 9110: 503 (section 15.6.4) is said before the work, the other 5xx in the middle of it.
fn of_status(status: u16, wish: Option<Duration>) -> Meaning {
    match status {
        200..300 => Meaning::Unreadable,
        503 => Meaning::NotProcessed(wish),
        500..600 => Meaning::Broken(wish),
        _ => Meaning::NotProcessed(wish),
    }
}

fn granted(body: &mut Map<String, Value>, separator: ScopeSeparator) -> Option<Granted> {
    let mut text = |name: &str| match body.remove(name) {
        Some(Value::String(text)) if !text.is_empty() => Some(text),
        _ => None,
    };
    let (access, refresh) = (text("access_token").map(AccessToken::new), text("refresh_token"));
    let (refresh, id) = (refresh.map(RefreshToken::new), text("id_token").map(IdToken::new));
    let token_type = text("token_type").filter(|word| word.len() <= limits::TOKEN_TYPE && is_token(word));
    let access_token = access.filter(|token| is_token(AccessToken::expose(token)))?;
    // A refresh token that came and cannot be kept is no token set: the old one is spent all the same.
    if refresh.as_ref().is_some_and(|token| !is_token(RefreshToken::expose(token))) {
        return None;
    }
    Some(Granted {
        access_token,
        refresh_token: refresh,
        id_token: id.filter(|token| is_token(IdToken::expose(token))),
        token_type,
        expires_in: body.get("expires_in").and_then(seconds),
        scopes: body.get("scope").and_then(|value| scopes(value, separator)),
    })
}

/// A number, or a number in a string; one that is none says nothing.
fn seconds(value: &Value) -> Option<Duration> {
    let seconds = match value {
        Value::String(text) => text.trim().parse::<f64>().ok()?,
        other => other.as_f64()?,
    };
    (0.0..=limits::EXPIRES_IN as f64).contains(&seconds).then(|| Duration::from_secs(seconds as u64))
}

/// Separated by spaces (section 3.3) or as this provider does; or a list.
fn scopes(value: &Value, separator: ScopeSeparator) -> Option<Vec<String>> {
    let words: Vec<&str> = match value {
        Value::String(text) => separator.split(text).collect(),
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        _ => return None,
    };
    let fine = |word: &&str| word.len() <= limits::SCOPE && is_token(word) && !word.contains(' ');
    (words.len() <= limits::SCOPES && words.iter().all(fine))
        .then(|| words.into_iter().map(str::to_owned).collect())
}
