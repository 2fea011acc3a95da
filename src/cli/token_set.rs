//! A token set that an admin hands in.
//!
//! It is read and understood here before it is sent. The hard problem: a misspelt `refresh_token` must not be a lost one, and
//! providers add fields of their own to their answers (RFC 6749, section 5.1, has clients ignore them). So what is not known
//! is refused, unless the admin says that a provider wrote it: then only what providers write is looked for, and a field of
//! theirs that bears the name of one of ours (`account`, `consent`) is not taken for it.
//!
//! What is wrong is said by line and column: the words of the parser quote the input.

use serde::de::DeserializeOwned;
use serde_json::Error;
use serde_json::error::Category;
use tokenkeep_client::wire::{Scope, TokenSet};

use super::failure::Failure;
use super::import::plain::{TokenMembers, is_given};
use super::import::when::{self, Zoneless};
use super::import::wrong::Wrong;

/// As the API takes it.
pub(super) fn read(json: &[u8]) -> Result<TokenSet, Failure> {
    object(json, "unknown, missing or of the wrong kind").map_err(|failure| {
        failure
            .mend(
                "the fields are access_token, refresh_token, token_type, expires_in or expires_at, \
                 scope or scopes, id_token, account, labels, consent",
            )
            .mend_also("--as-issued leaves out what a provider's answer has beside them")
    })
}

/// As a provider issued it, or as an OAuth library keeps that.
pub(super) fn read_as_issued(json: &[u8]) -> Result<TokenSet, Failure> {
    let mended = |failure: Failure| {
        failure.mend(
            "the fields are access_token, refresh_token, token_type, expires_in, expires_at, scope, scopes and id_token; \
             others are left out",
        )
    };
    let members: TokenMembers = object(json, "missing or of the wrong kind").map_err(mended)?;
    of_members(members).map_err(|wrong| mended(unread(&wrong.detail)))
}

fn of_members(members: TokenMembers) -> Result<TokenSet, Wrong> {
    let mut set = TokenSet::new(members.access_token);
    set.refresh_token = members.refresh_token;
    set.id_token = members.id_token;
    set.token_type = members.token_type;
    // Where both are given, the moment says more than the span, which counts from a time that is over.
    if is_given(&members.expires_at) {
        let rule = |_| {
            Wrong::new(
                "expires_at",
                "expires_at is neither Unix seconds nor a moment with its zone (RFC 3339)",
            )
        };
        set.expires_at =
            Some(when::moment(&members.expires_at, Zoneless::Refused, "expires_at").map_err(rule)?);
    } else if is_given(&members.expires_in) {
        set.expires_in = Some(when::span(&members.expires_in)?.as_secs());
    }
    let scopes = if is_given(&members.scopes) { members.scopes } else { members.scope };
    let rule = |_| Wrong::new("scopes", "scope is neither a text nor a list of texts");
    set.scope = serde_json::from_value::<Option<Scope>>(scopes).map_err(rule)?;
    Ok(set)
}

/// Reads an object, and no list: serde would take one for the fields in their order.
fn object<T: DeserializeOwned>(json: &[u8], field_is: &str) -> Result<T, Failure> {
    if json.trim_ascii_start().starts_with(b"[") {
        return Err(unread("it is a list and not an object"));
    }
    serde_json::from_slice(json).map_err(|error| of_parser(&error, field_is))
}

fn of_parser(error: &Error, field_is: &str) -> Failure {
    let what = match error.classify() {
        Category::Data => &format!("a field is {field_is}"),
        Category::Eof => "it ends too early",
        Category::Io | Category::Syntax => "it is not JSON",
    };
    unread(&format!("{what} (line {}, column {})", error.line(), error.column()))
}

fn unread(why: &str) -> Failure {
    Failure::here("token_set", format!("the token set cannot be read: {why}"))
}
