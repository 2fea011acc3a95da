//! Root keys from OpenBao, or HashiCorp Vault: a field of a secret in a KV engine of version 2.
//!
//! ```text
//! token ------------------------------------------------------> read
//! secret id --------------------------------> AppRole login --> read --> revoke the token
//! wrapping token --> lookup, judge --> unwrap --^
//! ```
//!
//! The hard problem: what proves who we are is itself a secret that somebody handed over, maybe by way of a thief.
//! The answer: it never stands in the configuration; and where it comes wrapped, it is used only if it was wrapped
//! where secret ids are made, and has not been unwrapped by anybody. What is opened once cannot be opened again, so
//! what was reached is kept, in wiped memory, while this source is being tried again.
//!
//! Never asks for more than the one secret, never leaves a token of its own behind.

mod failure;
mod identity;
mod login;
mod wrapping;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::{LONGEST_LIST, Reach, RootKeySource, SourceError, json, remote};
use crate::net::outbound::{Answer, Deadlines, Door, Endpoint, Request, Roots};

pub use identity::{Identity, Wrapping};

/// Where the secret is, and as whom to ask for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The server.
    pub address: Endpoint,
    /// The namespace, where there are any.
    pub namespace: Option<String>,
    /// Where the KV engine is mounted.
    pub mount: String,
    /// The secret in it.
    pub path: String,
    /// The field of the secret.
    pub field: String,
    /// As whom.
    pub identity: Identity,
    /// Whom to trust.
    pub roots: Roots,
}

/// The secret.
pub struct OpenBao {
    settings: Settings,
    door: Door,
    reached: Mutex<Reached>,
}

/// How far earlier attempts came.
#[derive(Default)]
struct Reached {
    secret_id: Option<Zeroizing<String>>,
    token: Option<Zeroizing<String>>,
}

impl OpenBao {
    /// The secret.
    #[must_use]
    pub fn new(settings: Settings, door: Door) -> Self {
        Self { settings, door, reached: Mutex::default() }
    }

    fn ask(&self, request: Request, token: Option<&Zeroizing<String>>) -> Result<Answer, SourceError> {
        // Asked for by agents that guard against forged requests; others ignore it.
        let mut request = request.with_header("x-vault-request", Zeroizing::new("true".into()));
        if let Some(namespace) = &self.settings.namespace {
            request = request.with_header("x-vault-namespace", Zeroizing::new(namespace.clone()));
        }
        if let Some(token) = token {
            request = request.with_header("x-vault-token", token.clone());
        }
        remote::ask(&self.door, &self.settings.address, &self.settings.roots, request, Deadlines::REMOTE)
    }

    fn read_with(&self, token: &Zeroizing<String>) -> Result<Zeroizing<Vec<u8>>, SourceError> {
        let Settings { mount, path, field, .. } = &self.settings;
        let answer = self.ask(Request::new("GET", format!("/v1/{mount}/data/{path}")), Some(token))?;
        match answer.status {
            200 => key_list(&answer.body, field),
            403 => Err(self.denied(token)?),
            404 => Err(failure::absent(&answer.body)),
            status => Err(failure::of(status, &answer.body)),
        }
    }

    /// "permission denied" is said of a token that is none and of one that may not. Whoever may look itself up, by
    /// the policy `default`, is one.
    fn denied(&self, token: &Zeroizing<String>) -> Result<SourceError, SourceError> {
        let itself = self.ask(Request::new("GET", "/v1/auth/token/lookup-self"), Some(token))?;
        Ok(match itself.status {
            200 => failure::denied(),
            403 => failure::no_token(),
            status => failure::of(status, &itself.body),
        })
    }
}

