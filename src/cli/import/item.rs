//! From a row to an item of the import: parsed, opened, ready to be sent.
//!
//! The hard problem: `expires_in` counts from when the provider issued the token, which was long ago. The answer: it is
//! counted from the moment that the row gives for that, or from when the ciphertext was made, which it says itself.
//!
//! Asks nobody: a row gives the same item at every run.

use std::borrow::Cow;

use serde_json::Value;
use tokenkeep_client::ids::{ConnectionId, ConnectionName, InvalidId, OrgId, ProviderId};
use tokenkeep_client::import::ImportItem;
use tokenkeep_client::moment::Moment;
use tokenkeep_client::secret::{AccessToken, IdToken, RefreshToken};
use tokenkeep_client::wire::{Labels, TokenSet};

use super::ciphertext;
use super::field::{Field, Names};
use super::plain::{self, Others, is_given};
use super::row::Row;
use super::when::{self, Zoneless};
use super::wrong::Wrong;
use crate::crypto::key::KeyId;
use crate::crypto::key_list::RootKeys;
use crate::crypto::multi_fernet::{OpenError, Plaintext, open};

/// Where the token set of a row belongs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The tenant.
    pub org: OrgId,
    /// The account.
    pub id: ConnectionId,
}

/// A row that was opened.
#[derive(Debug)]
pub struct Opened {
    /// Ready to be sent.
    pub item: ImportItem,
    /// The key of each ciphertext.
    pub keys: Vec<KeyId>,
}

/// Reads whose a row is.
///
/// # Errors
/// The field that is wrong.
pub fn owner(row: &Row, names: &Names) -> Result<Owner, Wrong> {
    let org = match names.constant_org() {
        Some(org) => org.clone(),
        None => OrgId::parse(row.needed_text(Field::Org)?).map_err(invalid("org"))?,
    };
    let provider = match names.constant_provider() {
        Some(provider) => provider.clone(),
        None => ProviderId::parse(row.needed_text(Field::Provider)?).map_err(invalid("provider"))?,
    };
    let name = match names.constant_name() {
        Some(name) => name.clone(),
        None => ConnectionName::parse(row.needed_text(Field::Name)?).map_err(invalid("name"))?,
    };
    Ok(Owner { org, id: ConnectionId { provider, name } })
}

/// Opens what is sealed in a row.
///
/// # Errors
/// The field that is wrong.
pub fn opened(row: &Row, owner: Owner, names: &Names, keys: &RootKeys) -> Result<Opened, Wrong> {
    let mut reading = Reading { row, names, keys, used: Vec::with_capacity(3) };
    let tokens = match names.of(Field::TokenSet) {
        Some(_) => reading.token_set()?,
        None => reading.bare_tokens()?,
    };
    let Owner { org, id: ConnectionId { provider, name } } = owner;
    Ok(Opened { item: ImportItem { org, provider, name, tokens }, keys: reading.used })
}

struct Reading<'a> {
    row: &'a Row,
    names: &'a Names,
    keys: &'a RootKeys,
    used: Vec<KeyId>,
}