impl RootKeySource for OpenBao {
    fn read(&self) -> Result<Zeroizing<Vec<u8>>, SourceError> {
        let mut reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        let Identity::AppRole { mount, role_id, secret_id, wrapping } = &self.settings.identity else {
            return self.read_with(&self.token()?);
        };
        let token = match reached.token.take() {
            Some(token) => token,
            None => {
                self.log_in(mount, role_id, &self.secret_id(&mut reached, mount, secret_id, *wrapping)?)?
            }
        };
        let list = self.read_with(&token);
        match &list {
            // Not ours any more: the next attempt gets another.
            Err(why) if failure::is_of_token(why) => {}
            Err(_) => reached.token = Some(token),
            Ok(_) => {
                self.revoke(&token);
                *reached = Reached::default();
            }
        }
        list
    }

    fn reach(&self) -> Reach {
        let held = self.settings.identity.held().place();
        Reach::files(held).and_asks([&self.settings.address], &self.settings.roots)
    }

    fn describe(&self) -> String {
        let Settings { address, mount, path, field, .. } = &self.settings;
        format!("OpenBao at {address}, field {field} of {mount}/{path}")
    }
}

/// Whether it can be a path there: it becomes part of an address, as it is.
#[must_use]
pub fn is_path(path: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~@+=:".contains(&b);
    let is_name = |name: &str| !matches!(name, "" | "." | "..") && name.bytes().all(plain);
    path.len() <= 512 && path.split('/').all(is_name)
}

/// What is around every answer.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    auth: Option<&'a RawValue>,
}

impl<'a> Envelope<'a> {
    fn read(body: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }
}

/// The texts and other things of an object.
type Object<'a> = BTreeMap<String, &'a RawValue>;

fn object(raw: &RawValue) -> Option<Object<'_>> {
    serde_json::from_str(raw.get()).ok()
}

/// The text of this name in an object.
fn text(object: &Object<'_>, name: &str) -> Option<Zeroizing<String>> {
    object.get(name).and_then(|raw| json::text(raw))
}

fn key_list(body: &[u8], field: &str) -> Result<Zeroizing<Vec<u8>>, SourceError> {
    let data = Envelope::read(body).and_then(|envelope| object(envelope.data?));
    let fields = data.and_then(|data| object(data.get("data")?));
    let Some(fields) = fields else {
        let what = "what answered is not a KV engine of version 2";
        return Err(SourceError::unusable(what, "see address, mount and path in [root_key]"));
    };
    let Some(raw) = fields.get(field) else {
        let what = format!("OpenBao: the secret has no field {field}");
        return Err(SourceError::unusable(what, "put the key list into it, or correct field in [root_key]"));
    };
    let Some(list) = json::text(raw) else {
        let what = format!("OpenBao: the field {field} is not a text");
        return Err(SourceError::unusable(what, "write the key list as one text, one Fernet key a line"));
    };
    if list.len() > LONGEST_LIST {
        let mend = "a key list is one Fernet key a line and nothing else";
        return Err(SourceError::unusable("the secret is far too large for a key list", mend));
    }
    Ok(Zeroizing::new(list.as_bytes().to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_is_a_text_of_a_secret() {
        let read = |body: &str| key_list(body.as_bytes(), "keys").map(|list| list.to_vec());
        let whole = r#"{"request_id":"x","data":{"data":{"keys":"a\nb","x":1},"metadata":{"version":1}}}"#;
        assert_eq!(read(whole), Ok(b"a\nb".to_vec()));
        for (body, words) in [
            ("", "not a KV engine"),
            (r#"{"data":{"keys":"a"}}"#, "not a KV engine"),
            (r#"{"data":{"data":{"key":"canary"}}}"#, "no field keys"),
            (r#"{"data":{"data":{"keys":["canary"]}}}"#, "not a text"),
        ] {
            let error = read(body).unwrap_err().to_string();
            assert!(error.contains(words) && !error.contains("canary"), "{error}");
        }
    }

    #[test]
    fn a_path_stays_below_its_mount() {
        assert!(["secret", "a/b-c/d_e.f", "a@b"].into_iter().all(is_path));
        for wrong in ["", "/a", "a/", "a//b", "a/../b", ".", "a b", "a?b", "a%2e", "a#b", "ä"] {
            assert!(!is_path(wrong), "{wrong:?}");
        }
    }
}