impl Reading<'_> {
    fn bare_tokens(&mut self) -> Result<TokenSet, Wrong> {
        let access = self.open(Field::AccessToken)?.ok_or_else(|| Wrong::missing("access_token"))?;
        let refresh = self.open(Field::RefreshToken)?;
        let id = self.open(Field::IdToken)?;
        let bare = |sealed: Option<&Plaintext>, field| {
            sealed.map(|sealed| plain::token(sealed.expose(), field)).transpose()
        };
        let text = plain::token(access.expose(), Field::AccessToken)?;
        let mut set = TokenSet::new(AccessToken::new(text));
        set.refresh_token = bare(refresh.as_ref(), Field::RefreshToken)?.map(RefreshToken::new);
        set.id_token = bare(id.as_ref(), Field::IdToken)?.map(IdToken::new);
        self.fill(&mut set, access.sealed_at)?;
        Ok(set)
    }

    fn token_set(&mut self) -> Result<TokenSet, Wrong> {
        let sealed = self.open(Field::TokenSet)?.ok_or_else(|| Wrong::missing("token_set"))?;
        let others = if self.names.ignores_others() { Others::Ignored } else { Others::Refused };
        let members = plain::token_set(sealed.expose(), others)?;
        let mut set = TokenSet::new(members.access_token);
        set.refresh_token = members.refresh_token;
        set.id_token = members.id_token;
        self.fill(&mut set, sealed.sealed_at)?;
        // What the row says beside the token set is newer: it could be changed without opening it.
        set.token_type = set.token_type.or(members.token_type);
        if set.expires_at.is_none() {
            set.expires_at = self.end(&members.expires_at, &members.expires_in, sealed.sealed_at)?;
        }
        if set.scopes.is_none() {
            let written = if members.scopes.is_null() { &members.scope } else { &members.scopes };
            set.scopes = self.scopes(written)?;
        }
        Ok(set)
    }

    /// What stands in the row in the clear.
    fn fill(&self, set: &mut TokenSet, sealed_at: u64) -> Result<(), Wrong> {
        set.token_type = self.row.text(Field::TokenType)?.map(str::to_owned);
        let (at, span) = (self.row.cell(Field::ExpiresAt), self.row.cell(Field::ExpiresIn));
        set.expires_at = self.end(at, span, sealed_at)?;
        set.scopes = self.scopes(self.row.cell(Field::Scopes))?;
        set.labels = labels(self.row.cell(Field::Labels))?;
        Ok(())
    }

    fn open(&mut self, field: Field) -> Result<Option<Plaintext>, Wrong> {
        let Some(text) = self.row.text(field)? else { return Ok(None) };
        let word = field.word();
        let token = ciphertext::token(text, word)?;
        let opened = open(self.keys, &token).map_err(|why| match why {
            OpenError::NoKeyOpens => Wrong::new(
                "no_key_opens",
                format!("no key of the list opens {word}: it is damaged, or sealed under another key"),
            ),
            OpenError::NotFernet => Wrong::new("not_fernet", format!("{word} is not a Fernet token")),
        })?;
        self.used.push(opened.key);
        Ok(Some(opened))
    }

    /// The end of the access token. Where both are given, the moment says more than the span.
    fn end(&self, at: &Value, span: &Value, sealed_at: u64) -> Result<Option<Moment>, Wrong> {
        let zoneless = if self.names.assumes_utc() { Zoneless::Utc } else { Zoneless::Refused };
        if is_given(at) {
            return when::moment(at, zoneless, "expires_at").map(Some);
        }
        if !is_given(span) {
            return Ok(None);
        }
        let span = when::span(span)?;
        let issued_at = match self.row.cell(Field::IssuedAt) {
            given if is_given(given) => when::moment(given, zoneless, "issued_at")?,
            _ => Moment::from_unix(sealed_at)
                .ok_or_else(|| Wrong::new("issued_at", "the ciphertext was sealed after the year 9999"))?,
        };
        Ok(Some(issued_at.after(span)))
    }

    fn scopes(&self, value: &Value) -> Result<Option<Vec<String>>, Wrong> {
        let value = from_text(value, '[').map_err(|()| scopes_rule())?;
        match &*value {
            value if !is_given(value) => Ok(None),
            Value::String(text) if text.starts_with('{') => {
                Err(Wrong::new("scopes", "scopes is a PostgreSQL array: select array_to_string(scopes, ' ')"))
            }
            Value::String(text) => Ok(Some(self.split(text))),
            Value::Array(all) => {
                let texts = all.iter().map(|one| one.as_str().map(str::to_owned));
                texts.collect::<Option<_>>().map(Some).ok_or_else(scopes_rule)
            }
            _ => Err(scopes_rule()),
        }
    }

    fn split(&self, text: &str) -> Vec<String> {
        let trimmed = |part: &str| part.trim_ascii().to_owned();
        let parts: Vec<String> = match self.names.scope_separator() {
            Some(separator) => text.split(separator).map(trimmed).collect(),
            None => text.split_ascii_whitespace().map(str::to_owned).collect(),
        };
        parts.into_iter().filter(|scope| !scope.is_empty()).collect()
    }
}

fn labels(value: &Value) -> Result<Option<Labels>, Wrong> {
    let rule = || Wrong::new("labels", "labels is not a JSON object of texts");
    let value = from_text(value, '{').map_err(|()| rule())?;
    match &*value {
        value if !is_given(value) => Ok(None),
        Value::Object(members) => {
            let texts = members.iter().map(|(name, text)| Some((name.clone(), text.as_str()?.to_owned())));
            texts.collect::<Option<_>>().map(Some).ok_or_else(rule)
        }
        _ => Err(rule()),
    }
}

/// A column of JSON comes as a text in CSV: where it begins as one, it is one.
fn from_text(value: &Value, opening: char) -> Result<Cow<'_, Value>, ()> {
    match value.as_str() {
        Some(text) if text.trim_ascii_start().starts_with(opening) => {
            serde_json::from_str(text).map(Cow::Owned).map_err(|_| ())
        }
        _ => Ok(Cow::Borrowed(value)),
    }
}

fn scopes_rule() -> Wrong {
    Wrong::new("scopes", "scopes is neither a text nor a list of texts")
}

fn invalid(field: &'static str) -> impl Fn(InvalidId) -> Wrong {
    move |invalid| Wrong::new(field, invalid.rule)
}
